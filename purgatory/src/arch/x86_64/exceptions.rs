//! What happens when something goes wrong while we run.

use crate::{abi::Exported, arch, console, report, status::STATUS};

use super::machine;

/// Two letters a vector; `..` has no name (AMD64 manual volume 2, table 8-1).
const MNEMONICS: &str = "DEDBNMBPOFBRUDNMDFMFTSNPSSGPPF..MFACMCXFVECP..............VCSX..";
const NMI: u64 = 2;
const DOUBLE_FAULT: u64 = 8;
const PAGE_FAULT: u64 = 14;
const MACHINE_CHECK: u64 = 18;

/// What the stubs of entry.S leave on the stack.
#[repr(C)]
pub(super) struct Frame {
    registers: [u64; 15],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// The stack pointer of the innermost guarded call, 0 outside of any.
pub(super) static RESUME: Exported<u64> = Exported::new(0);

/// Exceptions that were on their way to end the trip.
static FATAL: Exported<u32> = Exported::new(0);

/// Handles an exception; returns to continue at `frame.rip`.
pub(super) extern "sysv64" fn exception(frame: &mut Frame) {
    let resume = RESUME.read();
    match frame.vector {
        // A watchdog's NMI must not cost the dump.
        NMI => {
            STATUS.nmis.write(STATUS.nmis.read().wrapping_add(1));
            return;
        }
        DOUBLE_FAULT | MACHINE_CHECK => (),
        _ if resume != 0 => {
            frame.rip = machine::guarded_fault();
            frame.rsp = resume;
            return;
        }
        _ => (),
    }
    let fatal = FATAL.read();
    FATAL.write(fatal.wrapping_add(1));
    match fatal {
        // The second is one in the report on the first.
        0 | 1 => report(frame, fatal),
        // No more words: do what was asked for.
        2 => crate::act(),
        _ => arch::halt(),
    }
}

fn report(frame: &Frame, earlier: u32) -> ! {
    let address = x86_64::registers::control::Cr2::read_raw();
    if earlier == 0 {
        STATUS.faulted(frame.vector, frame.error, frame.rip, address);
    } else {
        console::text("\n");
    }
    report::exception(&report::Exception {
        vector: frame.vector,
        mnemonics: MNEMONICS,
        error: frame.error,
        place: frame.rip,
        base: machine::base(),
        address: (frame.vector == PAGE_FAULT).then_some(address),
        names: "raxrbxrcxrdxrsirdirbpr8 r9 r10r11r12r13r14r15riprspcr2",
        registers: &frame.registers,
        others: &[frame.rip, frame.rsp, address],
    });
    crate::finish()
}
