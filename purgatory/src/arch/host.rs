//! A stand-in for tests, Miri and fuzzers: nothing privileged, portable hashing.

use crate::sha256::Backend;
#[cfg(not(target_arch = "x86_64"))]
use crate::sha256::{BLOCK, compress_portable};

/// Any user-space address will do.
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// What [`compress`] knows.
#[cfg(not(target_arch = "x86_64"))]
pub const BACKENDS: &[Backend] = &[Backend::Portable];

/// Computes the compression function.
#[cfg(not(target_arch = "x86_64"))]
pub fn compress(_: Backend, state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    compress_portable(state, blocks);
}

#[cfg(target_arch = "x86_64")]
pub use super::x86_64::{BACKENDS, compress};

/// Does nothing: the operating system catches exceptions.
pub const fn prepare() {}

/// Returns the only backend.
#[must_use]
pub const fn fastest_backend() -> Backend {
    Backend::Portable
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
    halt()
}

/// Runs `action`: the operating system catches exceptions.
pub fn guarded(mut action: impl FnMut()) -> bool {
    action();
    true
}

/// Returns nothing: there is no counter.
#[must_use]
pub const fn cycles_per_microsecond() -> Option<u64> {
    None
}

/// Opens nothing.
pub const fn open_console() {}

/// Writes nothing.
pub const fn console_byte(_: u8) {}

/// Does not wait.
pub const fn wait(_: u32) {}

/// Has no machine to reset.
pub const fn reset() -> ! {
    halt()
}

/// Stops.
#[expect(
    clippy::empty_loop,
    reason = "never called: the host has other ways to end"
)]
pub const fn halt() -> ! {
    loop {}
}
