//! What happens when something goes wrong while we run.

use crate::{
    abi::Exported,
    arch,
    console::{say, text},
    memory::wide,
    report,
    status::STATUS,
};

use super::machine;

/// Two letters a vector; `..` has no name (AMD64 manual volume 2, table 8-1).
const MNEMONICS: &[[u8; 2]] = {
    let letters = b"DEDBNMBPOFBRUDNMDFMFTSNPSSGPPF..MFACMCXFVECP..............VCSX..";
    letters.as_chunks().0
};
/// Four letters a register, in the order of [`Frame::registers`] and of [`report`].
const NAMES: &[[u8; 4]] = {
    let letters = b"rax rbx rcx rdx rsi rdi rbp r8  r9  r10 r11 r12 r13 r14 r15 rip rsp cr2 ";
    letters.as_chunks().0
};
/// No blob is larger; what lies further from its start is somewhere else.
const LARGEST: u64 = 1 << 20;
const NMI: usize = 2;
pub(super) const DOUBLE_FAULT: usize = 8;
const PAGE_FAULT: usize = 14;
pub(super) const MACHINE_CHECK: usize = 18;

/// What the stubs of entry.S leave on the stack.
#[repr(C)]
pub(super) struct Frame {
    registers: [u64; 15],
    vector: usize,
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
    let vector = wide(frame.vector);
    if earlier == 0 {
        STATUS.faulted(vector, frame.error, frame.rip, address);
    } else {
        text("\n");
    }
    arch::open_console();
    let mnemonic = MNEMONICS.get(frame.vector).copied().unwrap_or_default();
    say!(
        "purgatory: exception %u #%s, error 0x%x, at ",
        vector,
        u16::from_le_bytes(mnemonic).into(),
        frame.error
    );
    let offset = frame.rip.wrapping_sub(machine::base());
    if offset < LARGEST {
        say!("purgatory_start+0x%x", offset);
    } else {
        say!("0x%x", frame.rip);
    }
    if frame.vector == PAGE_FAULT {
        say!(", address 0x%x", address);
    }
    for (index, value) in (0..).zip(&frame.registers) {
        register(index, *value);
    }
    register(15, frame.rip);
    register(16, frame.rsp);
    register(17, address);
    if frame.vector == PAGE_FAULT {
        report::claims_around(address);
    }
    text("\n");
    crate::finish()
}

/// Shows a register, three on a line.
#[inline(never)]
fn register(index: usize, value: u64) {
    text(if index.is_multiple_of(3) {
        "\n  "
    } else {
        "  "
    });
    let name = NAMES.get(index).copied().unwrap_or_default();
    say!("%s%w", u32::from_le_bytes(name).into(), value);
}
