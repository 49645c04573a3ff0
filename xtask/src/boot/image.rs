// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host prepares for the harness: the segments in their places, and the plan
//! in front of them.
//!
//! QEMU hands it over as an initial RAM disk; the harness moves the segments,
//! as `relocate_kernel` does with the pages of a real kexec.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use purgatory_tests::plan::{Move, Plan, Range};
use zerocopy::IntoBytes as _;

use super::space::Space;

/// A plan and the bytes that it moves.
pub(crate) struct Image {
    pub(crate) plan: Plan,
    bytes: Vec<u8>,
    moves: usize,
}

impl Image {
    /// Starts an image for a machine with that RAM.
    pub(crate) fn new(space: &Space) -> Self {
        let mut plan = Plan::empty();
        for (slot, ram) in plan.ram.iter_mut().zip(space.ram()) {
            *slot = *ram;
        }
        Self {
            plan,
            bytes: vec![0; size_of::<Plan>()],
            moves: 0,
        }
    }

    /// Adds a segment: `bytes`, then zeros up to the end of `to`.
    pub(crate) fn add(&mut self, to: Range, bytes: &[u8]) -> Result<()> {
        let count = self.plan.moves.len();
        let slot = self
            .plan
            .moves
            .get_mut(self.moves)
            .with_context(|| format!("an image moves at most {count} segments"))?;
        *slot = Move {
            from: self.bytes.len() as u64,
            filled: bytes.len() as u64,
            to,
        };
        self.moves += 1;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the image for QEMU.
    pub(crate) fn write(mut self, path: &Path) -> Result<()> {
        let plan = self.plan.as_bytes();
        self.bytes
            .get_mut(..plan.len())
            .context("the image has no room for its plan")?
            .copy_from_slice(plan);
        fs::write(path, &self.bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}
