// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies between the first kernel's last instruction and the next kernel's
//! first one.
//!
//! The entry state is the one that `kexec_relocate.S` leaves: S-mode without
//! translation, interrupts off, a hart's number in a0 and a device tree in a1. The
//! exit state is the same.
#![expect(unsafe_code, reason = "the machine's own registers and the jump")]

use core::arch::{asm, naked_asm};

use super::{io::address_of, sbi};
use crate::{
    abi::{Exported, Handoff, Imported, Region},
    arch::guarded,
    verify::Verified,
};

/// Physical addresses have at most 56 bits (privileged architecture, 12.4.1).
pub const ADDRESS_LIMIT: u64 = 1 << 56;

/// Stands at the low end of the stack while it has not overflowed.
pub(super) const CANARY: u64 = 0x7075_7267;

/// Where the next kernel is entered; `riscv_kernel_entry` is its name in
/// `arch/riscv/kernel/machine_kexec_file.c`, which writes it.
#[unsafe(export_name = "riscv_kernel_entry")]
#[unsafe(link_section = ".exported.registers")]
#[used]
pub(super) static ENTRY: Imported<u64> = Imported::new(0);

/// a0, a1, sstatus, sscratch and stvec as they were found: from `purgatory_start`,
/// for `riscv_jump`.
pub(super) static FOUND: Exported<[u64; 5]> = Exported::new([0; 5]);

unsafe extern "C" {
    fn riscv_jump() -> !;
}

/// Catches exceptions from here on, and switches the vector registers on: where
/// there are none, the bits stay 0.
pub(crate) fn prepare() {
    /// sstatus.VS: initial. SDT: an exception is not expected while one is handled.
    const VECTORS: u64 = 1 << 9;
    const DOUBLE_TRAP: u64 = 1 << 24;
    let handler = address_of!("riscv_exception");
    // SAFETY: the handler is there, and needs nothing but zeroed memory; the bits of
    // sstatus permit instructions and exceptions. None of them can fault.
    unsafe {
        asm!(
            "csrw stvec, {handler}",
            "csrc sstatus, {double_trap}",
            "csrs sstatus, {vectors}",
            handler = in(reg) handler,
            double_trap = in(reg) DOUBLE_TRAP,
            vectors = in(reg) VECTORS,
            options(nostack),
        );
    }
}

/// Clears the vector registers, where there are any.
pub(crate) fn forget() {
    // SAFETY: no code here keeps anything in them over a call.
    guarded(|| unsafe { clear_vectors() });
}

#[unsafe(naked)]
unsafe extern "C" fn clear_vectors() {
    naked_asm!(
        ".option push",
        ".option arch, +zve32x",
        "vsetvli t0, zero, e32, m8, ta, ma",
        ".irp i, 0, 8, 16, 24",
        "vmv.v.i v\\i, 0",
        ".endr",
        ".option pop",
        "ret",
    )
}

/// The memory that we occupy, from the first byte of the blob to the end of the
/// stacks and records behind it.
pub(crate) fn own() -> Region {
    let start = address_of!("purgatory_start");
    let end = address_of!("fault_stack_end");
    Region {
        start,
        len: end.wrapping_sub(start),
    }
}

/// Tells whether the stack kept within its bounds.
#[must_use]
pub(crate) fn stack_is_sound() -> bool {
    unsafe extern "C" {
        safe static stack_start: Exported<u64>;
    }
    stack_start.read() == CANARY
}

/// The device tree that the first kernel handed over, 0 for none.
pub(super) fn tree() -> u64 {
    let [_, tree, ..] = FOUND.read();
    tree
}

/// Returns where the next kernel starts, and its device tree.
pub(crate) fn handoff() -> Handoff {
    Handoff {
        entry: ENTRY.read(),
        argument: tree(),
    }
}

/// Starts the next kernel.
pub(crate) fn jump(_: Verified) -> ! {
    // SAFETY: the image was verified, the loader filled in where it is entered, and
    // the entry code saved what `riscv_jump` puts back.
    unsafe { riscv_jump() }
}

/// Stops for good. No interrupt is enabled; where WFI itself faults it spins.
pub(crate) fn halt() -> ! {
    loop {
        guarded(|| {
            // SAFETY: waits.
            unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) };
        });
    }
}

/// Resets the machine; where the firmware cannot, it is off, or stopped.
pub(crate) fn reset() -> ! {
    sbi::reset();
    halt()
}
