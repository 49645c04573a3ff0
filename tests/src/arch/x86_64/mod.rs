// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64: a PC, or a microVM.

#[cfg(not(target_os = "none"))]
pub mod cases;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub mod guest;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[cfg(not(target_os = "none"))]
use crate::cases::{Config, Console};
use crate::{arch::MemoryMap, plan::Range};

/// Port of QEMU's `isa-debugcon` that both guests speak on: not 0x402, where the
/// firmware speaks, and neither COM1 nor 0xE9, which belong to the purgatory.
pub const TALK_PORT: u16 = 0x5e9;

/// Port of QEMU's `isa-debug-exit`.
pub const EXIT_PORT: u16 = 0xf4;

/// Returns the exit code of a QEMU whose guest wrote `value` to [`EXIT_PORT`].
#[must_use]
pub const fn exit_code(value: u32) -> u32 {
    value << 1 | 1
}

/// Where things are.
pub const MEMORY: MemoryMap = MemoryMap {
    harness: Range {
        start: 0x10_0000,
        len: 0x50_0000,
    },
    info: INFO_AT,
    // Below 640 KiB, as kernels place them on small machines.
    parameters: 0x7_0000,
    ram_disk: 0x0200_0000,
    small: 0x0300_0000,
    large: 0x0800_0000,
    mapped: Some(0x0400_0000),
    lowest: 0x3000,
    uart: 0x0280_0000,
    zone: 0x0280_2000,
    screen: 0x0c00_0000,
    unmapped: 0x70_0000_0000,
};
/// Where the harness leaves the plan for the payload.
pub const PLAN_AT: u64 = 0x50_0000;
/// Where the harness builds the payload's `BootInfo`; the image's rdi points there.
pub const INFO_AT: u64 = 0x51_0000;
/// Where the payload is linked.
pub const PAYLOAD: u64 = 0x100_0000;

/// [Flag](crate::plan::Plan::flags): run on five levels of page tables.
pub const FIVE_LEVELS: u64 = 1;
/// [Flag](crate::plan::Plan::flags): leave a GDT and a 16-gate IDT behind, as Linux 7.x does.
pub const DEBUG_IDT: u64 = 2;
/// [Flag](crate::plan::Plan::flags): catch machine checks (CR4.MCE), as kernels in TDX guests leave them.
pub const MACHINE_CHECKS: u64 = 8;
/// [Flag](crate::plan::Plan::flags): leave other selectors than 0x18 in DS, ES, FS, GS.
pub const OTHER_SEGMENTS: u64 = 16;
/// [Flag](crate::plan::Plan::flags): leave SSE switched on (CR4.OSFXSR).
pub const SSE_ON: u64 = 32;
/// [Flag](crate::plan::Plan::flags): leave a breakpoint armed, on the RAM disk.
pub const BREAKPOINT: u64 = 64;
/// [Flag](crate::plan::Plan::flags): come from an NMI that did not return, with another one waiting.
pub const FROM_NMI: u64 = 128;
/// What the blob is built with.
#[cfg(not(target_os = "none"))]
pub const DEFAULTS: Config = Config {
    consoles: &[Console::Ports, Console::Debug, Console::Framebuffer],
    ..crate::cases::DEFAULTS
};

/// What the kernels leave in GDTR and IDTR, each a flag and how a boot in it is called:
/// limit 0 in both (Linux 5.10 to 6.12), or tables (7.x).
pub const STATES: [(u64, &str); 2] = [(0, ""), (DEBUG_IDT, "-debug-idt")];

/// The registers in the order in which the payload's entry code stores them.
pub const REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// The processor right before the jump.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct State {
    /// CR0, CR3, CR4.
    pub control: [u64; 3],
    /// EFER.
    pub efer: u64,
    /// XCR0, 0 where the CPU has no XSAVE.
    pub xcr0: u64,
    /// IDTR: limit, base.
    pub idt: [u64; 2],
    /// Whether the CPU has AVX.
    pub avx: u64,
}
