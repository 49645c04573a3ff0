// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blobs with one fault: a change in the source of a good one, or in its bytes.

use object::LittleEndian as LE;
use object::elf::{FileHeader64, Rela64, SHN_ABS, SectionHeader64, SectionType, Sym64};
use object::pod;

use crate::fixture::{FOREIGN, GREEN, STOCK_FLAGS, assemble, compile};
use crate::load::File;

/// A purgatory in the manner of kexec-tools' own, that holds what that one promises.
pub(super) const TOOL: &str = "
        .macro  symbol name, size, bytes
        .global \\name
\\name:  .skip   \\bytes
        .size   \\name, \\size
        .endm
        .global purgatory_start, stack_end
        .set    word, 0
purgatory_start:
        .irp    reg, rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        mov     entry64_regs + word(%rip), %\\reg
        .set    word, word + 8
        .endr
        jmp     *entry64_regs + 128(%rip)
spin:   out     %al, $0x80
        jmp     spin
        .data
        symbol  entry64_regs, 136, 136
        symbol  entry32_regs, 36, 40
        .irp    name, entry16_regs, entry16_debug_regs
        symbol  \\name, 48, 48
        .endr
        .irp    name, entry16, entry16_debug, entry16_debug_pre32, entry16_debug_first32
        symbol  \\name, 0, 1
        .endr
        .irp    name, entry16_debug_old_first32, stack_arg32_1, stack_arg32_2, serial_baud, skip_checks
        symbol  \\name, 4, 4
        .endr
        .irp    name, cmdline_end, backup_start, backup_src_start, backup_src_size
        symbol  \\name, 8, 8
        .endr
        .irp    name, reset_vga, console_vga, console_serial, panic_kernel
        symbol  \\name, 1, 1
        .endr
        symbol  serial_base, 2, 2
        symbol  sha256_regions, 256, 256
        symbol  sha256_digest, 32, 32
pointer: .quad  spin
        .bss
        .balign 4096
        .skip   4096
stack_end:
";

/// The green blob with one change in its source.
pub(super) fn green(from: &str, to: &str) -> Vec<u8> {
    assert!(GREEN.contains(from), "{from}");
    assemble(&GREEN.replace(from, to))
}

/// The green blob with one more instruction, in a function that may have none.
pub(super) fn executes(instruction: &str) -> Vec<u8> {
    green(
        "jmp     purgatory_verify",
        &format!("{instruction}\n jmp purgatory_verify"),
    )
}

/// The green blob with an instruction of each kind where it belongs. The names
/// are mangled by rustc's v0 scheme.
pub(super) fn in_their_places() -> Vec<u8> {
    let functions = "purgatory_verify: nop
        sha256_compress_sse2: pxor %xmm0, %xmm0
        _RNvNtNtNtC9purgatory4arch6x86_646screen4show: out %al, $0xe9
        _RNvNtNtNtC9purgatory4arch6x86_642io10time_stamp: rdtsc
        _RNvNtNtNtC9purgatory4arch6x86_648features7restore: mov %rax, %cr4
        _RINvNvNtNtNtC9purgatory4arch6x86_645guard7guarded4callNvNtC6x86_6412instructions3hltEBa_: hlt
        x86_jump: lidt (%rax)";
    let start = "purgatory_start: cli";
    let source = GREEN
        .replace("purgatory_verify:", functions)
        .replace("purgatory_start:", start);
    assemble(&source)
}

/// The green blob with one change, as somebody else's: only the loader's promises count.
pub(super) fn foreign(from: &str, to: &str) -> Vec<u8> {
    let source = GREEN.replace("purgatory_config", "configuration");
    assert!(source.contains(from), "{from}");
    assemble(&source.replace(from, to))
}

/// The tool's blob with one change in its source.
pub(super) fn tool(from: &str, to: &str) -> Vec<u8> {
    assert!(TOOL.contains(from), "{from}");
    assemble(&TOOL.replace(from, to))
}

/// The tool's blob with one change in a section's header.
pub(super) fn tool_section(name: &str, edit: fn(&mut SectionHeader64<LE>)) -> Vec<u8> {
    section_in(assemble(TOOL), name, edit)
}

pub(super) fn with_flags(flags: &[&str]) -> Vec<u8> {
    compile(FOREIGN, &[STOCK_FLAGS, flags].concat())
}

/// What PGO and -freorder-functions make.
pub(super) fn hot() -> Vec<u8> {
    let source = "__attribute__((hot)) void spin(void) { asm(\".skip 256\"); }";
    compile(
        &(FOREIGN.to_owned() + source),
        &[STOCK_FLAGS, &["-O2"]].concat(),
    )
}

/// What -mindirect-branch=thunk-extern makes.
pub(super) fn retpolines() -> Vec<u8> {
    let source = "void (*hook)(void) = purgatory_start; void f(void) { hook(); hook(); }";
    let flags = [STOCK_FLAGS, &["-mindirect-branch=thunk-extern"]].concat();
    compile(&(FOREIGN.to_owned() + source), &flags)
}

/// A blob that calls an absolute symbol, with one more change to that.
pub(super) fn absolute(edit: fn(&mut Sym64<LE>)) -> Vec<u8> {
    let mut blob = foreign("jmp     purgatory_verify", "call rom");
    edit_symbol(&mut blob, "rom", |symbol| {
        symbol.st_shndx.set(LE, SHN_ABS);
        edit(symbol);
    });
    blob
}

/// A blob with one relocation, PC32 at 0x8 of `.purgatory`.
pub(super) fn relocated() -> Vec<u8> {
    foreign(
        "jmp     purgatory_verify",
        "call other\n .pushsection .data\n other: .quad 0\n .popsection",
    )
}

/// Two globals of one name: the assembler refuses them, so one gets the
/// other's name afterwards.
pub(super) fn two_digests() -> Vec<u8> {
    let mut blob = foreign(
        "configuration:",
        ".global another\n another: .skip 32\n .size another, 32\n configuration:",
    );
    let mut name = 0;
    edit_symbol(&mut blob, "purgatory_sha256_digest", |symbol| {
        name = symbol.st_name.get(LE)
    });
    edit_symbol(&mut blob, "another", |symbol| symbol.st_name.set(LE, name));
    blob
}

pub(super) fn patched(patch: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut blob = assemble(GREEN);
    patch(&mut blob);
    blob
}

pub(super) fn patched_tool(patch: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut blob = assemble(TOOL);
    patch(&mut blob);
    blob
}

pub(super) fn patched_foreign(patch: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut blob = foreign("purgatory_start", "purgatory_start");
    patch(&mut blob);
    blob
}

pub(super) fn with_section(name: &str, edit: fn(&mut SectionHeader64<LE>)) -> Vec<u8> {
    section_in(foreign("purgatory_start", "purgatory_start"), name, edit)
}

pub(super) fn with_symbol(name: &str, edit: fn(&mut Sym64<LE>)) -> Vec<u8> {
    let mut blob = assemble(GREEN);
    edit_symbol(&mut blob, name, edit);
    blob
}

pub(super) fn with_relocations(kind: SectionType) -> Vec<u8> {
    section_in(relocated(), ".rela.purgatory", |header| {
        header.sh_type.set(LE, kind)
    })
}

/// The blob with one relocation, its section linked to another one.
pub(super) fn relinked(link: fn(&mut SectionHeader64<LE>, u32), name: &str) -> Vec<u8> {
    let blob = relocated();
    let (index, _) = section(&blob, name);
    section_in(blob, ".rela.purgatory", |header| link(header, index as u32))
}

pub(super) fn with_relocation(edit: fn(&mut Rela64<LE>)) -> Vec<u8> {
    relocation_in(relocated(), ".rela.purgatory", edit)
}

/// A blob with a change in the first relocation of a section.
pub(super) fn relocation_in(mut blob: Vec<u8>, name: &str, edit: fn(&mut Rela64<LE>)) -> Vec<u8> {
    let start = section(&blob, name).1;
    edit(pod::from_bytes_mut(&mut blob[start..]).unwrap().0);
    blob
}

fn section_in(
    mut blob: Vec<u8>,
    name: &str,
    edit: impl FnOnce(&mut SectionHeader64<LE>),
) -> Vec<u8> {
    let (index, _) = section(&blob, name);
    let header: &FileHeader64<LE> = pod::from_bytes(&blob).unwrap().0;
    let start = header.e_shoff.get(LE) as usize + index * size_of::<SectionHeader64<LE>>();
    edit(pod::from_bytes_mut(&mut blob[start..]).unwrap().0);
    blob
}

/// Edits the first symbol of that name that is not entry 0.
pub(super) fn edit_symbol(blob: &mut [u8], name: &str, edit: impl FnOnce(&mut Sym64<LE>)) {
    let (index, start) = section(blob, ".symtab");
    let file = File::parse(blob).unwrap();
    let mut symbols = file.symbols(&file.sections[index]).unwrap().skip(1);
    let index = symbols
        .find(|symbol| symbol.name == Some(name))
        .unwrap()
        .index;
    drop(symbols);
    edit(
        pod::from_bytes_mut(&mut blob[start + index * size_of::<Sym64<LE>>()..])
            .unwrap()
            .0,
    );
}

/// Returns a section's index and where its bytes start in the file.
fn section(blob: &[u8], name: &str) -> (usize, usize) {
    let file = File::parse(blob).unwrap();
    let section = file
        .sections
        .iter()
        .find(|section| section.name == Some(name))
        .unwrap();
    (section.index, section.offset as usize)
}
