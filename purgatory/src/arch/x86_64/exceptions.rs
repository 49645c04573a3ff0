//! What happens when something goes wrong while we run.

use crate::{
    abi::Exported,
    arch,
    status::{Phase, STATUS},
};

/// What the stubs of entry.S leave on the stack.
#[repr(C)]
pub(super) struct Frame {
    /// r15 down to rax, in the reverse order of their pushing.
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

/// Handles an exception; returns to continue at `frame.rip`.
pub(super) extern "sysv64" fn exception(frame: &mut Frame) {
    if frame.vector == 2 {
        STATUS.nmis.write(STATUS.nmis.read().wrapping_add(1));
        return;
    }
    STATUS.vector.write(frame.vector);
    STATUS.error.write(frame.error);
    STATUS.rip.write(frame.rip);
    STATUS
        .cr2
        .write(x86_64::registers::control::Cr2::read_raw());
    STATUS.verdict.write(6);
    STATUS.enter(Phase::Faulted);
    arch::stop()
}
