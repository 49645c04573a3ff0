// SPDX-License-Identifier: MIT OR Apache-2.0
//! One-bit flips against the shipped bytes in user space: what comes of each.

pub(crate) mod child;
mod plan;
mod results;
mod work;

pub(crate) use plan::{Flip, Parts, Place, Share};
pub(crate) use results::{Outcome, Results};
pub(crate) use work::{sees, work};

/// Flips that share a message.
const BLOCK: u64 = 1000;
/// Memory for messages, with as much on either side that is not mapped.
const ARENA: usize = 16 << 10;
