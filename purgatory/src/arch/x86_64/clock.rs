// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast the time-stamp counter runs, from the timer that every PC has.
//!
//! Used only where the purgatory may touch ports: when it refuses, or when it
//! was asked to be verbose.

use super::io::{inb, outb, time_stamp};
use crate::arch::guarded;

/// Ticks of the 8254 in 10 ms (1.193182 MHz).
const TICKS: u16 = 11_932;
/// Those 10 ms in us.
const MICROSECONDS: u64 = 10_000;
/// How often the timer's output is read before it counts as absent: reading a
/// port takes about 1 us.
const PATIENCE: u32 = 1 << 20;

/// Speaker control: gate of channel 2, and its output.
const CONTROL: u16 = 0x61;
const GATE: u8 = 1;
const SPEAKER: u8 = 2;
const OUTPUT: u8 = 0x20;
/// Mode of channel 2: both bytes of the count, interrupt on terminal count.
const MODE: u16 = 0x43;
const COUNT_ONCE: u8 = 0xb0;
const CHANNEL: u16 = 0x42;

/// Cycles in a microsecond of a CPU faster than any.
pub(crate) const FASTEST: u64 = 8_000;

/// Returns the time-stamp counter, 0 where a hypervisor does not let us read it
/// (SEV-ES guests). CR4.TSD is clear at entry.
#[must_use]
pub(crate) fn cycles() -> u64 {
    guarded(time_stamp).unwrap_or(0)
}

/// Measures the ticks of [`cycles`] in a microsecond; `None` without a timer.
#[must_use]
pub(crate) fn cycles_per_microsecond() -> Option<u64> {
    guarded(|| {
        // A hypervisor that takes the CPU away can only make it longer.
        let mut rate = measure();
        for _ in 0..2 {
            if rate > 0 {
                rate = rate.min(measure());
            }
        }
        rate
    })
    .filter(|rate| *rate > 0)
}

/// Measures once; 0 without a timer.
#[inline(never)]
fn measure() -> u64 {
    let found = inb(CONTROL);
    let [low, high] = TICKS.to_le_bytes();
    outb(CONTROL, found & !SPEAKER | GATE);
    outb(MODE, COUNT_ONCE);
    outb(CHANNEL, low);
    let start = time_stamp();
    outb(CHANNEL, high);
    // A port with nothing behind it reads as all ones, from the start.
    let begun = inb(CONTROL) & OUTPUT == 0;
    let ended = begun && (0..PATIENCE).any(|_| inb(CONTROL) & OUTPUT != 0);
    let elapsed = time_stamp().wrapping_sub(start);
    outb(CONTROL, found);
    if ended { elapsed / MICROSECONDS } else { 0 }
}
