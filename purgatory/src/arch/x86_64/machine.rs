// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies between the first kernel's last instruction and the next kernel's
//! first one.
//!
//! The entry state is the one that `relocate_kernel_64.S` leaves: long mode, an
//! identity map, no usable stack, interrupts off, CR4 bare, and on most kernels
//! neither GDT nor IDT. The exit state is the same with the register image loaded.
#![expect(unsafe_code, reason = "the machine's own registers and the jump")]

use x86_64::instructions::hlt;

use super::{
    features,
    io::outb,
    tables::{self, address},
};
use crate::{
    abi::{Exported, Handoff, Imported, Region},
    arch::guarded,
    verify::Verified,
};

/// Physical addresses have at most 52 bits (AMD64 manual volume 2, section 5.1).
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// Stands at the low end of the stack while it has not overflowed.
pub(super) const CANARY: u64 = 0x7075_7267_6174_6f72;

/// `struct kexec_entry64_regs` (`arch/x86/include/asm/kexec.h`): the sixteen
/// registers in hardware order, then rip.
///
/// The kernel's loader reads it, changes rbx, rsp, rsi and rip, and writes it
/// back; the others keep the zeros of the file.
#[unsafe(export_name = "entry64_regs")]
#[unsafe(link_section = ".exported.registers")]
#[used]
pub(super) static HANDOFF: [Imported<u64>; 17] = [const { Imported::new(0) }; 17];

unsafe extern "sysv64" {
    fn x86_jump() -> !;
    safe static purgatory_start: u8;
    safe static stack_start: Exported<u64>;
    safe static fault_stack_end: u8;
}

/// Loads our own descriptor tables; exceptions are caught from here on. Then
/// switches on what the backends need.
pub(crate) fn prepare() {
    tables::install();
    features::disarm();
    features::enable();
}

/// The memory that we occupy, from the first byte of the blob to the end of the
/// stacks and records behind it.
pub(crate) fn own() -> Region {
    let start = address(&raw const purgatory_start);
    let end = address(&raw const fault_stack_end);
    Region {
        start,
        len: end.wrapping_sub(start),
    }
}

/// Tells whether the stack kept within its bounds.
#[must_use]
pub(crate) fn stack_is_sound() -> bool {
    stack_start.read() == CANARY
}

/// Returns where the register image leads: rip, and rsi, which the boot protocol
/// has lead to the boot parameters.
pub(crate) fn handoff() -> Handoff {
    let [_, _, _, _, _, _, rsi, .., rip] = &HANDOFF;
    Handoff {
        entry: rip.read(),
        argument: rsi.read(),
    }
}

/// Starts the next kernel.
pub(crate) fn jump(_: Verified) -> ! {
    features::restore();
    // SAFETY: the image was verified, the loader filled the register image, and
    // the entry code saved the IDT that `x86_jump` puts back.
    unsafe { x86_jump() }
}

/// Halts for good. Interrupts are off; after an NMI it halts again, and where
/// HLT itself faults it spins.
pub(crate) fn halt() -> ! {
    loop {
        guarded(hlt);
    }
}

/// Resets the machine: by the chipset, by the keyboard controller, by a triple fault.
pub(crate) fn reset() -> ! {
    guarded(|| {
        // Reset control register: a hard reset, armed and fired.
        outb(0xcf9, 0x02);
        outb(0xcf9, 0x06);
    });
    guarded(|| outb(0x64, 0xfe));
    tables::shut_down()
}
