// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ports, device memory and the time-stamp counter: accesses that a machine may
//! answer with an exception.
//!
//! They are assembly, because the compiler takes for granted that its own accesses
//! succeed. Where one faults it ends in the guard around it.
#![expect(unsafe_code, reason = "instructions that Rust has no words for")]

use core::{arch::asm, mem::MaybeUninit};

use x86_64::instructions::port::Port;

use super::paging::reach;

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
                let [low, ..] = read(word_at(base, register)).to_le_bytes();
                low
            }
        }
    }

    /// Writes a register of the device at `base`.
    pub(crate) fn write(self, base: u64, register: u16, value: u8) {
        match self {
            Self::Ports => outb(port(base, register), value),
            Self::Words => write(word_at(base, register), value.into()),
        }
    }
}

/// Reads a word of physical memory, whatever is there.
#[inline(never)]
pub(crate) fn read(address: u64) -> u32 {
    let word;
    // SAFETY: reads the word, and changes nothing but a device that was configured;
    // options: memory may change by it, so neither `pure` nor `nomem`.
    unsafe {
        asm!("mov {:e}, [{}]", out(reg) word, in(reg) reach(address),
            options(nostack, preserves_flags));
    }
    word
}

/// Writes a word of physical memory, of a device that is neither in a region nor ours:
/// the caller looked.
#[inline(never)]
pub(crate) fn write(address: u64, value: u32) {
    // SAFETY: no memory of the program.
    unsafe {
        asm!("mov [{}], {:e}", in(reg) reach(address), in(reg) value,
            options(nostack, preserves_flags));
    }
}

/// Copies 64 bytes of physical memory, whatever is there.
pub(super) fn copy(address: u64) -> [u16; 32] {
    let mut copy = MaybeUninit::uninit();
    // SAFETY: writes `copy` and nothing else. DF is clear by the ABI.
    unsafe {
        asm!("rep movsw", inout("rcx") 32_u64 => _, inout("rdi") copy.as_mut_ptr() => _,
            inout("rsi") reach(address) => _,
            options(nostack, preserves_flags));
    }
    // SAFETY: all of it was written.
    unsafe { copy.assume_init() }
}

/// Fills physical memory, likewise: with words, and with their lowest byte what is left.
#[inline(never)]
pub(crate) fn fill(address: u64, word: u32, count: u32) {
    // SAFETY: no memory of the program. DF is clear by the ABI.
    unsafe {
        asm!("mov {count:e}, ecx", "shr ecx, 2", "rep stosd", "mov ecx, {count:e}", "and ecx, 3",
            "rep stosb", count = out(reg) _, in("eax") word, inout("ecx") count => _,
            inout("rdi") reach(address) => _, options(nostack));
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
