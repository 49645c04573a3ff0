// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs what may end in an exception, on any machine: its assembly has `guarded_call`,
//! its exception handler goes on behind that call where [`RESUME`] is not 0.
#![expect(unsafe_code, reason = "a call that the exception handler can end")]

use core::arch::asm;

use super::machine;
use crate::abi::Exported;

/// The stack pointer of the innermost guarded call, 0 outside of any.
pub(super) static RESUME: Exported<u64> = Exported::new(0);

unsafe extern "C" {
    fn guarded_call(function: extern "C" fn(*mut ()), argument: *mut ());
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
    extern "C" fn call<T, F: FnMut() -> T>(call: *mut ()) {
        // SAFETY: the only caller passes its own `Call`, which it does not touch meanwhile.
        let call = unsafe { &mut *call.cast::<Call<T, F>>() };
        let result = (call.action)();
        // Nothing is written before this that an exception above would have prevented.
        // SAFETY: empty.
        unsafe { asm!("", options(nostack, preserves_flags)) };
        call.result = Some(result);
    }
    let mut argument = Call {
        action,
        result: None,
    };
    // SAFETY: `call` takes what the pointer leads to.
    unsafe { guarded_call(call::<T, F>, (&raw mut argument).cast()) };
    argument.result
}

/// Tells whether a byte of memory can be read.
pub(crate) fn can_read(address: u64) -> bool {
    guarded(|| machine::touch(address)).is_some()
}
