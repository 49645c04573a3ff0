// SPDX-License-Identifier: MIT OR Apache-2.0
//! What both guests do alike: speak, look at memory, end QEMU.

use core::{
    fmt::{self, Write},
    ptr, slice,
};

use qemu_exit::{QEMUExit, RISCV64};

use super::{EXIT, TALK};
use crate::plan::Range;

struct Talk;

impl Write for Talk {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let place = ptr::with_exposed_provenance_mut::<u32>(TALK as usize);
        for byte in text.bytes() {
            // SAFETY: QEMU's console; writing has no effect on memory.
            unsafe { place.write_volatile(byte.into()) };
        }
        Ok(())
    }
}

/// Says a line to the host.
pub fn say(line: fmt::Arguments<'_>) {
    // Writing to the console cannot fail.
    let _ = writeln!(Talk, "{line}");
}

/// Returns memory as bytes.
///
/// A guest owns its whole machine; it does not hold two overlapping slices of
/// which one is written.
#[must_use]
pub const fn memory(range: Range) -> &'static mut [u8] {
    let start = ptr::with_exposed_provenance_mut(range.start as usize);
    // SAFETY: the ranges of a plan are RAM, and its parts do not overlap.
    unsafe { slice::from_raw_parts_mut(start, range.len as usize) }
}

/// Ends QEMU with a value of [`exit`](crate::plan::exit).
pub fn exit_with(value: u32) -> ! {
    // SAFETY: every `virt` has the device there.
    let device = unsafe { RISCV64::new(EXIT) };
    device.exit(value)
}
