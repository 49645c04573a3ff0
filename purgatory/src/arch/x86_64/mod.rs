//! `x86_64`. What needs no privilege is compiled for hosts too, so that the very
//! same code runs in their tests.

pub mod mem;
pub mod sha256;

#[cfg(target_os = "none")]
mod clock;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod exceptions;
#[cfg(target_os = "none")]
mod features;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod tables;

#[cfg(target_os = "none")]
pub use {
    clock::cycles_per_microsecond,
    console::{console_byte, open_console},
    features::fastest_backend,
    machine::{ADDRESS_LIMIT, cycles, guarded, halt, jump, prepare, reset, stack_is_sound, wait},
};

use crate::sha256::{BLOCK, Backend, compress_portable};

/// What [`compress`] knows.
pub const BACKENDS: &[Backend] = &[Backend::Portable, Backend::Avx2, Backend::ShaNi];

/// Computes the compression function.
#[expect(unsafe_code, reason = "calls assembly")]
pub fn compress(backend: Backend, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    match backend {
        Backend::Portable => compress_portable(state, blocks),
        // SAFETY: the slice says how many blocks are readable. A backend is named
        // only after it was probed, or by a caller that vouches for the CPU.
        Backend::Avx2 => unsafe {
            sha256::sha256_compress_avx2(state, blocks.as_ptr(), blocks.len());
        },
        // SAFETY: as above.
        Backend::ShaNi => unsafe {
            sha256::sha256_compress_shani(state, blocks.as_ptr(), blocks.len());
        },
    }
}
