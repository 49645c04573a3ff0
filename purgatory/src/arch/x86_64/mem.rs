// SPDX-License-Identifier: MIT OR Apache-2.0
//! memcpy, memmove, memset, memcmp, bcmp: the compiler calls them by name.
//!
//! String instructions need no alignment case and no loop that a compiler could
//! turn into a call of itself (`ClangBuiltLinux` issue 601). Nothing hot comes
//! through here: regions are hashed where they lie.
#![expect(unsafe_code, reason = "raw memory is their whole job")]

use core::arch::asm;

/// Copies `len` bytes; the ranges do not overlap.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: reads and writes exactly what the caller promised. DF is clear by
    // the ABI, so flags are preserved too.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
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
    let last = len.wrapping_sub(1);
    // SAFETY: `to` lies inside the source, so `len` is not 0 and copying
    // downwards from the last byte reads each byte before it is overwritten.
    // DF is set only inside.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_add(last) => _,
            inout("rsi") from.wrapping_add(last) => _,
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
    // SAFETY: writes exactly what the caller promised; DF is clear by the ABI.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            in("eax") value,
            options(nostack, preserves_flags),
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
    let above: u8;
    let below: u8;
    // SAFETY: reads at most what the caller promised. The comparison of a
    // register with itself makes a length of 0 equal.
    unsafe {
        asm!(
            "cmp al, al",
            "repe cmpsb",
            "seta al",
            "setb {below}",
            inout("rcx") len => _,
            inout("rsi") one => _,
            inout("rdi") other => _,
            out("al") above,
            below = out(reg_byte) below,
            options(nostack, readonly),
        );
    }
    i32::from(above).wrapping_sub(i32::from(below))
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
