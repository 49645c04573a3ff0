//! A stand-in for tests, Miri and fuzzers: nothing privileged, portable hashing.

use crate::sha256::{BLOCK, Backend, compress_portable};

/// Any user-space address will do.
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// What [`compress`] knows.
pub const BACKENDS: &[Backend] = &[Backend::Portable];

/// Does nothing: the operating system catches exceptions.
pub const fn prepare() {}

/// Returns the only backend.
#[must_use]
pub const fn fastest_backend() -> Backend {
    Backend::Portable
}

/// Computes the compression function.
pub fn compress(_: Backend, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    compress_portable(state, blocks);
}

/// Returns 0: there is no counter that all hosts share.
#[must_use]
pub const fn cycles() -> u64 {
    0
}

/// Returns true: the operating system guards the stack.
#[must_use]
pub const fn stack_is_sound() -> bool {
    true
}

/// Has no kernel to start.
pub const fn jump() -> ! {
    stop()
}

/// Stops.
#[expect(
    clippy::empty_loop,
    reason = "never called: the host has other ways to end"
)]
pub const fn stop() -> ! {
    loop {}
}
