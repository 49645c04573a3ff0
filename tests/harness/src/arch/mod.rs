// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only one architecture's harness knows:
//!
//! | name | what it is |
//! |---|---|
//! | (entry) | finds the image that QEMU passed and calls `carry_out` with it |
//! | `map(plan)` | maps memory as the plan says |
//! | `prepare(plan)` | makes ready what `leave` needs; returns the state that it will leave |
//! | `leave(plan)` | puts the processor into the state of a kexec and jumps |

#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "riscv64")]
pub(crate) use riscv64::{leave, map, prepare};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{leave, map, prepare};

#[cfg(not(any(target_arch = "riscv64", target_arch = "x86_64")))]
compile_error!("this architecture has no module under tests/harness/src/arch yet");
