// SPDX-License-Identifier: MIT OR Apache-2.0
//! memcpy, memmove, memset, memcmp, bcmp: the compiler calls them by name.
//!
//! Loops in assembly, byte by byte: they need no alignment case, and no compiler can
//! turn them into a call of themselves (`ClangBuiltLinux` issue 601). Nothing hot
//! comes through here: regions are hashed where they lie.
#![expect(unsafe_code, reason = "raw memory is their whole job")]

use core::arch::asm;

/// Copies `len` bytes; the ranges do not overlap.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: reads and writes exactly what the caller promised.
    unsafe {
        asm!(
            "beq {from}, {end}, 2f",
            "1: lbu {byte}, ({from})",
            "sb {byte}, ({to})",
            "addi {from}, {from}, 1",
            "addi {to}, {to}, 1",
            "bne {from}, {end}, 1b",
            "2:",
            byte = out(reg) _,
            end = in(reg) from.wrapping_add(len),
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            options(nostack),
        );
    }
    to
}

/// Copies `len` bytes; the ranges may overlap.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= len {
        // SAFETY: `to` is not inside the source, so copying upwards reads each
        // byte before it is overwritten; the ranges are the caller's.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: `to` lies inside the source, so `len` is not 0 and copying
    // downwards from the last byte reads each byte before it is overwritten.
    unsafe {
        asm!(
            "1: addi {from}, {from}, -1",
            "addi {to}, {to}, -1",
            "lbu {byte}, ({from})",
            "sb {byte}, ({to})",
            "bne {from}, {start}, 1b",
            byte = out(reg) _,
            from = inout(reg) from.wrapping_add(len) => _,
            start = in(reg) from,
            to = inout(reg) to.wrapping_add(len) => _,
            options(nostack),
        );
    }
    to
}

/// Fills `len` bytes with the low byte of `value`.
///
/// # Safety
/// `to` is writable for `len` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: writes exactly what the caller promised.
    unsafe {
        asm!(
            "beq {to}, {end}, 2f",
            "1: sb {value}, ({to})",
            "addi {to}, {to}, 1",
            "bne {to}, {end}, 1b",
            "2:",
            end = in(reg) to.wrapping_add(len),
            to = inout(reg) to => _,
            value = in(reg) value,
            options(nostack),
        );
    }
    to
}

/// Compares `len` bytes; the sign of the result is that of the first difference.
///
/// # Safety
/// Both are readable for `len` bytes.
#[must_use]
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    let difference;
    // SAFETY: reads at most what the caller promised.
    unsafe {
        asm!(
            "li {difference}, 0",
            "beq {one}, {end}, 2f",
            "1: lbu {difference}, ({one})",
            "lbu {byte}, ({other})",
            "sub {difference}, {difference}, {byte}",
            "bnez {difference}, 2f",
            "addi {one}, {one}, 1",
            "addi {other}, {other}, 1",
            "bne {one}, {end}, 1b",
            "2:",
            byte = out(reg) _,
            difference = out(reg) difference,
            end = in(reg) one.wrapping_add(len),
            one = inout(reg) one => _,
            other = inout(reg) other => _,
            options(nostack, readonly),
        );
    }
    difference
}

/// Compares `len` bytes; 0 when they are equal.
///
/// # Safety
/// Both are readable for `len` bytes.
#[must_use]
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, len: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(one, other, len) }
}
