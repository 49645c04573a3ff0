// SPDX-License-Identifier: MIT OR Apache-2.0
//! The timer that every hart has; the device tree says how fast it runs.
#![expect(unsafe_code, reason = "reads a register")]

use core::arch::asm;

use super::tree;
use crate::arch::guarded;

/// Ticks in a microsecond of the fastest timer: servers, which have no device tree
/// to tell, count nanoseconds (`CTI_010` of the specification for RISC-V servers).
pub(crate) const FASTEST: u64 = 1_000;

/// Returns the timer, 0 where firmware or a hypervisor does not let us read it.
#[must_use]
pub(crate) fn cycles() -> u64 {
    guarded(|| {
        let time;
        // SAFETY: reads a counter. Not `pure`: it may fault, and changes.
        unsafe { asm!("rdtime {}", out(reg) time, options(nomem, nostack, preserves_flags)) };
        time
    })
    .unwrap_or(0)
}

/// Returns the ticks of [`cycles`] in a microsecond; `None` where nobody tells, or it
/// is slower than that.
#[must_use]
pub(crate) fn cycles_per_microsecond() -> Option<u64> {
    let frequency = guarded(tree::timebase).flatten()?;
    Some(u64::from(frequency) / 1_000_000).filter(|rate| *rate > 0)
}
