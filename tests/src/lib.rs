// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the two test kernels and the host agree on.
//!
//! The host plays the loader: it lays out every segment, computes the digest and
//! writes a [`Plan`](plan::Plan). The harness, the first kernel, carries the plan out
//! and jumps; the payload, the second kernel, checks what it finds against it.
#![no_std]

pub mod arch;
#[cfg(not(target_os = "none"))]
pub mod cases;
#[cfg(target_os = "none")]
pub mod guest;
pub mod plan;
