// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of devices, and memory that may not be there.
//!
//! The accesses are assembly, because the compiler takes for granted that its own
//! succeed. Where one faults it ends in the guard around it. All are aligned: what is
//! not may trap into the firmware.
#![expect(unsafe_code, reason = "accesses that Rust has no words for")]

use core::arch::asm;

/// Computes the address of a symbol. Not a reference: the compiler would take it
/// from a GOT.
macro_rules! address_of {
    ($symbol:literal) => {{
        let address: u64;
        // SAFETY: computes an address.
        unsafe {
            core::arch::asm!(
                concat!("lla {}, ", $symbol),
                out(reg) address,
                options(nomem, nostack, preserves_flags, pure),
            );
        }
        address
    }};
}
pub(super) use address_of;

/// How the registers of a device are reached.
#[derive(Clone, Copy)]
pub(crate) enum Bus {
    /// I/O ports, which lead nowhere here.
    Ports,
    /// Words of 32 bits in memory.
    Words,
    /// Bytes in memory, so many bytes apart.
    Bytes(u64),
}

impl Bus {
    /// Reads a register of the device at `base`.
    pub(crate) fn read(self, base: u64, register: u16) -> u8 {
        match self {
            Self::Ports => 0xff,
            Self::Words => {
                let [low, ..] = load(place(base, register, 4)).to_le_bytes();
                low
            }
            Self::Bytes(apart) => load_byte(place(base, register, apart)),
        }
    }

    /// Writes a register of the device at `base`.
    pub(crate) fn write(self, base: u64, register: u16, value: u8) {
        match self {
            Self::Ports => (),
            // SAFETY: writes one word, of a device that was configured or found, and
            // is neither in a region nor ours.
            Self::Words => unsafe {
                asm!("sw {}, ({})", in(reg) u32::from(value), in(reg) place(base, register, 4),
                    options(nostack, preserves_flags));
            },
            // SAFETY: writes one byte, likewise.
            Self::Bytes(apart) => unsafe {
                asm!("sb {}, ({})", in(reg) value, in(reg) place(base, register, apart),
                    options(nostack, preserves_flags));
            },
        }
    }
}

/// Reads a word at a multiple of 4.
pub(super) fn load(address: u64) -> u32 {
    let word;
    // SAFETY: reads the word, and changes nothing but a device that was configured or
    // found; options: memory may change by it, so neither `pure` nor `nomem`.
    unsafe {
        asm!("lw {}, ({})", out(reg) word, in(reg) address, options(nostack, preserves_flags));
    }
    word
}

/// Reads a byte.
pub(super) fn load_byte(address: u64) -> u8 {
    let byte;
    // SAFETY: as in `load`.
    unsafe {
        asm!("lbu {}, ({})", out(reg) byte, in(reg) address, options(nostack, preserves_flags));
    }
    byte
}

/// Reads a byte of memory, for its exception.
pub(crate) fn touch(address: u64) {
    load_byte(address);
}

fn place(base: u64, register: u16, apart: u64) -> u64 {
    base.wrapping_add(u64::from(register).wrapping_mul(apart))
}
