// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware does for us: the RISC-V Supervisor Binary Interface.
//!
//! It is asked to do it, not whether it could: what it does not know ends in an error.
#![expect(unsafe_code, reason = "a call into the firmware")]

use core::arch::asm;

/// Extensions: debug console, system reset; and the two of version 0.1 that were it.
const DEBUG_CONSOLE: u64 = 0x4442_434e;
const CONSOLE_PUTCHAR: u64 = 0x01;
const SYSTEM_RESET: u64 = 0x5352_5354;
const SHUTDOWN: u64 = 0x08;

/// Shows a byte; false if there is nothing to show it on.
pub(super) fn show(byte: u8) -> bool {
    const WRITE_BYTE: u64 = 2;
    let byte = [byte.into(), 0];
    call(DEBUG_CONSOLE, WRITE_BYTE, byte) == 0 || call(CONSOLE_PUTCHAR, 0, byte) == 0
}

/// Resets the machine, or switches it off; returns if it does neither.
pub(super) fn reset() {
    const COLD_REBOOT: u64 = 1;
    const SYSTEM_FAILURE: u64 = 1;
    call(SYSTEM_RESET, 0, [COLD_REBOOT, SYSTEM_FAILURE]);
    call(SHUTDOWN, 0, [0; 2]);
}

/// Calls it; returns its error, 0 for none. In one place, so that it is known where.
#[inline(never)]
fn call(extension: u64, function: u64, [first, second]: [u64; 2]) -> u64 {
    let error;
    // SAFETY: none of the functions above touches memory of ours; the firmware
    // changes a0 and a1, no other register.
    unsafe {
        asm!(
            "ecall",
            inlateout("a0") first => error,
            inlateout("a1") second => _,
            in("a6") function,
            in("a7") extension,
            options(nostack),
        );
    }
    error
}
