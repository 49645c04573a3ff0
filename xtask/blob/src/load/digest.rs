// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the purgatory is to verify: the region table and the digest.

use purgatory::abi::REGION_COUNT;
use sha2::{Digest, Sha256};

use super::{LoadError, Loaded};
use crate::number::PAGE;

/// A piece of the second kernel's image: `buf`, then zeros up to `memsz`.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'data> {
    /// Where it is.
    pub mem: u64,
    /// Memory that it takes.
    pub memsz: u64,
    /// Its bytes.
    pub buf: &'data [u8],
}

impl Segment<'_> {
    /// Hashes all of its memory.
    pub fn feed(&self, hash: &mut Sha256) {
        hash.update(self.buf);
        let mut zeros = self.memsz.saturating_sub(self.buf.len() as u64);
        while zeros > 0 {
            let part = zeros.min(PAGE);
            hash.update(&[0; PAGE as usize][..part as usize]);
            zeros -= part;
        }
    }
}

/// Hashes the segments in their order and writes the table and the digest into
/// the purgatory, as `kexec_calculate_store_digests` does. The segment at the
/// purgatory's own address is left out, so its `buf` may be empty.
pub fn fill_digest(purgatory: &mut Loaded<'_>, segments: &[Segment<'_>]) -> Result<(), LoadError> {
    let mut hash = Sha256::new();
    let mut table = [0; REGION_COUNT * 16];
    let mut entries = table.chunks_exact_mut(16);
    let own = purgatory.mem;
    for segment in segments.iter().filter(|segment| segment.mem != own) {
        if segment.memsz < segment.buf.len() as u64 {
            return Err(LoadError::Misplaced(format!(
                "the segment at {:#x} has more bytes than memory",
                segment.mem
            )));
        }
        let Some(entry) = entries.next() else {
            return Err(LoadError::Misplaced(format!(
                "{} segments to verify: the table has {REGION_COUNT} entries",
                segments.len()
            )));
        };
        entry.copy_from_slice(
            [segment.mem, segment.memsz]
                .map(u64::to_le_bytes)
                .as_flattened(),
        );
        segment.feed(&mut hash);
    }
    purgatory.set_symbol("purgatory_sha_regions", &table)?;
    purgatory.set_symbol("purgatory_sha256_digest", &hash.finalize())
}
