//! SHA-256 compression for CPUs that can do better than portable code.
//!
//! Assembly, because LLVM refuses vector intrinsics on the soft-float target that
//! the blob is built for, while its assembler takes the same instructions. This
//! file names the two routines: it does not decide which of them a CPU can run, pad a
//! message or cut one into blocks.
#![expect(unsafe_code, reason = "assembly, called by name")]

use core::arch::global_asm;

use crate::arch::constants::ROUND_CONSTANTS;

global_asm!(include_str!("sha256_ni.S"), round_constants = sym ROUND_CONSTANTS);
global_asm!(include_str!("sha256_avx2.S"), round_constants = sym ROUND_CONSTANTS);

unsafe extern "sysv64" {
    /// Computes the compression function over `count` blocks with the SHA extensions.
    ///
    /// Zeroes the vector registers that it used and leaves the others alone.
    ///
    /// # Safety
    /// `state` is readable and writable, `blocks` readable for `count` blocks, all
    /// of any alignment. The CPU has SHA, SSSE3 and SSE4.1, and CR4.OSFXSR is set.
    pub fn sha256_compress_shani(state: *mut [u32; 8], blocks: *const [u8; 64], count: usize);

    /// Computes the compression function over `count` blocks with AVX2 and BMI2.
    ///
    /// Zeroes all sixteen vector registers, unless `count` is 0. Takes 584 bytes of
    /// stack, its return address included.
    ///
    /// # Safety
    /// `state` is readable and writable, `blocks` readable for `count` blocks, all
    /// of any alignment. The CPU has AVX2 and BMI2, CR4.OSFXSR and CR4.OSXSAVE are
    /// set and XCR0 enables the SSE and the AVX state.
    pub fn sha256_compress_avx2(state: *mut [u32; 8], blocks: *const [u8; 64], count: usize);
}
