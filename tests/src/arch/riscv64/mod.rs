// SPDX-License-Identifier: MIT OR Apache-2.0
//! RISC-V: QEMU's `virt`, with the firmware that it brings.

#[cfg(not(target_os = "none"))]
pub mod cases;
#[cfg(all(target_os = "none", target_arch = "riscv64"))]
pub mod guest;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{arch::MemoryMap, plan::Range};

/// Where a byte is said: the emergency write of the virtio console in the first slot,
/// which needs no queue (Virtual I/O Device, version 1.2, 5.3.4).
pub const TALK: u64 = 0x1000_1108;

/// QEMU's test device, which ends it.
pub const EXIT: u64 = 0x10_0000;

/// Where the host puts the plan and what it moves.
pub const IMAGE_AT: u64 = 0x9000_0000;

/// Where RAM begins; the firmware keeps the first of it.
pub const RAM: u64 = 0x8000_0000;

/// Where things are.
pub const MEMORY: MemoryMap = MemoryMap {
    harness: Range {
        start: 0x8020_0000,
        len: 0x50_0000,
    },
    info: INFO_AT,
    parameters: 0x8080_0000,
    ram_disk: 0x8200_0000,
    small: 0x8300_0000,
    large: 0x8800_0000,
    mapped: None,
    lowest: 0x8020_0000,
    uart: 0x8280_0000,
    zone: 0x8280_2000,
    screen: 0x8c00_0000,
    unmapped: 0x70_0000_0000,
};
/// Where the harness leaves the plan for the payload.
pub const PLAN_AT: u64 = 0x8060_0000;
/// Where the harness builds the payload's `BootInfo`.
pub const INFO_AT: u64 = 0x8061_0000;
/// The payload's stack ends here.
pub const STACK_END: u64 = 0x8070_0000;
/// Where the payload is linked.
pub const PAYLOAD: u64 = 0x8100_0000;

/// [Flag](crate::plan::Plan::flags): come through stvec, as kdump does.
pub const CRASH: u64 = 1;
/// [Flag](crate::plan::Plan::flags): leave vector registers switched on (sstatus.VS).
pub const VECTORS_ON: u64 = 2;

/// What the blob is built with.
#[cfg(not(target_os = "none"))]
pub use crate::cases::DEFAULTS;

/// How the kernels come, each a flag and how a boot of it is called.
pub const STATES: [(u64, &str); 2] = [(0, ""), (CRASH, "-crash")];

/// The registers that go through the purgatory.
pub const THROUGH: [&str; 2] = ["a0", "a1"];

/// The processor right before the jump.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct State {
    /// sstatus, as the jump leaves it.
    pub sstatus: u64,
    /// stvec, likewise.
    pub stvec: u64,
    /// sscratch.
    pub sscratch: u64,
    /// sie.
    pub sie: u64,
    /// satp.
    pub satp: u64,
    /// Whether there are vector registers.
    pub vectors: u64,
    /// Unused.
    pub reserved: [u64; 2],
}
