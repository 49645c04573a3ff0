//! Decides: walks the regions, hashes them as one message, compares.
//!
//! Pure: it touches nothing but what it is given, so the same code runs in host
//! tests, in user space and between two kernels.

use crate::{
    abi::Digest,
    memory::{Flaw, Image, wide},
    sha256::{Backend, Sha256},
};

/// How many bytes are hashed between two reports of progress.
const STRIDE: usize = 1 << 20;

/// A check that held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Bytes hashed; 0 when the loader recorded nothing to check, as Linux 7.3
    /// does for images that were never copied.
    pub bytes: u64,
    /// The digest, computed and expected.
    pub digest: Digest,
}

/// A check that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The regions hash to something else.
    Mismatch {
        /// Bytes hashed.
        bytes: u64,
        /// What they hash to.
        computed: Digest,
    },
    /// The table is empty, but the digest is not the one of an empty message.
    TableWiped {
        /// The digest of an empty message.
        computed: Digest,
    },
    /// A region cannot be memory.
    BadRegion {
        /// Its index in the table.
        index: u32,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// Hashes every region of `image` in table order and compares with `expected`.
///
/// `progress` learns the bytes hashed so far, about once per MiB.
///
/// # Errors
/// Says why the image must not be started.
pub fn verify(
    image: &Image<'_>,
    expected: &Digest,
    backend: Backend,
    progress: fn(u64),
) -> Result<Verified, Refusal> {
    // Nothing is read before the whole table makes sense.
    for claim in image.claims() {
        if let Some(flaw) = claim.flaw() {
            let index = claim.index;
            return Err(Refusal::BadRegion { index, flaw });
        }
    }
    let mut message = Sha256::new(backend);
    let mut bytes = 0;
    for region in image.claims().filter_map(|claim| claim.memory()) {
        for piece in region.chunks(STRIDE) {
            message.update(piece);
            bytes = wide(piece.len()).wrapping_add(bytes);
            progress(bytes);
        }
    }
    let computed = message.finish();
    if equal(&computed, expected) {
        Ok(Verified {
            bytes,
            digest: computed,
        })
    } else if bytes == 0 {
        Err(Refusal::TableWiped { computed })
    } else {
        Err(Refusal::Mismatch { bytes, computed })
    }
}

/// Compares all 32 bytes.
fn equal(one: &Digest, other: &Digest) -> bool {
    let ((one, _), (other, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    one.iter().zip(other).fold(0, |difference, (a, b)| {
        difference | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b))
    }) == 0
}
