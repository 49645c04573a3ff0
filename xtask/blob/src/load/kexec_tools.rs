// SPDX-License-Identifier: MIT OR Apache-2.0
//! kexec-tools, which loads from user space (`kexec/kexec-elf-rel.c`): another
//! contract than the kernel's, with names of its own and another order of registers.

use object::elf;

/// What a loader of user space does otherwise than the kernel's.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The architecture that this is about.
    pub machine: elf::Machine,
    /// What it looks up by name; without a size it is only an address.
    pub symbols: &'static [(&'static str, Option<u64>)],
    /// The registers in the order in which it fills them in.
    pub registers: &'static [&'static str],
}

/// What its loaders of bzImage, ELF, multiboot and NBI kernels look up for x86-64.
pub(super) static X86_64: Tool = Tool {
    machine: elf::EM_X86_64,
    symbols: &[
        ("entry64_regs", Some(136)),
        ("entry32_regs", Some(36)),
        ("entry16_regs", Some(48)),
        ("entry16_debug_regs", Some(48)),
        ("entry16", None),
        ("entry16_debug", None),
        ("entry16_debug_pre32", None),
        ("entry16_debug_first32", None),
        ("entry16_debug_old_first32", Some(4)),
        ("stack_end", None),
        ("stack_arg32_1", Some(4)),
        ("stack_arg32_2", Some(4)),
        ("cmdline_end", Some(8)),
        ("reset_vga", Some(1)),
        ("serial_base", Some(2)),
        ("serial_baud", Some(4)),
        ("console_vga", Some(1)),
        ("console_serial", Some(1)),
        ("backup_start", Some(8)),
        ("backup_src_start", Some(8)),
        ("backup_src_size", Some(8)),
        ("panic_kernel", Some(1)),
        ("sha256_regions", Some(256)),
        ("sha256_digest", Some(32)),
        ("skip_checks", Some(4)),
    ],
    registers: &[
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ],
};
