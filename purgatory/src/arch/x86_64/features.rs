// SPDX-License-Identifier: MIT OR Apache-2.0
//! Switches on what the backends need, and back.
//!
//! Whether a CPU has an instruction is found out by running it, never by CPUID,
//! which raises #VC or #VE in SEV-ES, SEV-SNP and TDX guests, where an absent
//! instruction raises #UD natively everywhere. But that one runs tells nothing of a
//! control register, which a hypervisor may guard: each write of one is guarded
//! here, too. CR4 is changed by one bit; MCE and LA57 are never touched.
#![expect(unsafe_code, reason = "CR4, DR7 and vector registers")]

use x86_64::registers::{
    control::{Cr4, Cr4Flags},
    debug::{Dr7, Dr7Flags},
};

use super::sha256::clear_vectors;
use crate::{abi::Exported, arch::guarded};

/// CR4 as it was found, once it was changed; else 0, which it never is.
static FOUND: Exported<u64> = Exported::new(0);

/// Enables SSE (CR4.OSFXSR).
pub(super) fn enable() {
    guarded(|| {
        let found = Cr4::read_raw();
        let enabled = found | Cr4Flags::OSFXSR.bits();
        if enabled != found {
            write_cr4(enabled);
            FOUND.write(found);
        }
    });
}

/// Disarms the breakpoints of the first kernel: they are not ours to trip over, nor
/// the next kernel's.
pub(super) fn disarm() {
    guarded(|| {
        let found = Dr7::read();
        if !found.flags().is_empty() {
            Dr7::write(Dr7Flags::empty().into());
        }
    });
}

/// Puts CR4 back. Where that faults it stays as it is: a bit that permits
/// instructions costs no kernel its start.
pub(super) fn restore() {
    let found = FOUND.read();
    if found != 0 {
        guarded(|| write_cr4(found));
    }
}

fn write_cr4(value: u64) {
    // SAFETY: the value found at entry, or that with OSFXSR, which only permits
    // instructions.
    unsafe { Cr4::write_raw(value) };
}

/// Clears the vector registers, where there are any.
pub(crate) fn forget() {
    // SAFETY: no code here keeps anything in them over a call.
    guarded(|| unsafe { clear_vectors() });
}
