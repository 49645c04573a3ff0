// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way in, and what comes through the gates: the two places where the machine
//! calls the rest of the program.
#![expect(unsafe_code, reason = "the symbols that assembly calls")]

use core::arch::{asm, global_asm};

use x86_64::registers::control::Cr2;

use super::{
    machine,
    tables::{self, MACHINE_CHECK, address},
};
use crate::{
    abi,
    arch::guard::{self, guarded},
    fault::{self, Fault},
    memory::wide,
    status::STATUS,
};

global_asm!(
    include_str!("entry.S"),
    canary = const machine::CANARY,
    checksum = sym abi::CHECKSUM,
    exception = sym exception,
    factor = const abi::CHECKSUM_FACTOR,
    handoff = sym machine::HANDOFF,
    resume = sym guard::RESUME,
    rotation = const abi::CHECKSUM_ROTATION,
    run = sym crate::run,
    saved_idt = sym tables::SAVED_IDT,
);

unsafe extern "sysv64" {
    /// Where a guarded call goes on after an exception.
    safe static x86_guarded_fault: u8;
}

const NMI: u64 = 2;
const PAGE_FAULT: u64 = 14;
const VIRTUALIZATION: u64 = 20;

/// What the stubs of entry.S leave on the stack: 15 registers, vector, error code, rip,
/// cs, rflags, rsp, ss, as [`super::REGISTERS`] names them.
type Frame = [u64; 22];

/// Handles an exception; returns to continue at the frame's rip.
extern "sysv64" fn exception(frame: &mut Frame) {
    /// Only the bit that is always set: no direction, no trap.
    const PLAIN: u64 = 2;
    let [.., vector, error, rip, _, rflags, rsp, _] = frame;
    let (cause, code, at) = (*vector, *error, *rip);
    match cause {
        // A watchdog's NMI must not cost the dump.
        NMI => return STATUS.nmis.write(STATUS.nmis.read().wrapping_add(1)),
        VIRTUALIZATION => acknowledge(),
        _ => (),
    }
    let resume = guard::RESUME.read();
    // A double fault, too, ends what was guarded: in a TDX guest a second #VE becomes
    // one. A machine check is about the machine, not about what was tried.
    if resume != 0 && cause != wide(MACHINE_CHECK) {
        *rip = address(&raw const x86_guarded_fault);
        *rsp = resume;
        *rflags = PLAIN;
        return;
    }
    // The report stands on its own: nothing may resume behind its back.
    guard::RESUME.write(0);
    fault::fatal(&Fault {
        cause,
        code,
        at,
        address: (cause == PAGE_FAULT).then(Cr2::read_raw),
        registers: frame,
    })
}

/// Fetches what a #VE was about (TDG.VP.VEINFO.GET, TDCALL leaf 3): until then the
/// next one is a double fault (Intel TDX module, Linux `tdx_get_ve_info()`). Nobody
/// reads it. Where a #VE came from anything else, TDCALL is #UD and ends here.
fn acknowledge() {
    // SAFETY: reads and clears the module's own note; changes the registers named.
    guarded(|| unsafe {
        asm!(
            "tdcall",
            inout("rax") 3_u64 => _,
            out("rcx") _,
            out("rdx") _,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
            options(nomem, nostack),
        );
    });
}
