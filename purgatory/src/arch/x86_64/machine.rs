//! What lies between the first kernel's last instruction and the next kernel's
//! first one.
//!
//! The entry state is the one that `relocate_kernel_64.S` leaves: long mode, an
//! identity map, no usable stack, interrupts off, CR4 bare, and on most kernels
//! neither GDT nor IDT. The exit state is the same with the register image loaded.
#![expect(unsafe_code, reason = "the machine's own registers and the jump")]

use core::arch::global_asm;

use x86_64::instructions::hlt;

use super::{exceptions, tables};
use crate::{
    abi::Exported,
    sha256::{BLOCK, Backend, compress_portable},
};

/// Physical addresses have at most 52 bits (AMD64 manual volume 2, section 5.1).
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// What [`compress`] knows.
pub const BACKENDS: &[Backend] = &[Backend::Portable];

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
    safe static stack_start: Exported<u64>;
}

/// Loads our own descriptor tables; exceptions are caught from here on.
pub fn prepare() {
    tables::install();
}

/// Returns the fastest backend that this CPU executes.
#[must_use]
pub const fn fastest_backend() -> Backend {
    Backend::Portable
}

/// Computes the compression function.
pub fn compress(_: Backend, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    compress_portable(state, blocks);
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
    // SAFETY: the image was verified, the loader filled the register image, and
    // `prepare` saved the IDT that `x86_jump` puts back.
    unsafe { x86_jump() }
}

/// Halts for good. Interrupts are off; after an NMI it halts again.
pub fn stop() -> ! {
    loop {
        hlt();
    }
}
