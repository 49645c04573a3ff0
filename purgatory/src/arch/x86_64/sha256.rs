//! SHA-256 compression for CPUs that can do better than portable code.
//!
//! Assembly, because LLVM refuses vector intrinsics on the soft-float target that
//! the blob is built for, while its assembler takes the same instructions. This
//! file names the routines and holds the table they share: it does not decide
//! which of them a CPU can run, pad a message or cut one into blocks.
#![expect(unsafe_code, reason = "assembly, called by name")]

use core::arch::{global_asm, naked_asm};

/// The round constants of FIPS 180-4, section 4.2.2; aligned, because legacy SSE
/// instructions fault on memory that is not.
#[repr(C, align(64))]
struct RoundConstants([u32; 64]);

static ROUND_CONSTANTS: RoundConstants = RoundConstants([
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
]);

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
