// SPDX-License-Identifier: MIT OR Apache-2.0
//! What both guests do alike: speak, and look at memory.

use core::{
    fmt::{self, Write},
    ptr, slice,
};

use crate::{arch::put, plan::Range};

struct Talk;

impl Write for Talk {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(put);
        Ok(())
    }
}

/// Says a line to the host.
pub fn say(line: fmt::Arguments<'_>) {
    // Saying a byte cannot fail.
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
