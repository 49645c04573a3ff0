// SPDX-License-Identifier: MIT OR Apache-2.0
//! What both guests do alike: speak, look at memory, end QEMU.

use core::{
    fmt::{self, Write},
    ptr, slice,
};

use qemu_exit::{QEMUExit, X86};
use x86_64::instructions::port::PortWriteOnly;

use super::{EXIT_PORT, TALK_PORT};
use crate::plan::{Range, exit};

struct Talk;

impl Write for Talk {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut port = PortWriteOnly::<u8>::new(TALK_PORT);
        for byte in text.bytes() {
            // SAFETY: QEMU's debug console; writing has no effect on the machine.
            unsafe { port.write(byte) };
        }
        Ok(())
    }
}

/// Says a line to the host.
pub fn say(line: fmt::Arguments<'_>) {
    // Writing to the port cannot fail.
    let _ = writeln!(Talk, "{line}");
}

/// Returns mapped memory as bytes.
///
/// A guest owns its whole machine; it does not hold two overlapping slices of
/// which one is written.
#[must_use]
pub const fn memory(range: Range) -> &'static mut [u8] {
    let start = ptr::with_exposed_provenance_mut(range.start as usize);
    // SAFETY: the ranges of a plan are mapped RAM, and its parts do not overlap.
    unsafe { slice::from_raw_parts_mut(start, range.len as usize) }
}

/// Ends QEMU with a value of [`exit`].
pub fn exit_with(value: u32) -> ! {
    // SAFETY: every machine that boots a guest has an `isa-debug-exit` there.
    let device = unsafe { X86::new(EXIT_PORT, exit::PASSED) };
    device.exit(value)
}
