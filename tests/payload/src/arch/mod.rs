// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only one architecture's payload knows: its entry, which stores the registers
//! before any code can change them, and `check(plan, checks)`, which compares them and
//! everything else that the processor was handed over with.

#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "riscv64")]
pub(crate) use riscv64::check;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::check;

#[cfg(not(any(target_arch = "riscv64", target_arch = "x86_64")))]
compile_error!("this architecture has no module under tests/payload/src/arch yet");
