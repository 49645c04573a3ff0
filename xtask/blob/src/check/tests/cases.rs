// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every promise broken once on purpose: by the compiler option that broke it
//! in history where gcc can, by patching bytes where only a hostile or broken
//! writer can.

use object::LittleEndian as LE;
use object::elf;

use super::blobs::{TOOL, two_digests, with_flags};
use super::blobs::{
    absolute, edit_symbol, executes, foreign, green, hot, in_their_places, patched,
};
use super::blobs::{
    patched_foreign, patched_tool, relinked, relocation_in, retpolines, tool, tool_section,
};
use super::blobs::{with_relocation, with_relocations, with_section, with_symbol};
use crate::fixture::{GREEN, assemble};
use crate::load::Series;

/// A blob, the kernels it is judged for (none is all), the rows that must fail, no
/// other, and what one of them must say.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) blob: fn() -> Vec<u8>,
    pub(super) kernels: &'static [Series],
    pub(super) broken: &'static [&'static str],
    pub(super) says: &'static str,
}

const FILE: &str = "relocatable ELF64 for a known machine";
const BOUNDS: &str = "everything inside the file";
const LOADS: &str = "loads at every address";
const ENTRY: &str = "both entry rules reach purgatory_start";
const DEFINED: &str = "the loader's symbols are global";
const SIZES: &str = "symbols have the exact sizes";
const PLACES: &str = "symbols have bytes in loaded sections";
const INSIDE: &str = "symbols are inside their sections";
const UNDEFINED: &str = "no undefined symbols";
const RELA: &str = "relocation sections are RELA";
const TYPES: &str = "relocation types are the kernel's";
const OPERANDS: &str = "relocation places and symbols exist";
const INSTRUCTIONS: &str = "every instruction in its place";
const ORDER: &str = "loads the registers in the kernel's order";
const STACK: &str = "the stack is deep enough";
const FAULT_STACK: &str = "the fault stack is deep enough";
const TOOL_ENTRY: &str = "e_entry reaches purgatory_start";
const TOOL_ORDER: &str = "loads the registers in the tool's order";
const TOOL_TYPES: &str = "relocation types are kexec's";
const VECTORS: &str = "no vector instructions";
const BALLAST: &str = "no unwind tables, no debug information";

/// `name [@ series]: blob => [rows that break], what one of them says;`
macro_rules! cases {
    ($($name:literal $(@ $series:ident)?: $blob:expr => [$($row:expr),*], $says:literal;)*) => {
        &[$(Case {
            name: $name,
            blob: || $blob,
            kernels: &[$(Series::$series)?],
            broken: &[$($row),*],
            says: $says,
        }),*]
    };
}

pub(super) const CASES: &[Case] = cases! {
    // 1: the file
    "executable instead of relocatable": patched(|blob| blob[16] = 2)
        => [FILE], "e_type is ET_EXEC";
    "no section names": patched(|blob| blob[62] = 0)
        => [FILE, BOUNDS], "e_shstrndx: section 0 is no string table";
    "32-bit": patched(|blob| blob[4] = 1)
        => [FILE], "not a 64-bit little-endian ELF";
    "for another machine": patched(|blob| blob[18] = 183)
        => [FILE], "e_machine is 183";
    "section headers of another size": patched(|blob| blob[58] = 40)
        => [FILE], "e_shentsize is 40";
    "no sections": patched(|blob| blob[60..62].fill(0))
        => [FILE], "e_shnum is 0";
    "section headers at the end of the address space": patched(|blob| blob[40..48].fill(0xff))
        => [FILE], "reach beyond the file";
    "cut short": patched(|blob| blob.truncate(blob.len() - 100))
        => [FILE], "reach beyond the file";
    "cut to nothing": patched(|blob| blob.truncate(40))
        => [FILE], "40 bytes, less than an ELF header";
    "section beyond the end of the file":
        with_section(".purgatory", |header| header.sh_offset.set(LE, 1 << 63))
        => [BOUNDS, LOADS], "reaches beyond the file";
    "symbol name beyond the string table":
        with_symbol("", |symbol| symbol.st_name.set(LE, 0xff_ffff))
        => [BOUNDS], "the name of symbol 1 is no printable string";
    // 2: alignments, addresses
    "alignment 0": with_section(".stack", |header| header.sh_addralign.set(LE, 0))
        => ["alignments are powers of two", LOADS], "has sh_addralign 0x0";
    "alignment 24": with_section(".stack", |header| header.sh_addralign.set(LE, 24))
        => ["alignments are powers of two", LOADS], "has sh_addralign 0x18";
    "linked to an address": with_section(".purgatory", |header| header.sh_addr.set(LE, 0x1000))
        => ["loaded sections have address 0", ENTRY, LOADS], "has sh_addr 0x1000";
    // 3, 4: what is entered
    "two text sections, 5.10 (clang PGO, 8652d44f466a)" @ V5_10: hot()
        => ["one executable section"], "): 5.10 warns and enters the first";
    "two text sections, 6.1" @ V6_1: hot()
        => [], "2 sections are executable: .text (section";
    "the earlier section wins over the symbol (function sections)" @ V7_3:
        foreign(".section .purgatory", ".section .text.a, \"ax\"\n .skip 512\n .section .purgatory")
        => [ENTRY], "7.3 enters at +0x0, purgatory_start is at +0x1000";
    "no code": foreign("\"awx\"", "\"aw\"")
        => ["one executable section", ENTRY, LOADS], "no loaded section is executable";
    "purgatory_start is local": foreign(".global purgatory_start,", ".global")
        => [ENTRY], "purgatory_start is STB_LOCAL, not STB_GLOBAL";
    "e_entry elsewhere": patched_foreign(|blob| blob[24] = 7)
        => [ENTRY], "5.10 enters at +0x7, purgatory_start is at +0x0";
    // 5, 6: the symbols
    "static table (72042a8c7b01)": foreign("purgatory_sha_regions, purgatory", "purgatory")
        => [DEFINED, LOADS], "purgatory_sha_regions is STB_LOCAL, not STB_GLOBAL";
    "weak registers": foreign("entry64_regs:", ".weak entry64_regs\n entry64_regs:")
        => [DEFINED, LOADS], "entry64_regs is STB_WEAK, not STB_GLOBAL";
    "no stack_end": foreign("stack_end", "stack_top")
        => [DEFINED, LOADS], "there is no stack_end";
    "the names of kexec-tools":
        assemble(&GREEN.replace("purgatory_sha", "sha").replace("sha_r", "sha256_r"))
        => [DEFINED, LOADS], "this is a kexec-tools purgatory";
    "registers padded by a type alignment": foreign("entry64_regs, 136", "entry64_regs, 160")
        => [SIZES, LOADS], "symbol entry64_regs size mismatch: expected 160 actual 136";
    "table of fifteen regions": foreign("sha_regions, 256", "sha_regions, 240")
        => [SIZES, LOADS], "purgatory_sha_regions has 240 bytes, not 256";
    "digest of 20 bytes": foreign("sha256_digest, 32", "sha256_digest, 20")
        => [SIZES, LOADS], "purgatory_sha256_digest has 20 bytes, not 32";
    "tables in .bss (e42fc55 in kexec-tools)":
        foreign(
            "entry64_regs:\n        .skip   136",
            ".pushsection .bss\n entry64_regs: .skip 136\n .popsection",
        )
        => [PLACES, LOADS], "symbol entry64_regs is in a bss section. Cannot get";
    "table in a section that is not loaded":
        foreign("purgatory_sha256_digest:", ".section .comment, \"\"\n purgatory_sha256_digest:")
        => [PLACES, LOADS], "purgatory_sha256_digest is in .comment (section";
    "table that leaves its section":
        foreign("purgatory_sha256_digest:\n        .skip   32", "purgatory_sha256_digest:")
        => [INSIDE, LOADS], "purgatory_sha256_digest (32 bytes at 0x1188) leaves .purgatory";
    "stack end off by 8": foreign("stack_end:", ".skip 8\n stack_end:")
        => ["stack_end is aligned to 16 bytes"], "stack_end is at +0x3008";
    "two digests": two_digests()
        => ["symbols are defined once"],
           "duplicate symbol purgatory_sha256_digest: the loader uses the first, #";
    // 7: undefined symbols
    "memcpy from a moved sha256": foreign("jmp     purgatory_verify", "call memcpy")
        => [UNDEFINED, LOADS],
           "undefined symbol: memcpy, referenced from .purgatory+0x8 (compilers call it";
    "weak undefined": foreign("jmp     purgatory_verify", ".weak hook\n call hook")
        => [UNDEFINED, LOADS], "weak undefined symbol: hook, referenced from .purgatory+0x8";
    "common": foreign("jmp     purgatory_verify", ".comm buffer, 64\n call buffer")
        => [UNDEFINED, LOADS], "symbol 'buffer' in common section";
    "relocation without a symbol":
        with_relocation(|entry| entry.set_r_info(LE, false, 0, elf::R_X86_64_NONE))
        => [UNDEFINED, LOADS], "undefined symbol: (nameless), referenced from .purgatory+0x8";
    "-pg": with_flags(&["-pg", "-mfentry"])
        => [UNDEFINED, TYPES, LOADS], "undefined symbol: __fentry__, referenced from .text+0x";
    "stack protector": with_flags(&["-fstack-protector-all"])
        => [UNDEFINED, LOADS, INSTRUCTIONS], "(built with -fstack-protector)";
    "KASAN (13a6798e4a03)": with_flags(&["-fsanitize=kernel-address"])
        => [UNDEFINED, LOADS], "(built with -fsanitize=kernel-address)";
    "KCSAN": with_flags(&["-fsanitize=thread"])
        => [UNDEFINED, LOADS], "(built with -fsanitize=thread)";
    "UBSAN": with_flags(&["-fsanitize=undefined"])
        => [UNDEFINED, LOADS], "(built with -fsanitize=undefined)";
    "KCOV": with_flags(&["-fsanitize-coverage=trace-pc"])
        => [UNDEFINED, LOADS], "(built with -fsanitize-coverage)";
    "gcov": with_flags(&["-fprofile-arcs"])
        => [UNDEFINED, LOADS], "(built with -fprofile-arcs)";
    "retpolines": retpolines()
        => [UNDEFINED, LOADS], "(built with retpolines)";
    "branch profiling (e2ac07c06058)":
        foreign("jmp     purgatory_verify", "call ftrace_likely_update")
        => [UNDEFINED, LOADS], "(built without -DDISABLE_BRANCH_PROFILING)";
    "stackleak (ca14c996afe7)": foreign("jmp     purgatory_verify", "call stackleak_track_stack")
        => [UNDEFINED, LOADS], "(built with the stackleak plugin)";
    "clang's profile": foreign("jmp     purgatory_verify", "call __llvm_profile_instrument_target")
        => [UNDEFINED, LOADS], "(built with -fprofile-generate)";
    // 8: relocations
    "REL": with_relocations(elf::SHT_REL)
        => [RELA, LOADS], "REL relocation unsupported.";
    "RELR": with_relocations(elf::SHT_RELR)
        => [RELA], "is SHT_RELR";
    "CREL": with_relocations(elf::SHT_CREL)
        => [RELA], "is SHT_CREL";
    "relocations of the stack": relinked(|header, index| header.sh_info.set(LE, index), ".stack")
        => [RELA, LOADS], ", which has no bytes";
    "relocations of a section that does not exist":
        relinked(|header, _| header.sh_info.set(LE, 99), ".stack")
        => [RELA, LOADS], "names a section that does not exist";
    "relocations without a symbol table":
        relinked(|header, index| header.sh_link.set(LE, index), ".purgatory")
        => [RELA, LOADS], ", no complete symbol table";
    "a GOT (-fPIC, default visibility)": with_flags(&["-fPIC", "-fvisibility=default"])
        => [TYPES, LOADS], "R_X86_64_REX_GOTPCRELX at .text+0x";
    "large model, PIC (4a837c9 in kexec-tools)": with_flags(&["-mcmodel=large"])
        => [UNDEFINED, TYPES, LOADS], "R_X86_64_GOTPC64 at .text+0x";
    "relocation beyond its section": with_relocation(|entry| entry.r_offset.set(LE, u64::MAX))
        => [OPERANDS, LOADS], "writes outside the section's bytes";
    "relocation with a symbol beyond the table":
        with_relocation(|entry| entry.set_r_info(LE, false, 9999, elf::R_X86_64_PC32))
        => [OPERANDS, LOADS], ".purgatory+0x8 uses symbol 9999, beyond its table";
    "relocation to a section that is not loaded":
        foreign(
            "jmp     purgatory_verify",
            "call note\n .pushsection .comment, \"\"\n note: .popsection",
        )
        => [OPERANDS, LOADS], "which is not loaded";
    "call to an absolute address, as the assembler writes it":
        foreign("jmp     purgatory_verify", ".set rom, 0xfffffff0\n call rom")
        => [UNDEFINED, LOADS], "undefined symbol: (nameless), referenced from .purgatory+0x8";
    "call to an absolute symbol": absolute(|_| ())
        => [OPERANDS], ".purgatory+0x8 reaches the absolute rom";
    "call to a nameless absolute symbol": absolute(|symbol| symbol.st_name.set(LE, 0))
        => [OPERANDS, LOADS], "uses a nameless absolute symbol";
    // 9: reach
    "-mcmodel=kernel (b059f801a937)": with_flags(&["-fno-pic", "-mcmodel=kernel"])
        => [LOADS], "at 0x17f7affd000: Overflow in relocation type 11 value 0x17f7b0";
    // 11: instructions
    "vector state": executes("movaps %xmm0, %xmm1")
        => [INSTRUCTIONS], "movaps in purgatory_verify+0x0: vector or other extension";
    "x87": executes("nop; fninit")
        => [INSTRUCTIONS], "fninit in purgatory_verify+0x1: vector or other extension";
    "a port": executes("in $0x80, %al")
        => [INSTRUCTIONS], "in in purgatory_verify+0x0: port I/O";
    "CPUID": executes("cpuid")
        => [INSTRUCTIONS], "cpuid in purgatory_verify+0x0: CPUID";
    "a model-specific register": executes("rdmsr")
        => [INSTRUCTIONS], "rdmsr in purgatory_verify+0x0: model-specific register";
    "XCR0": executes("xgetbv")
        => [INSTRUCTIONS], "xgetbv in purgatory_verify+0x0: extended control register";
    "a control register": executes("mov %rax, %cr4")
        => [INSTRUCTIONS], "mov in purgatory_verify+0x0: control or debug register";
    "the IDT": executes("lidt (%rax)")
        => [INSTRUCTIONS], "lidt in purgatory_verify+0x0: descriptor table";
    "HLT": executes("hlt")
        => [INSTRUCTIONS], "hlt in purgatory_verify+0x0: halt";
    "interrupts on": executes("sti")
        => [INSTRUCTIONS], "sti in purgatory_verify+0x0: interrupt flag";
    "thread-local memory": executes("mov %gs:8, %rax")
        => [INSTRUCTIONS], "mov in purgatory_verify+0x0: fs or gs";
    "another privileged instruction": executes("invlpg (%rax)")
        => [INSTRUCTIONS], "invlpg in purgatory_verify+0x0: privileged";
    "data between the functions": executes(".byte 0x06")
        => [INSTRUCTIONS], "invalid in purgatory_verify+0x0: no instruction";
    "each in its place": in_their_places()
        => [], "ok    11  every instruction in its place              27, of which 7 need a reason";
    "CPUID even where ports are allowed": green("purgatory_verify:", "cpuid\npurgatory_verify:\n")
        => [INSTRUCTIONS], "cpuid in purgatory_start+0x7: CPUID";
    "vector state in somebody else's":
        foreign("jmp     purgatory_verify", "nop; sha256_compress_shani: movaps %xmm0, %xmm1")
        => [INSTRUCTIONS], "movaps in sha256_compress_shani+0x0: vector or other extension";
    "HLT and a GDT in somebody else's": foreign("jmp     purgatory_verify", "lgdt (%rax); hlt")
        => [], "ok    11  every instruction in its place";
    // 16: the register image
    "kexec-tools' order of registers": green("rax, rcx, rdx, rbx,", "rax, rbx, rcx, rdx,")
        => [ORDER], "rbx is loaded from offset 8, where the loader puts rcx";
    "an order that is read through a register":
        green("mov     .Lregs + word(%rip)", "lea .Lregs(%rip), %r15\n mov 8(%r15)")
        => [ORDER], "rax is loaded from offset 8, where the loader puts rcx";
    // 19: ballast
    "unwind tables": with_flags(&["-fasynchronous-unwind-tables"])
        => [BALLAST], "is loaded: built with unwind tables";
    "debug information": with_flags(&["-g"])
        => [BALLAST], "built with -g";
    // kexec-tools
    "kexec-tools' own" @ KEXEC_TOOLS: assemble(TOOL)
        => [], "ok   6.2  loads the registers in the tool's order     17 of 17";
    "the kernel's own, to kexec-tools" @ KEXEC_TOOLS: assemble(GREEN)
        => [DEFINED, TOOL_ORDER, LOADS], "there is no entry32_regs";
    "for another machine, to kexec-tools" @ KEXEC_TOOLS: patched_tool(|blob| blob[16] = 2)
        => [FILE], "e_type is ET_EXEC";
    "a section beyond the file, to kexec-tools" @ KEXEC_TOOLS:
        tool_section(".text", |header| header.sh_offset.set(LE, 1 << 40))
        => [BOUNDS, LOADS], "reaches beyond the file";
    "alignment 0, to kexec-tools" @ KEXEC_TOOLS:
        tool_section(".text", |header| header.sh_addralign.set(LE, 0))
        => [], "ok   6.1  alignments are powers of two";
    "alignment 24, to kexec-tools" @ KEXEC_TOOLS:
        tool_section(".data", |header| header.sh_addralign.set(LE, 24))
        => ["alignments are powers of two", LOADS], "has sh_addralign 0x18";
    "linked to an address, to kexec-tools" @ KEXEC_TOOLS:
        tool_section(".data", |header| header.sh_addr.set(LE, 0x1000))
        => ["loaded sections have address 0"], "has sh_addr 0x1000";
    "another section first" @ KEXEC_TOOLS:
        tool(".global purgatory_start,", ".skip 64\n .section .text.b, \"ax\"\n .global purgatory_start,")
        => [TOOL_ENTRY], "kexec-tools enters at +0x0, purgatory_start is at +0x40";
    "no serial_base" @ KEXEC_TOOLS: tool("serial_base", "serial_port")
        => [DEFINED, LOADS], "Symbol: serial_base not found cannot get (and kexec ends)";
    "a word for a byte" @ KEXEC_TOOLS: tool("\\name, 1, 1", "\\name, 4, 4")
        => [SIZES, LOADS], "Symbol: reset_vga has size: 4 not 1 (and kexec ends)";
    "a table in .bss, to kexec-tools" @ KEXEC_TOOLS:
        tool("symbol  sha256_digest, 32, 32", ".pushsection .bss\n symbol sha256_digest, 32, 32\n .popsection")
        => [PLACES, LOADS], "Symbol: sha256_digest is in a bss section cannot set";
    "stack end off by 8, to kexec-tools" @ KEXEC_TOOLS: tool("stack_end:", ".skip 8\n stack_end:")
        => ["stack_end is aligned to 16 bytes"], "stack_end is at +0x";
    "a table that leaves its section, to kexec-tools" @ KEXEC_TOOLS:
        tool("sha256_regions, 256, 256", "sha256_regions, 256, 8")
        => [INSIDE, LOADS], "sha256_regions (256 bytes at 0x";
    "two digests, to kexec-tools" @ KEXEC_TOOLS: {
        let mut blob = tool("stack_end:", "symbol sha256_sum, 32, 32\nstack_end:");
        let mut name = 0;
        edit_symbol(&mut blob, "sha256_digest", |symbol| name = symbol.st_name.get(LE));
        edit_symbol(&mut blob, "sha256_sum", |symbol| symbol.st_name.set(LE, name));
        blob
    } => ["symbols are defined once"], "duplicate symbol sha256_digest: the loader uses the first";
    "the kernel's order, to kexec-tools" @ KEXEC_TOOLS:
        tool("rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp", "rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi")
        => [TOOL_ORDER], "rcx is loaded from offset 8, where the loader puts rbx";
    "an undefined symbol is 0 to kexec-tools" @ KEXEC_TOOLS: tool("jmp     spin", "call memcpy")
        => [UNDEFINED], "undefined symbol: memcpy, referenced from .text+0x";
    "an undefined function, to kexec-tools" @ KEXEC_TOOLS:
        tool("jmp     spin", ".type hook, @function\n call hook")
        => [UNDEFINED, LOADS], "Undefined symbol: hook";
    "common, to kexec-tools" @ KEXEC_TOOLS: tool("jmp     spin", ".comm buffer, 64\n call buffer")
        => [UNDEFINED, LOADS], "symbol: 'buffer' in common section";
    "REL, to kexec-tools" @ KEXEC_TOOLS:
        tool_section(".rela.data", |header| header.sh_type.set(LE, elf::SHT_REL))
        => [RELA, LOADS], "REL, whose addends are taken for 0";
    "relocations of no section, to kexec-tools" @ KEXEC_TOOLS:
        tool_section(".rela.data", |header| header.sh_info.set(LE, 99))
        => [RELA, LOADS], "Invalid section number (and kexec ends)";
    "a GOT, to kexec-tools" @ KEXEC_TOOLS: tool("jmp     spin", "mov hook@GOTPCREL(%rip), %rax\n hook:")
        => [TOOL_TYPES, LOADS], "Unhandled rela relocation: R_X86_64_";
    "a relocation beyond its section, to kexec-tools" @ KEXEC_TOOLS:
        relocation_in(assemble(TOOL), ".rela.data", |entry| entry.r_offset.set(LE, 1 << 20))
        => [OPERANDS, LOADS], "writes outside the section's bytes";
    "32 bits, to kexec-tools" @ KEXEC_TOOLS: tool("pointer: .quad  spin", ".long spin")
        => [LOADS], "overflow in relocation type R_X86_64_32 val 100000";
    "vectors, to kexec-tools" @ KEXEC_TOOLS: tool("jmp     spin", "pxor %xmm0, %xmm0\n jmp spin")
        => [VECTORS], "pxor in spin+0x2: vector or other extension";
    // Our own
    "constants in a section of their own":
        green(".section .stack", ".section .rodata, \"a\"\n .quad 1\n .section .stack")
        => ["one section of bytes, then the stack", "the stack is where the code looks for it"],
           "2 sections with bytes, 1 without";
    "a static table of &str": green(".quad   1", ".quad   purgatory_start")
        => ["no relocations", "same bytes at every address"],
           "bytes differ between 0x3000 and 0x100000000";
    "starts late": green("purgatory_start:", "nop\npurgatory_start:")
        => ["starts with its first byte"], "purgatory_start is at 0x1, e_entry is 0x1";
    "stack not on the next page":
        green(".balign 4096\n        .skip   4096", ".balign 64\n .skip 4096")
        => ["the stack is where the code looks for it"], "is loaded at +0x11c0, linked at +0x2000";
    "less than a page of stack": green("4096\nstack_end:", "64\nstack_end:\n .skip 4096")
        => ["the stack is where the code looks for it", STACK], "stack_end is at 0x40 of .stack (section";
    "a page and more on the stack": green("purgatory_verify:", "sub $0x1000, %rsp\npurgatory_verify:")
        => [STACK], "4432 of 4096 bytes: the trip 1 x 4096, reports on exceptions 2 x 48";
    "no room for a report on a double fault": green(".skip   512", ".skip   320")
        => [FAULT_STACK], "336 of 320 bytes: reports on exceptions 2 x 48";
    "a function that nothing leads to": green("x86_exception_stubs:", "lost: ret\nx86_exception_stubs:")
        => [STACK, FAULT_STACK], ") is on no path that was walked";
    "recursion": executes("self: call self")
        => [STACK, FAULT_STACK], "purgatory_verify (0x7) calls itself, without a bound";
    "a call through a register": executes("call *%rax")
        => [STACK, FAULT_STACK], "purgatory_verify (0x7) goes where no register is known to lead";
    "a call through a register that is known":
        executes("lea x86_exception_stubs(%rip), %rbx\n push %rbx\n pop %rax\n call *%rax")
        => [], "344 of 4096 bytes: the trip 1 x 8,";
    "what is behind a far return":
        executes("push $16\n lea 1f(%rip), %rax\n push %rax\n lretq\n1: sub $0x2000, %rsp\n jmp .")
        => [STACK], "8528 of 4096 bytes: the trip 1 x 8192,";
    "a far return to who knows where": executes("push $16\n push %rax\n lretq")
        => [STACK, FAULT_STACK], "goes where no register is known to lead";
    "a return from another depth": executes("push %rax\n ret")
        => [STACK, FAULT_STACK], "returns from another depth";
    "a stack pointer out of nowhere": executes("and $-64, %rsp")
        => [STACK, FAULT_STACK], "sets the stack pointer to who knows what";
    "no purgatory_verify": green("purgatory_start, purgatory_verify", "purgatory_start")
        => ["exports its own symbols"], "purgatory_verify is STB_LOCAL";
    "a record beside the code":
        green("stack_end:\npurgatory_status:", "stack_end:\n.section .purgatory\npurgatory_status:")
        => ["exports its own symbols"], "whose pages hold code";
    "a bit of its code": patched(|blob| {
        let code = blob.windows(2).position(|code| code == [0xeb, 0xfe]);
        blob[code.unwrap() - 1] ^= 0x10;
    })
        => ["sums up to its checksum"], "bytes in front of it make";
    "too big": green("purgatory_config:", ".skip 12000\npurgatory_config:")
        => ["fits the slot of the stock blob"], "bytes; Debian's 7.2 has 17032";
    "panics": green("purgatory_verify:", "_ZN4core9panicking5panic17hE:\npurgatory_verify:")
        => ["no panic path"], "symbol _ZN4core9panicking5panic17hE";
    "panics, and is stripped": green(".quad   1", ".quad 1\n .ascii \"purgatory/src/verify.rs:1\"")
        => ["no panic path"], "names src/verify.rs";
};
