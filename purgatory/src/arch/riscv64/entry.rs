// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way in, and where exceptions arrive: the two places where the machine calls
//! the rest of the program.
#![expect(unsafe_code, reason = "the symbols that assembly calls")]

use core::arch::{asm, global_asm};

use super::machine;
use crate::{
    abi::{self, Exported},
    arch::guard,
    fault::{self, Fault},
};

global_asm!(
    include_str!("entry.S"),
    canary = const machine::CANARY,
    checksum = sym abi::CHECKSUM,
    entry = sym machine::ENTRY,
    exception = sym exception,
    factor = const abi::CHECKSUM_FACTOR,
    found = sym machine::FOUND,
    frame = sym FRAME,
    resume = sym guard::RESUME,
    rotation = const abi::CHECKSUM_ROTATION,
    run = sym crate::run,
);

/// What entry.S leaves of whoever failed: x1 to x31, sepc, sstatus, as
/// [`super::REGISTERS`] names them.
type Frame = [u64; 33];

/// Not on the stack: nobody returns to it, and it may be what failed.
static FRAME: Exported<Frame> = Exported::new([0; 33]);

/// Handles an exception that nobody waited for.
extern "C" fn exception(frame: &Frame) -> ! {
    const ILLEGAL_INSTRUCTION: u64 = 2;
    const HYPERVISOR_CALLS: [u64; 4] = [8, 9, 10, 11];
    let [.., at, _] = frame;
    let (cause, about): (u64, u64);
    // SAFETY: reads two registers, which changes nothing.
    unsafe {
        asm!("csrr {}, scause", "csrr {}, stval", out(reg) cause, out(reg) about,
            options(nomem, nostack, preserves_flags));
    }
    // stval is the instruction, or the address (privileged architecture, 12.1.9).
    let is_address = cause != ILLEGAL_INSTRUCTION && !HYPERVISOR_CALLS.contains(&cause);
    fault::fatal(&Fault {
        cause,
        code: if is_address { 0 } else { about },
        at: *at,
        address: is_address.then_some(about),
        registers: frame,
    })
}
