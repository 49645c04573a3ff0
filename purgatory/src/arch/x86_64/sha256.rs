// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 compression for CPUs that can do better than portable code.
//!
//! Assembly, because LLVM refuses vector intrinsics on the soft-float target that
//! the blob is built for, while its assembler takes the same instructions. This
//! file names the routines: it does not decide which of them a CPU can run, pad a
//! message or cut one into blocks.
#![expect(unsafe_code, reason = "assembly, called by name")]

use core::arch::{global_asm, naked_asm};

use crate::arch::constants::ROUND_CONSTANTS;

global_asm!(
    include_str!("sha256_ni.S"),
    clear = sym clear_vectors,
    round_constants = sym ROUND_CONSTANTS,
);
global_asm!(
    include_str!("sha256_sse2.S"),
    clear = sym clear_vectors,
    round_constants = sym ROUND_CONSTANTS,
);

unsafe extern "sysv64" {
    /// Computes the compression function over `count` blocks with the SHA extensions.
    ///
    /// Zeroes the vector registers, unless `count` is 0.
    ///
    /// # Safety
    /// `state` is readable and writable, `blocks` readable for `count` blocks, all
    /// of any alignment. The CPU has SHA, SSSE3 and SSE4.1, and CR4.OSFXSR is set.
    pub fn sha256_compress_shani(state: *mut [u32; 8], blocks: *const [u8; 64], count: usize);

    /// Computes the compression function over `count` blocks with SSE2.
    ///
    /// Zeroes the vector registers, unless `count` is 0. Takes 360 bytes of stack, its
    /// return address included.
    ///
    /// # Safety
    /// `state` is readable and writable, `blocks` readable for `count` blocks, all
    /// of any alignment. CR4.OSFXSR is set.
    pub fn sha256_compress_sse2(state: *mut [u32; 8], blocks: *const [u8; 64], count: usize);
}

/// Zeroes the vector registers, as far as SSE knows them: the next kernel gets no
/// vector state from here. Both routines end with it.
///
/// # Safety
/// CR4.OSFXSR is set, and nobody keeps anything in them.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn clear_vectors() {
    naked_asm!(
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "xorps xmm\\i, xmm\\i",
        ".endr",
        "ret",
    )
}
