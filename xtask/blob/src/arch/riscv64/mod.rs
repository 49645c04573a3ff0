// SPDX-License-Identifier: MIT OR Apache-2.0
//! riscv64, as `arch/riscv/kernel/machine_kexec_file.c` of Linux has it.

mod causes;
mod instructions;

use object::elf::RelocationType;
use object::{Endianness, elf};
use purgatory::abi::{Backend, Config};

use super::{Effect, Facts, Registers, Relocations};

pub(super) static FACTS: Facts = Facts {
    name: "riscv64",
    title: "RISC-V",
    target: "riscv64imac-unknown-none-elf",
    // Its scheduler has more of SHA-256 at hand than there are registers.
    rustc_flags: &["-Cllvm-args=-enable-misched=false"],
    linux_target: "riscv64gc-unknown-linux-gnu",
    debian: "riscv64",
    machine: elf::EM_RISCV,
    endianness: Endianness::Little,
    address_limit: 1 << 56,
    // kdump comes through stvec, whose lowest bits are a mode.
    entry_alignment: 4,
    symbols: &[
        (REGISTERS.symbol, Some(REGISTERS.size())),
        ("purgatory_sha_regions", Some(256)),
        ("purgatory_sha256_digest", Some(32)),
    ],
    // Debian's kernels bring it, although none of them has `KEXEC_FILE`.
    slots: &[("6.12", 34_792), ("7.2", 39_592)],
    registers: REGISTERS,
    relocations: Relocations {
        effect,
        known: "64, PCREL_HI20, CALL, BRANCH, JAL, RVC_BRANCH, RVC_JUMP, ADD16 to SUB32",
        name: |kind| elf::NAMES_R_RISCV.name(kind),
    },
    consoles: Config::CONSOLE_MMIO | Config::CONSOLE_DEBUG | Config::CONSOLE_RAMOOPS,
    debug_console: "the firmware, else the UART of the device tree",
    backends: &[Backend::Zvknh, Backend::Zknh, Backend::Portable],
    cause: causes::describe,
    instructions: instructions::RULE,
};

/// Only where the next kernel is entered: a0 and a1 go through.
const REGISTERS: Registers = Registers {
    symbol: "riscv_kernel_entry",
    names: &["pc"],
    entry: "pc",
    parameters: None,
};

/// `arch_kexec_apply_relocations_add`, as far as it writes whole words; it ignores what
/// a linker could relax. The fields of instructions are not played: what has such
/// relocations is not ours.
fn effect(kind: RelocationType) -> Option<Effect> {
    let absolute = |width| Effect {
        width,
        is_relative: false,
        fits: |_| true,
    };
    Some(match kind {
        elf::R_RISCV_64 => absolute(8),
        elf::R_RISCV_ALIGN | elf::R_RISCV_RELAX => absolute(0),
        _ => return None,
    })
}
