//! What was loaded, region by region: `segments.json` in the folder of a run.
//!
//! Whoever plays or watches the loader writes it; `cargo xtask explain` names a
//! damaged region by it. It holds digests, not the bytes.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Its name in the folder of a run.
pub(crate) const FILE_NAME: &str = "segments.json";

/// The regions in use and the digest over all of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// `purgatory_sha256_digest`, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) regions: Vec<Region>,
}

/// One entry of the region table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Region {
    pub(crate) index: usize,
    pub(crate) start: u64,
    pub(crate) length: u64,
    /// Of this region alone, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) name: String,
}

impl Manifest {
    /// Starts a list for this digest over everything.
    pub(crate) fn new(digest: &[u8]) -> Self {
        Self {
            sha256: hex(digest),
            regions: Vec::new(),
        }
    }

    /// Adds a region: `bytes`, then zeros.
    pub(crate) fn add(&mut self, index: usize, name: &str, start: u64, length: u64, bytes: &[u8]) {
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
    pub(crate) fn region(&self, index: usize) -> Option<&Region> {
        self.regions.iter().find(|region| region.index == index)
    }

    /// Writes the list into the folder of a run.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE_NAME);
        fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Writes bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
