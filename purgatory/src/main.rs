// SPDX-License-Identifier: MIT OR Apache-2.0
//! The blob: the library, an entry symbol and a panic handler, nothing else.
//!
//! It only exists for bare targets; elsewhere it is an empty program, so that
//! the workspace builds and lints as one.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
use purgatory as _;

/// The blob has no panic path; the checker refuses one that has. This satisfies
/// the compiler and is dropped by the linker.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the purgatory runs between two kernels: build it with `cargo xtask build`");
    std::process::exit(2);
}
