// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the screens of a PC are, and the debug port of those that are emulated.

use super::{
    io::{self, outb},
    machine,
};
use crate::{abi::Config, arch::screen::Screen};

/// VGA's text, and the linear frame buffer.
static SCREENS: [Screen; 2] = [const { Screen::new() }; 2];

/// Takes one of these into use; false if it is not there.
pub(crate) fn open(console: u32) -> bool {
    match console {
        // Where no card is, the writes go nowhere.
        Config::CONSOLE_VGA => screen(console).open(0xb_8000, 80, 25, 160, 2),
        Config::CONSOLE_FRAMEBUFFER => frame_buffer(),
        _ => true,
    }
}

/// Shows a byte on one of them.
pub(crate) fn show(console: u32, byte: u8) {
    if console == Config::CONSOLE_DEBUG {
        outb(0xe9, byte);
    } else {
        screen(console).show(byte);
    }
}

fn screen(console: u32) -> &'static Screen {
    let [text, pixels] = &SCREENS;
    if console == Config::CONSOLE_VGA {
        text
    } else {
        pixels
    }
}

/// Takes the frame buffer into use that the boot parameters describe: `struct
/// screen_info` (`uapi/linux/screen_info.h`), their first 64 bytes.
fn frame_buffer() -> bool {
    let info = io::copy(machine::handoff().argument);
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        kind,
        _,
        width,
        height,
        depth,
        rest @ ..,
    ] = info;
    let [base, base1, _, _, _, _, stride, ..] = rest;
    let [.., upper, upper1, _] = info;
    let [_, kind] = kind.to_le_bytes();
    // Firmware that knows no upper half leaves it 0.
    let base =
        u64::from(upper1) << 48 | u64::from(upper) << 32 | u64::from(base1) << 16 | u64::from(base);
    // VESA's, set up by the BIOS; EFI's.
    matches!(kind, 0x23 | 0x70)
        && u32::from(height) >= Screen::LEAST
        && screen(Config::CONSOLE_FRAMEBUFFER).open(
            base,
            width.into(),
            height.into(),
            stride.into(),
            u32::from(depth).wrapping_add(7) / 8,
        )
}
