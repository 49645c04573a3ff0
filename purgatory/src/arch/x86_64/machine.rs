//! What lies between the first kernel's last instruction and the next kernel's
//! first one.
//!
//! The entry state is the one that `relocate_kernel_64.S` leaves: long mode, an
//! identity map, no usable stack, interrupts off, CR4 bare, and on most kernels
//! neither GDT nor IDT. The exit state is the same with the register image loaded.
#![expect(unsafe_code, reason = "the machine's own registers and the jump")]

use core::arch::{asm, global_asm};

use x86_64::{
    VirtAddr,
    instructions::{hlt, tables::lidt},
    structures::DescriptorTablePointer,
};

use super::{
    clock::cycles_per_microsecond,
    console::outb,
    exceptions, features,
    tables::{self, address},
};
use crate::abi::Exported;

/// Physical addresses have at most 52 bits (AMD64 manual volume 2, section 5.1).
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// Stands at the low end of the stack while it has not overflowed.
const CANARY: u64 = 0x7075_7267_6174_6f72;

/// `struct kexec_entry64_regs` (`arch/x86/include/asm/kexec.h`): the sixteen
/// registers in hardware order, then rip.
///
/// The kernel's loader reads it, changes rbx, rsp, rsi and rip, and writes it
/// back; the others keep the zeros of the file.
#[unsafe(export_name = "entry64_regs")]
#[unsafe(link_section = ".exported.registers")]
#[used]
static HANDOFF: Exported<[u64; 17]> = Exported::new([0; 17]);

global_asm!(
    include_str!("entry.S"),
    canary = const CANARY,
    exception = sym exceptions::exception,
    handoff = sym HANDOFF,
    resume = sym exceptions::RESUME,
    run = sym crate::run,
    saved_idt = sym tables::SAVED_IDT,
);

unsafe extern "sysv64" {
    fn x86_jump() -> !;
    fn x86_guarded_call(function: extern "sysv64" fn(*mut ()), argument: *mut ()) -> u32;
    safe static x86_guarded_fault: u8;
    safe static stack_start: Exported<u64>;
}

/// Loads our own descriptor tables; exceptions are caught from here on.
pub fn prepare() {
    tables::install();
}

/// Runs `action`; an exception ends it, undone halfway, and returns false.
///
/// Nothing in this crate has a destructor or holds a lock over an action.
pub fn guarded<F: FnMut()>(mut action: F) -> bool {
    extern "sysv64" fn call<F: FnMut()>(action: *mut ()) {
        // SAFETY: the only caller passes its own `action`, which it does not touch meanwhile.
        let action = unsafe { &mut *action.cast::<F>() };
        action();
    }
    let argument = (&raw mut action).cast();
    // SAFETY: `call` takes what `argument` points to; the IDT is loaded.
    unsafe { x86_guarded_call(call::<F>, argument) == 0 }
}

/// Where a guarded call goes on after an exception.
pub(super) fn guarded_fault() -> u64 {
    address(&raw const x86_guarded_fault)
}

/// Where the blob was loaded.
pub(super) fn base() -> u64 {
    let base;
    // Not a reference: the compiler would fold a GOT slot into its arithmetic.
    // SAFETY: computes an address.
    unsafe {
        asm!(
            "lea {}, [rip + purgatory_start]",
            out(reg) base,
            options(nomem, nostack, preserves_flags, pure),
        );
    }
    base
}

/// Returns the time-stamp counter. CR4.TSD is clear at entry, and guests that
/// trap CPUID and port I/O run RDTSC natively.
#[must_use]
pub fn cycles() -> u64 {
    // SAFETY: reads a counter, touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Tells whether the stack kept within its bounds.
#[must_use]
pub fn stack_is_sound() -> bool {
    stack_start.read() == CANARY
}

/// Starts the next kernel.
pub fn jump() -> ! {
    features::restore();
    // SAFETY: the image was verified, the loader filled the register image, and
    // `prepare` saved the IDT that `x86_jump` puts back.
    unsafe { x86_jump() }
}

/// Halts for good. Interrupts are off; after an NMI it halts again, and where
/// HLT itself faults it spins.
pub fn halt() -> ! {
    loop {
        guarded(hlt);
    }
}

/// Resets the machine: by the chipset, by the keyboard controller, by a triple fault.
pub fn reset() -> ! {
    guarded(|| {
        // Reset control register: a hard reset, armed and fired.
        outb(0xcf9, 0x02);
        outb(0xcf9, 0x06);
    });
    guarded(|| outb(0x64, 0xfe));
    let nothing = DescriptorTablePointer {
        limit: 0,
        base: VirtAddr::zero(),
    };
    // SAFETY: the next exception is meant to be the last.
    unsafe { lidt(&nothing) };
    loop {
        // SAFETY: as above.
        unsafe { asm!("ud2") }
    }
}

/// Waits; at least as long on a machine without a timer.
pub fn wait(seconds: u32) {
    /// Cycles in a microsecond of a CPU faster than any.
    const FASTEST: u64 = 8_000;
    let rate = cycles_per_microsecond().unwrap_or(FASTEST);
    for _ in 0..seconds {
        let start = cycles();
        while cycles().wrapping_sub(start) < rate.wrapping_mul(1_000_000) {
            core::hint::spin_loop();
        }
    }
}
