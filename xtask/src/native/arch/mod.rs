// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this very processor can do:
//!
//! | name | what it is |
//! |---|---|
//! | `runs_here(backend)` | whether it runs a backend |
//! | `limit()` | what takes as long as no SHA-256 can avoid, if that is known |
//! | `catch_faults()`, `caught(function, argument)` | calls what may end in a signal |
//! | `MATCHES` | a function that returns 0 |
//! | `WITHOUT_SHA`, `has_sha(cpu)` | how OpenSSL is told to do without, and whether it does |

#[cfg(not(any(target_arch = "riscv64", target_arch = "x86_64")))]
#[path = "other.rs"]
mod this;
#[cfg(target_arch = "riscv64")]
#[path = "riscv64.rs"]
mod this;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod this;

pub(crate) use this::{MATCHES, WITHOUT_SHA, catch_faults, caught, has_sha, limit, runs_here};
