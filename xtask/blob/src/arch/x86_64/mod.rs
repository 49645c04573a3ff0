// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64, as `arch/x86/kernel/kexec-bzimage64.c` and `machine_kexec_64.c` of Linux
//! have it.

mod causes;
mod instructions;
mod registers;
mod stack;

use object::elf::RelocationType;
use object::{Endianness, elf};
use purgatory::abi::{Backend, Config};

use crate::number::ADDRESS_LIMIT;

use super::{Effect, Facts, Registers, Relocations};

pub(super) static FACTS: Facts = Facts {
    name: "x86_64",
    title: "x86-64",
    target: "x86_64-unknown-none",
    rustc_flags: &[
        // The unrolled SHA-256 is 10 KB and does not fit.
        "--cfg=sha2_backend_soft=\"compact\"",
    ],
    linux_target: "x86_64-unknown-linux-gnu",
    debian: "amd64",
    machine: elf::EM_X86_64,
    endianness: Endianness::Little,
    address_limit: ADDRESS_LIMIT,
    entry_alignment: 1,
    symbols: &[
        (REGISTERS.symbol, Some(REGISTERS.size())),
        ("stack_end", None),
        ("purgatory_sha_regions", Some(256)),
        ("purgatory_sha256_digest", Some(32)),
    ],
    slots: &[
        ("5.10", 25_272),
        ("6.1", 21_248),
        ("6.12", 21_904),
        ("7.2", 17_032),
    ],
    registers: REGISTERS,
    relocations: Relocations {
        effect,
        known: "64, 32, 32S, PC32 and PLT32",
        name: |kind| elf::NAMES_R_X86_64.name(kind),
    },
    consoles: Config::CONSOLE_PORT
        | Config::CONSOLE_MMIO
        | Config::CONSOLE_DEBUG
        | Config::CONSOLE_VGA
        | Config::CONSOLE_FRAMEBUFFER
        | Config::CONSOLE_RAMOOPS,
    debug_console: "debug port 0xe9",
    backends: &[Backend::ShaNi, Backend::Sse2, Backend::Portable],
    cause: causes::describe,
    instructions: instructions::RULE,
};

pub(super) use registers::loads;
pub(super) use stack::parts;

/// `struct kexec_entry64_regs` (`arch/x86/include/asm/kexec.h`).
const REGISTERS: Registers = Registers {
    symbol: "entry64_regs",
    names: &[
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ],
    entry: "rip",
    parameters: Some("rsi"),
};

/// `arch_kexec_apply_relocations_add`.
fn effect(kind: RelocationType) -> Option<Effect> {
    let absolute = |width, fits| Effect {
        width,
        is_relative: false,
        fits,
    };
    Some(match kind {
        elf::R_X86_64_NONE => absolute(0, |_| true),
        elf::R_X86_64_64 => absolute(8, |_| true),
        elf::R_X86_64_32 => absolute(4, |value| u32::try_from(value).is_ok()),
        elf::R_X86_64_32S => absolute(4, |value| i32::try_from(value.cast_signed()).is_ok()),
        // The kernel keeps the low half, whatever the distance.
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => Effect {
            is_relative: true,
            ..absolute(4, |_| true)
        },
        _ => return None,
    })
}
