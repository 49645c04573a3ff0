// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first kernel: it carries out a plan, puts the CPU into exactly the state
//! in which a kernel leaves it, and jumps into the purgatory.
//!
//! QEMU starts it and passes the plan as its initial RAM disk. It never judges: that is the payload's work, and the host's.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod carry_out;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the harness is a guest: boot it with `cargo xtask boot`");
    std::process::exit(2);
}
