// SPDX-License-Identifier: MIT OR Apache-2.0
//! Consoles that only a PC has: QEMU's debug port, VGA text.
#![expect(unsafe_code, reason = "the screen's memory")]

use super::io::{self, outb};
use crate::abi::{Config, Exported};

/// The next cell of the VGA screen.
static CURSOR: Exported<u64> = Exported::new(0);

/// Shows a byte on one of them.
#[inline(never)]
pub(crate) fn show(console: u32, byte: u8) {
    if console == Config::CONSOLE_DEBUG {
        outb(0xe9, byte);
    } else {
        screen(byte);
    }
}

/// Shows a byte on the VGA text screen: 80 columns, 25 rows, from the top, and
/// from the top again. A new line clears the rest of its row.
fn screen(byte: u8) {
    const SCREEN: u64 = 0xb_8000;
    const COLUMNS: u64 = 80;
    const CELLS: u64 = COLUMNS * 25;
    const LIGHT_GREY: u16 = 0x0700;

    let mut cursor = CURSOR.read();
    loop {
        let shown = if byte == b'\n' { b' ' } else { byte };
        let cell = SCREEN.wrapping_add(cursor.wrapping_mul(2));
        // SAFETY: cell `cursor` of the screen, which is below `CELLS`; where no
        // screen is, the write goes nowhere or ends in the guard.
        unsafe { io::store(cell, LIGHT_GREY | u16::from(shown)) };
        cursor = cursor.wrapping_add(1);
        if byte != b'\n' || cursor.is_multiple_of(COLUMNS) {
            break;
        }
    }
    CURSOR.write(if cursor < CELLS { cursor } else { 0 });
}
