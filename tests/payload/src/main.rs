// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second kernel: it checks everything it was handed, says one line a check,
//! and ends QEMU with a verdict.
//!
//! It keeps all its state on the stack that the purgatory hands over: its own
//! segment was hashed and must still equal what was hashed.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod checks;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the payload is a guest: boot it with `cargo xtask boot`");
    std::process::exit(2);
}
