// SPDX-License-Identifier: MIT OR Apache-2.0
//! `riscv64`. What needs no privilege is compiled for hosts too, so that the very
//! same code runs in their tests.

pub mod mem;
pub mod sha256;

#[cfg(target_os = "none")]
mod clock;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod io;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod sbi;
#[cfg(target_os = "none")]
mod tree;

#[cfg(target_os = "none")]
pub use machine::ADDRESS_LIMIT;
#[cfg(target_os = "none")]
pub(crate) use {
    clock::{FASTEST, cycles, cycles_per_microsecond},
    console::show,
    io::{Bus, touch},
    machine::{forget, halt, handoff, jump, own, prepare, reset, stack_is_sound},
};

use super::BLOCK;
use crate::abi::{Backend, Config};

/// The backends, the fastest first.
pub const BACKENDS: &[Backend] = &[Backend::Zvknh, Backend::Zknh, Backend::Portable];

/// Where a blob speaks that nobody configured: through the firmware.
pub const DEFAULT_CONSOLES: u32 = Config::CONSOLE_DEBUG;

/// What an exception was about: instruction, load, store, environment call, and then
/// misaligned, access fault, page fault; `..` has no name (privileged architecture,
/// table 35).
pub const CAUSES: &[[u8; 4]] = {
    let letters =
        b"IAM\0IAF\0ILL\0BRK\0LAM\0LAF\0SAM\0SAF\0ECU\0ECS\0ECV\0ECM\0IPF\0LPF\0..\0\0SPF\0\
        DBL\0..\0\0SWC\0HWE\0IGF\0LGF\0VIL\0SGF\0";
    letters.as_chunks().0
};

/// Four letters a register, in the order of a frame (entry.S).
pub const REGISTERS: &[[u8; 4]] = {
    let letters = b"ra  sp  gp  tp  t0  t1  t2  s0  s1  a0  a1  a2  a3  a4  a5  a6  a7  \
        s2  s3  s4  s5  s6  s7  s8  s9  s10 s11 t3  t4  t5  t6  pc  sst ";
    letters.as_chunks().0
};

/// Computes the compression function of a backend.
///
/// # Safety
/// This CPU has the instructions of the backend, and they are switched on.
#[expect(unsafe_code, reason = "calls assembly")]
pub(crate) unsafe fn accelerate(backend: Backend, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    let compress = match backend {
        Backend::Zknh => sha256::sha256_compress_zknh,
        Backend::Zvknh => sha256::sha256_compress_zvknh,
        _ => return,
    };
    // SAFETY: the slice says how many blocks are readable; the CPU is the caller's.
    unsafe { compress(state, blocks.as_ptr(), blocks.len()) }
}
