//! Runs what may end in an exception.
#![expect(unsafe_code, reason = "a call that the exception handler can end")]

use super::{io, tables::address};
use crate::abi::Exported;

/// The stack pointer of the innermost guarded call, 0 outside of any.
pub(super) static RESUME: Exported<u64> = Exported::new(0);

unsafe extern "sysv64" {
    fn x86_guarded_call(function: extern "sysv64" fn(*mut ()), argument: *mut ());
    safe static x86_guarded_fault: u8;
}

/// Runs `action` and returns what it does; `None` if an exception ended it, halfway.
/// Calls nest.
///
/// Nothing in this crate has a destructor or holds a lock over an action.
pub(crate) fn guarded<T, F: FnMut() -> T>(action: F) -> Option<T> {
    struct Call<T, F> {
        action: F,
        result: Option<T>,
    }
    extern "sysv64" fn call<T, F: FnMut() -> T>(call: *mut ()) {
        // SAFETY: the only caller passes its own `Call`, which it does not touch meanwhile.
        let call = unsafe { &mut *call.cast::<Call<T, F>>() };
        call.result = Some((call.action)());
    }
    let mut argument = Call {
        action,
        result: None,
    };
    // SAFETY: `call` takes what the pointer leads to.
    unsafe { x86_guarded_call(call::<T, F>, (&raw mut argument).cast()) };
    argument.result
}

/// Where a guarded call goes on after an exception.
pub(super) fn after_fault() -> u64 {
    address(&raw const x86_guarded_fault)
}

/// Tells whether a byte of memory can be read.
pub(crate) fn can_read(address: u64) -> bool {
    guarded(|| io::touch(address)).is_some()
}
