// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a guest says a byte, and ends QEMU.

use qemu_exit::{QEMUExit, X86};
use x86_64::instructions::port::PortWriteOnly;

use super::{EXIT_PORT, TALK_PORT};
use crate::plan::exit;

/// Says a byte to the host.
pub fn put(byte: u8) {
    // SAFETY: QEMU's debug console; writing has no effect on the machine.
    unsafe { PortWriteOnly::new(TALK_PORT).write(byte) };
}

/// Ends QEMU with a value of [`exit`].
pub fn exit_with(value: u32) -> ! {
    // SAFETY: every machine that boots a guest has an `isa-debug-exit` there.
    let device = unsafe { X86::new(EXIT_PORT, exit::PASSED) };
    device.exit(value)
}
