// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first process of both kernels: loads the second one, or verifies it.
//!
//! It makes the system calls itself, so that nothing stands between a test and
//! the kernel's answer. It refuses to go on after the first surprise: it says
//! what happened and resets the machine, which no success does.
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() {
    linux::run();
}

#[cfg(not(target_os = "linux"))]
const fn main() {}
