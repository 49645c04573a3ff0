// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ports, device memory and the time-stamp counter: accesses that a machine may
//! answer with an exception.
//!
//! They are assembly, because the compiler takes for granted that its own accesses
//! succeed. Where one faults it ends in the guard around it.
#![expect(unsafe_code, reason = "instructions that Rust has no words for")]

use core::arch::asm;

use x86_64::instructions::port::Port;

/// How the registers of a device are reached.
#[derive(Clone, Copy)]
pub(crate) enum Bus {
    /// I/O ports, one after the other.
    Ports,
    /// Words of 32 bits in memory.
    Words,
}

impl Bus {
    /// Reads a register of the device at `base`.
    pub(crate) fn read(self, base: u64, register: u16) -> u8 {
        match self {
            Self::Ports => inb(port(base, register)),
            Self::Words => {
                let word: u32;
                // SAFETY: reads the word, and changes nothing but a device that was
                // configured; options: memory may change by it, so neither `pure`
                // nor `nomem`.
                unsafe {
                    asm!("mov {:e}, [{}]", out(reg) word, in(reg) word_at(base, register),
                        options(nostack, preserves_flags));
                }
                let [low, ..] = word.to_le_bytes();
                low
            }
        }
    }

    /// Writes a register of the device at `base`.
    pub(crate) fn write(self, base: u64, register: u16, value: u8) {
        match self {
            Self::Ports => outb(port(base, register), value),
            // SAFETY: writes one word, of a device that was configured and is neither
            // in a region nor ours (console.rs).
            Self::Words => unsafe {
                asm!("mov [{}], {:e}", in(reg) word_at(base, register), in(reg) u32::from(value),
                    options(nostack, preserves_flags));
            },
        }
    }
}

/// Writes half a word of the screen's memory.
///
/// # Safety
/// It is no memory of the program.
pub(super) unsafe fn store(address: u64, value: u16) {
    // SAFETY: the caller's; touches no flag and no stack.
    unsafe {
        asm!("mov [{}], {:x}", in(reg) address, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Reads a byte of memory, for its exception.
pub(crate) fn touch(address: u64) {
    // SAFETY: reads memory, or faults, and writes nothing but a flag.
    unsafe { asm!("test byte ptr [{}], 0", in(reg) address, options(nostack, readonly)) };
}

/// Reads the time-stamp counter.
pub(super) fn time_stamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter. Not `pure`: it may fault, and changes.
    unsafe {
        asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

pub(super) fn inb(port: u16) -> u8 {
    // SAFETY: called where the machine has nothing to lose, or on request.
    unsafe { Port::new(port).read() }
}

pub(super) fn outb(port: u16, value: u8) {
    // SAFETY: called where the machine has nothing to lose, or on request.
    unsafe { Port::new(port).write(value) }
}

const fn port(base: u64, register: u16) -> u16 {
    let [low, high, ..] = base.to_le_bytes();
    u16::from_le_bytes([low, high]).wrapping_add(register)
}

fn word_at(base: u64, register: u16) -> u64 {
    base.wrapping_add(u64::from(register).wrapping_mul(4))
}
