// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blobs for the tests, made by the machine's own `cc` and `ld`; nothing is
//! committed as a binary.

use std::process::Command;
use std::{env, fs};

use crate::wrap;

/// A purgatory of ours that holds every promise and verifies nothing.
pub(crate) const GREEN: &str = "
        .section .purgatory, \"awx\", @progbits
        .balign 4096
        .global purgatory_start, purgatory_verify, stack_end, purgatory_config, purgatory_status
        .global purgatory_checksum
        .global entry64_regs, purgatory_sha_regions, purgatory_sha256_digest
        .set    word, 0
purgatory_start:
        lea     .Lstack(%rip), %rsp
purgatory_verify:
        jmp     purgatory_verify
        .size   purgatory_verify, . - purgatory_verify
x86_exception_stubs:
        .irp    reg, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
        mov     .Lregs + word(%rip), %\\reg
        .set    word, word + 8
        .endr
        jmp     *.Lregs + 128(%rip)
text_end:
        .balign 8
purgatory_checksum:
        .skip   8
        .size   purgatory_checksum, 8
        .balign 4096
.Lregs:
entry64_regs:
        .skip   136
        .size   entry64_regs, 136
purgatory_sha_regions:
        .skip   256
        .size   purgatory_sha_regions, 256
purgatory_sha256_digest:
        .skip   32
        .size   purgatory_sha256_digest, 32
purgatory_config:
        .quad   1
        .size   purgatory_config, 8
        .set    .Lstack, purgatory_start + 0x3000

        .section .stack, \"aw\", @nobits
        .balign 4096
        .skip   4096
stack_end:
purgatory_status:
        .skip   160
        .size   purgatory_status, 160
fault_stack_start:
        .skip   512
fault_stack_end = .
";

/// A purgatory in the manner of the stock ones: C, several loaded sections,
/// PC32, PLT32 and 64-bit relocations, the stack in `.bss`.
pub(crate) const FOREIGN: &str = "
        unsigned long entry64_regs[17] __attribute__((section(\".rodata\"))) = {0};
        unsigned long purgatory_sha_regions[32] __attribute__((section(\".kexec-purgatory\"))) = {0};
        unsigned char purgatory_sha256_digest[32] __attribute__((section(\".kexec-purgatory\"))) = {0};
        unsigned char stack_end[4096] __attribute__((aligned(4096))) = {1};
        unsigned char lstack[4096] __attribute__((aligned(4096)));
        unsigned long *table = entry64_regs;
        int differs(void) {
            volatile unsigned char sum[32];
            int i;
            for (i = 0; i < 32; i++)
                sum[i] = purgatory_sha_regions[i];
            for (i = 0; i < 32; i++)
                if (sum[i] != purgatory_sha256_digest[i])
                    return 1;
            return 0;
        }
        void purgatory_start(void) {
            while (differs())
                (*(volatile unsigned long *)table)++;
            lstack[0] = 1;
        }
";

/// The flags of the kernel's own `arch/x86/purgatory/Makefile` that matter.
pub(crate) const STOCK_FLAGS: &[&str] = &[
    "-O1",
    "-ffreestanding",
    "-mcmodel=small",
    "-fpic",
    "-fvisibility=hidden",
    "-fno-zero-initialized-in-bss",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
    "-fno-inline",
    "-mgeneral-regs-only",
];

/// Assembles a source and links it as the kernel does: `ld -r -e purgatory_start`; then
/// fills in its checksum, if it is one of ours.
pub(crate) fn assemble(source: &str) -> Vec<u8> {
    let mut blob = build("S", source, &[]);
    // What is none is for a test to find out.
    let _ = wrap::seal(&mut blob);
    blob
}

/// Compiles C and links it likewise.
pub(crate) fn compile(source: &str, flags: &[&str]) -> Vec<u8> {
    build("c", source, flags)
}

/// Assembles sources and links them to a program.
pub(crate) fn program(sources: &[&str], flags: &[&str]) -> Vec<u8> {
    link("S", sources, &[], flags)
}

fn build(suffix: &str, source: &str, flags: &[&str]) -> Vec<u8> {
    link(suffix, &[source], flags, &["-r"])
}

fn link(suffix: &str, sources: &[&str], flags: &[&str], link_flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    // The code is x86-64's; other machines have a compiler for it under its own name.
    let tool = |name: &str, cross: &str| match env::consts::ARCH {
        "x86_64" => Command::new(name),
        _ => Command::new(format!("x86_64-linux-gnu-{cross}")),
    };
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {errors}");
    };
    let linked = folder.path().join("linked");
    let mut ld = tool("ld", "ld");
    ld.args(link_flags)
        .args(["-e", "purgatory_start", "-o"])
        .arg(&linked);
    for (index, source) in sources.iter().enumerate() {
        let path = folder.path().join(format!("fixture{index}.{suffix}"));
        fs::write(&path, source).unwrap();
        let object = path.with_extension("o");
        run(tool("cc", "gcc")
            .args(flags)
            .arg("-c")
            .arg(&path)
            .arg("-o")
            .arg(&object));
        ld.arg(object);
    }
    run(&mut ld);
    fs::read(&linked).unwrap()
}
