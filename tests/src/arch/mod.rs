// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is different on every architecture: memory map, devices, states at entry, and
//! cases of its own.
//!
//! A host boots any of them. A guest sees the names of its own:
//!
//! | name | what it is |
//! |---|---|
//! | `PLAN_AT`, `INFO_AT` | where the harness leaves the plan, and a `BootInfo` |
//! | `State` | the processor right before the jump |
//! | `put(byte)` | says a byte to the host |
//! | `exit_with(value)` | ends QEMU |

pub mod riscv64;
pub mod x86_64;

use crate::plan::Range;

/// Where the host puts things in a machine's memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap {
    /// The harness: its program, its page tables, plan and `BootInfo`.
    pub harness: Range,
    /// The `BootInfo`.
    pub info: u64,
    /// Boot parameters.
    pub parameters: u64,
    /// The RAM disk.
    pub ram_disk: u64,
    /// Where small segments begin.
    pub small: u64,
    /// Where a large one begins.
    pub large: u64,
    /// A purgatory that is mapped elsewhere, where kernels leave translation on.
    pub mapped: Option<u64>,
    /// The lowest place of any segment.
    pub lowest: u64,
    /// A page that can play an 8250 in memory.
    pub uart: u64,
    /// A page that can be a zone of ramoops.
    pub zone: u64,
    /// Where RAM can play a frame buffer.
    pub screen: u64,
    /// There is no memory here, for the purgatory at least.
    pub unmapped: u64,
}

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use x86_64::{
    INFO_AT, PLAN_AT, State,
    guest::{exit_with, put},
};

#[cfg(all(target_os = "none", target_arch = "riscv64"))]
pub use riscv64::{
    INFO_AT, PLAN_AT, State,
    guest::{exit_with, put},
};

#[cfg(all(
    target_os = "none",
    not(any(target_arch = "riscv64", target_arch = "x86_64"))
))]
compile_error!("this architecture has no module under tests/src/arch yet");
