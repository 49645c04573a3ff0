// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam: everything that knows what machine it runs on is below this module.
//!
//! An architecture provides these names and no others are visible outside:
//!
//! | name | what it is |
//! |---|---|
//! | `ADDRESS_LIMIT` | no memory lies at or above this physical address |
//! | `BACKENDS` | the hash backends it has code for, the fastest first |
//! | `CAUSES`, `REGISTERS` | what reports call exceptions and registers |
//! | `DEFAULT_CONSOLES` | where a blob speaks that nobody configured |
//! | `own()` | the memory that the purgatory occupies |
//! | `prepare()` | catches exceptions from now on, switches on what backends need |
//! | `accelerate(backend, state, blocks)` | a backend's compression function |
//! | `forget()` | clears what a backend left in registers that it did not finish with |
//! | `cycles()` | a counter of time, 0 where there is none |
//! | `cycles_per_microsecond()` | how fast it runs, if that can be told |
//! | `FASTEST` | no such counter runs faster than that |
//! | `guarded_call` | assembly: a call that the exception handler can end (`guard`) |
//! | `touch(address)` | reads a byte there, for its exception |
//! | `Bus` | how the registers of an 8250 are reached |
//! | `show(console, byte)` | consoles that are no 8250 |
//! | `stack_is_sound()` | whether our stack kept within its bounds |
//! | `handoff()` | where the register image leads |
//! | `jump(verified)` | restores what was found at entry and starts the next kernel |
//! | `halt()`, `reset()` | what can be done instead |
//!
//! The symbol `purgatory_start` and the register image live there as well; its code
//! calls `run` and `fault::fatal`, and nothing else above it.
#![expect(unsafe_code, reason = "only a CPU that has a backend may run it")]

#[cfg(any(target_arch = "riscv64", target_arch = "x86_64"))]
mod constants;
mod portable;
#[cfg(target_arch = "riscv64")]
pub mod riscv64;
#[cfg(target_arch = "x86_64")]
pub mod x86_64;

#[cfg(target_arch = "riscv64")]
use riscv64 as native;
#[cfg(target_arch = "x86_64")]
use x86_64 as native;

#[cfg(target_os = "none")]
mod guard;
#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
use host as machine;
#[cfg(target_os = "none")]
use native as machine;

#[cfg(all(
    target_os = "none",
    not(any(target_arch = "riscv64", target_arch = "x86_64"))
))]
compile_error!("this architecture has no module under purgatory/src/arch yet");

#[cfg(target_os = "none")]
pub(crate) use guard::{can_read, guarded};
#[cfg(not(target_os = "none"))]
pub(crate) use host::{can_read, guarded};
pub use machine::{ADDRESS_LIMIT, BACKENDS, CAUSES, DEFAULT_CONSOLES, REGISTERS};
pub(crate) use machine::{
    Bus, cycles, cycles_per_microsecond, forget, halt, handoff, jump, own, prepare, reset, show,
    stack_is_sound,
};

use crate::{abi::Backend, status::STATUS};

/// Waits; about as long on a machine without a timer or a counter.
pub(crate) fn wait(seconds: u32) {
    /// What a turn of the loop takes at least, where nothing else tells the time: a
    /// PAUSE, and two exceptions.
    const TURN: u64 = 400;
    let rate = cycles_per_microsecond().unwrap_or(machine::FASTEST);
    for _ in 0..seconds {
        let mut left = rate.wrapping_mul(1_000_000);
        let mut last = cycles();
        while left > 0 {
            core::hint::spin_loop();
            let now = cycles();
            let passed = if now == 0 {
                TURN
            } else {
                now.wrapping_sub(last)
            };
            left = left.saturating_sub(passed);
            last = now;
        }
    }
}

/// Bytes that one call of the compression function takes in.
pub const BLOCK: usize = 64;

/// A backend that this CPU runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usable(Backend);

impl Usable {
    /// Every CPU runs this one.
    pub const PORTABLE: Self = Self(Backend::Portable);

    /// Takes the caller's word for it.
    ///
    /// # Safety
    /// The CPU has the instructions of `backend`, and they are switched on.
    #[must_use]
    pub const unsafe fn vouched(backend: Backend) -> Self {
        Self(backend)
    }

    /// Finds out, by what the backend does: where it ends in an exception the CPU has
    /// no such instructions, and where it does not work it is on record as a suspect.
    pub(crate) fn tried(backend: Backend, works: fn(Self) -> bool) -> Option<Self> {
        let usable = Self(backend);
        match guarded(|| works(usable)) {
            Some(true) => return Some(usable),
            Some(false) => STATUS.suspect(backend.number()),
            None => forget(),
        }
        None
    }

    /// Returns which one it is.
    #[must_use]
    pub const fn backend(self) -> Backend {
        self.0
    }
}

/// Runs `blocks` through the compression function of a backend.
pub(crate) fn compress(backend: Usable, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    match backend.0 {
        Backend::Portable => portable::compress(state, blocks),
        // SAFETY: that the CPU runs it was found out, or promised to `vouched`.
        accelerated => unsafe { machine::accelerate(accelerated, state, blocks) },
    }
}
