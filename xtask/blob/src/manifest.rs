// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was loaded, region by region: `segments.json` in the folder of a run.
//!
//! Whoever plays or watches the loader writes it; `explain` names a damaged region by it.
//! It holds digests, not the bytes.

use base16ct::lower::encode_string;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::load::Segment;

/// Its name in the folder of a run.
pub const FILE_NAME: &str = "segments.json";

/// The regions in use and the digest over all of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// `purgatory_sha256_digest`, in hexadecimal.
    pub sha256: String,
    /// In their order in the table.
    pub regions: Vec<Region>,
}

/// One entry of the region table.
#[derive(Debug, Serialize, Deserialize)]
pub struct Region {
    /// Its index in the table.
    pub index: usize,
    /// First byte, a physical address.
    pub start: u64,
    /// In bytes.
    pub length: u64,
    /// Of this region alone, in hexadecimal.
    pub sha256: String,
    /// What it is.
    pub name: String,
}

impl Manifest {
    /// Starts a list for this digest over everything.
    #[must_use]
    pub fn new(digest: &[u8]) -> Self {
        Self {
            sha256: encode_string(digest),
            regions: Vec::new(),
        }
    }

    /// Adds a region.
    pub fn add(&mut self, index: usize, name: &str, segment: &Segment<'_>) {
        let mut hash = Sha256::new();
        segment.feed(&mut hash);
        self.regions.push(Region {
            index,
            start: segment.mem,
            length: segment.memsz,
            sha256: encode_string(&hash.finalize()),
            name: name.to_owned(),
        });
    }

    /// Returns the region of that index in the table.
    #[must_use]
    pub fn region(&self, index: usize) -> Option<&Region> {
        self.regions.iter().find(|region| region.index == index)
    }
}
