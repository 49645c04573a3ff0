// SPDX-License-Identifier: MIT OR Apache-2.0
//! `x86_64`. What needs no privilege is compiled for hosts too, so that the very
//! same code runs in their tests.

pub mod mem;
pub mod sha256;

#[cfg(target_os = "none")]
mod clock;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod features;
#[cfg(target_os = "none")]
mod io;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod screen;
#[cfg(target_os = "none")]
mod tables;

#[cfg(target_os = "none")]
pub use machine::ADDRESS_LIMIT;
#[cfg(target_os = "none")]
pub(crate) use {
    clock::{FASTEST, cycles, cycles_per_microsecond},
    features::forget,
    io::{Bus, touch},
    machine::{halt, handoff, jump, own, prepare, reset, stack_is_sound},
    screen::show,
};

use super::BLOCK;
use crate::abi::{Backend, Config};

/// The backends, the fastest first.
pub const BACKENDS: &[Backend] = &[Backend::ShaNi, Backend::Sse2, Backend::Portable];

/// Where a blob speaks that nobody configured: COM1, and what QEMU logs.
pub const DEFAULT_CONSOLES: u32 = Config::CONSOLE_PORT | Config::CONSOLE_DEBUG;

/// Letters a vector; `..` has no name (AMD64 manual volume 2, table 8-1).
pub const CAUSES: &[[u8; 4]] = {
    let letters =
        b"#DE\0#DB\0NMI\0#BP\0#OF\0#BR\0#UD\0#NM\0#DF\0#MF\0#TS\0#NP\0#SS\0#GP\0#PF\0#..\0\
        #MF\0#AC\0#MC\0#XF\0#VE\0#CP\0#..\0#..\0#..\0#..\0#..\0#..\0#HV\0#VC\0#SX\0#..\0";
    letters.as_chunks().0
};

/// Four letters a register, in the order of a frame (entry.S); what has no letters is
/// not shown.
pub const REGISTERS: &[[u8; 4]] = {
    let letters = b"rax rbx rcx rdx rsi rdi rbp r8  r9  r10 r11 r12 r13 r14 r15 \
        \0\0\0\0\0\0\0\0rip cs  rfl rsp ss  ";
    letters.as_chunks().0
};

/// Computes the compression function of a backend.
///
/// # Safety
/// This CPU has the instructions of the backend, and they are switched on.
#[expect(unsafe_code, reason = "calls assembly")]
pub(crate) unsafe fn accelerate(backend: Backend, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    match backend {
        // SAFETY: the slice says how many blocks are readable; the CPU is the caller's.
        Backend::ShaNi => unsafe {
            sha256::sha256_compress_shani(state, blocks.as_ptr(), blocks.len());
        },
        // SAFETY: as above.
        Backend::Sse2 => unsafe {
            sha256::sha256_compress_sse2(state, blocks.as_ptr(), blocks.len());
        },
        _ => (),
    }
}
