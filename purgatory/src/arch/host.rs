// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stand-in for tests, Miri and fuzzers: nothing privileged.

use crate::{
    abi::{Handoff, Region},
    verify::Verified,
};

#[cfg(any(target_arch = "riscv64", target_arch = "x86_64"))]
pub(crate) use super::native::accelerate;
#[cfg(any(target_arch = "riscv64", target_arch = "x86_64"))]
pub use super::native::{BACKENDS, CAUSES, DEFAULT_CONSOLES, REGISTERS};

#[cfg(not(any(target_arch = "riscv64", target_arch = "x86_64")))]
pub(crate) use plain::accelerate;
#[cfg(not(any(target_arch = "riscv64", target_arch = "x86_64")))]
pub use plain::{BACKENDS, CAUSES, DEFAULT_CONSOLES, REGISTERS};

/// Any user-space address will do.
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// Whatever the clock does, it is not waited for here.
pub(crate) const FASTEST: u64 = 1;

/// An architecture without a module of its own.
#[cfg(not(any(target_arch = "riscv64", target_arch = "x86_64")))]
mod plain {
    use crate::{abi::Backend, arch::BLOCK};

    /// The backends.
    pub const BACKENDS: &[Backend] = &[Backend::Portable];
    /// No exception has a name.
    pub const CAUSES: &[[u8; 4]] = &[];
    /// Speaks nowhere.
    pub const DEFAULT_CONSOLES: u32 = 0;
    /// No register has a name.
    pub const REGISTERS: &[[u8; 4]] = &[];

    /// Has no backend to run.
    ///
    /// # Safety
    /// None is needed.
    #[expect(unsafe_code, reason = "as on real machines")]
    pub(crate) unsafe fn accelerate(_: Backend, _: &mut [u32; 8], _: &[[u8; BLOCK]]) {}
}

/// Clears nothing.
pub(crate) const fn forget() {}

/// Occupies no memory that a table of regions could name.
pub(crate) const fn own() -> Region {
    Region { start: 0, len: 0 }
}

/// Does nothing: the operating system catches exceptions.
pub(crate) const fn prepare() {}

/// Returns 0: there is no counter that all hosts share.
pub(crate) const fn cycles() -> u64 {
    0
}

/// Returns nothing: there is no counter.
pub(crate) const fn cycles_per_microsecond() -> Option<u64> {
    None
}

/// Returns true: the operating system guards the stack.
pub(crate) const fn stack_is_sound() -> bool {
    true
}

/// Runs `action`: the operating system catches exceptions.
#[expect(clippy::unnecessary_wraps, reason = "as on real machines")]
pub(crate) fn guarded<T>(mut action: impl FnMut() -> T) -> Option<T> {
    Some(action())
}

/// Takes the caller's word for it.
pub(crate) const fn can_read(_: u64) -> bool {
    true
}

/// Leads nowhere.
#[derive(Clone, Copy)]
pub(crate) enum Bus {
    /// To no port.
    Ports,
    /// To no memory.
    Words,
}

impl Bus {
    /// Reads nothing.
    pub(crate) const fn read(self, _: u64, _: u16) -> u8 {
        0xff
    }

    /// Writes nothing.
    pub(crate) const fn write(self, _: u64, _: u16, _: u8) {}
}

/// Shows nothing.
pub(crate) const fn show(_: u32, _: u8) {}

/// Has no register image.
pub(crate) const fn handoff() -> Handoff {
    Handoff {
        entry: 0,
        argument: 0,
    }
}

/// Has no kernel to start.
pub(crate) fn jump(_: Verified) -> ! {
    halt()
}

/// Has no machine to reset.
pub(crate) const fn reset() -> ! {
    halt()
}

/// Stops.
#[expect(
    clippy::empty_loop,
    reason = "never called: the host has other ways to end"
)]
pub(crate) const fn halt() -> ! {
    loop {}
}
