//! What was loaded, region by region: `segments.json` in the folder of a run.
//!
//! Whoever plays or watches the loader writes it; `cargo xtask explain` names a
//! damaged region by it. It holds digests, not the bytes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Its name in the folder of a run.
pub const FILE_NAME: &str = "segments.json";

/// The regions in use and the digest over all of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// `purgatory_sha256_digest`, in hexadecimal.
    pub sha256: String,
    pub regions: Vec<Region>,
}

/// One entry of the region table.
#[derive(Debug, Serialize, Deserialize)]
pub struct Region {
    pub index: usize,
    pub start: u64,
    pub length: u64,
    /// Of this region alone, in hexadecimal.
    pub sha256: String,
    pub name: String,
}

impl Manifest {
    /// Starts a list for this digest over everything.
    pub fn new(digest: &[u8]) -> Self {
        Self {
            sha256: hex(digest),
            regions: Vec::new(),
        }
    }

    /// Adds a region: `bytes`, then zeros.
    pub fn add(&mut self, index: usize, name: &str, start: u64, length: u64, bytes: &[u8]) {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut hash = Sha256::new();
        hash.update(bytes);
        let mut rest = length.saturating_sub(bytes.len() as u64);
        while rest > 0 {
            let part = rest.min(ZEROS.len() as u64);
            hash.update(&ZEROS[..part as usize]);
            rest -= part;
        }
        self.regions.push(Region {
            index,
            start,
            length,
            sha256: hex(&hash.finalize()),
            name: name.to_owned(),
        });
    }

    /// Returns the region of that index in the table.
    pub fn region(&self, index: usize) -> Option<&Region> {
        self.regions.iter().find(|region| region.index == index)
    }
}

/// Writes bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
