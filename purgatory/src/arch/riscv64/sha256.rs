// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 compression for CPUs that can do better than portable code.
//!
//! Assembly, so that the same code runs whatever the compiler may assume of the CPU:
//! the blob is built for one that has none of these instructions. This file names the
//! two routines: it does not decide which of them a CPU can run, pad a message or cut
//! one into blocks.
#![expect(unsafe_code, reason = "assembly, called by name")]

use core::arch::global_asm;

use crate::arch::constants::ROUND_CONSTANTS;

global_asm!(include_str!("sha256_zknh.S"), round_constants = sym ROUND_CONSTANTS);
global_asm!(include_str!("sha256_zvknh.S"), round_constants = sym ROUND_CONSTANTS);

unsafe extern "C" {
    /// Computes the compression function over `count` blocks with Zknh. Takes 144
    /// bytes of stack.
    ///
    /// # Safety
    /// `state` is readable and writable, `blocks` readable for `count` blocks, which
    /// may have any alignment. The CPU has Zknh.
    pub fn sha256_compress_zknh(state: *mut [u32; 8], blocks: *const [u8; 64], count: usize);

    /// Computes the compression function over `count` blocks with Zvknha and Zvkb.
    ///
    /// Zeroes the vector registers that it used and leaves the others alone.
    ///
    /// # Safety
    /// `state` is readable and writable, `blocks` readable for `count` blocks, which
    /// may have any alignment. The CPU has Zvknha or Zvknhb, Zvkb, and vector
    /// registers of 128 bits or more, which sstatus.VS has switched on.
    pub fn sha256_compress_zvknh(state: *mut [u32; 8], blocks: *const [u8; 64], count: usize);
}
