//! What the purgatory is to verify: the region table and the digest.

use sha2::{Digest, Sha256};

use super::{LoadError, Loaded, PAGE};

/// `KEXEC_SEGMENT_MAX` (`include/uapi/linux/kexec.h`), also the number of
/// entries in `purgatory_sha_regions`.
const SEGMENT_MAX: usize = 16;

/// A piece of the second kernel's image: `buf`, then zeros up to `memsz`.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'data> {
    pub mem: u64,
    pub memsz: u64,
    pub buf: &'data [u8],
}

/// Hashes the segments in their order and writes the table and the digest into
/// the purgatory, as `kexec_calculate_store_digests` does. The segment at the
/// purgatory's own address is left out, so its `buf` may be empty.
pub fn fill_digest(purgatory: &mut Loaded<'_>, segments: &[Segment<'_>]) -> Result<(), LoadError> {
    let mut hash = Sha256::new();
    let mut table = [0; SEGMENT_MAX * 16];
    let mut entries = table.chunks_exact_mut(16);
    let own = purgatory.mem;
    for segment in segments.iter().filter(|segment| segment.mem != own) {
        let Some(mut zeros) = segment.memsz.checked_sub(segment.buf.len() as u64) else {
            return Err(LoadError::Misplaced(format!(
                "the segment at {:#x} has more bytes than memory",
                segment.mem
            )));
        };
        let Some(entry) = entries.next() else {
            return Err(LoadError::Misplaced(format!(
                "{} segments to verify: the table has {SEGMENT_MAX} entries",
                segments.len()
            )));
        };
        entry[..8].copy_from_slice(&segment.mem.to_le_bytes());
        entry[8..].copy_from_slice(&segment.memsz.to_le_bytes());
        hash.update(segment.buf);
        while zeros > 0 {
            let part = zeros.min(PAGE);
            hash.update(&[0; PAGE as usize][..part as usize]);
            zeros -= part;
        }
    }
    purgatory.set_symbol("purgatory_sha_regions", &table)?;
    purgatory.set_symbol("purgatory_sha256_digest", &hash.finalize())
}
