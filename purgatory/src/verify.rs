// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decides: walks the regions, hashes them as one message, compares.
//!
//! Pure: it touches nothing but what it is given, so the same code runs in host
//! tests, in user space and between two kernels.

use crate::{
    abi::{Digest, Handoff},
    arch::Usable,
    memory::{Flaw, Image, wide},
    sha256::{NOTHING, Sha256, equal},
    status::Verdict,
};

/// How many bytes are hashed between two reports of progress.
const STRIDE: usize = 1 << 20;

/// The proof that an image was verified: what starts the next kernel wants it, and
/// only [`verify`] makes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified(());

/// What a check found out.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the image may be started.
    pub verdict: Result<Verified, Refusal>,
    /// Bytes hashed; 0 when the loader recorded nothing to check, as Linux 7.3
    /// does for images that were never copied.
    pub bytes: u64,
    /// What they hash to; zeros of a table that makes no sense.
    pub computed: Digest,
}

/// Why an image must not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The regions hash to something else than expected.
    Mismatch,
    /// The table is empty, but the digest is not the one of an empty message.
    TableWiped,
    /// A region cannot be what is to be verified.
    BadRegion {
        /// Its index in the table.
        index: u32,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The next kernel would be entered here, in no region.
    EntryAstray(u64),
    /// The next kernel would be handed this address, in no region.
    ArgumentAstray(u64),
}

impl Refusal {
    /// Returns what the record calls it.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Mismatch => Verdict::Mismatch,
            Self::TableWiped => Verdict::TableWiped,
            Self::BadRegion { .. } => Verdict::BadRegion,
            Self::EntryAstray(_) | Self::ArgumentAstray(_) => Verdict::Astray,
        }
    }
}

/// Hashes every region of `image` in table order and compares with `expected`; then
/// `handoff`, which nothing else protects, has to lead into it.
///
/// `progress` learns the bytes hashed so far, about once per MiB.
#[inline(never)]
pub fn verify(
    image: &Image<'_>,
    expected: &Digest,
    handoff: Option<Handoff>,
    backend: Usable,
    progress: fn(u64),
) -> Outcome {
    let mut outcome = Outcome {
        verdict: Ok(Verified(())),
        bytes: 0,
        computed: [0; 4],
    };
    let mut empty = true;
    // Nothing is read before the whole table makes sense.
    let flawed = image.claims().find_map(|claim| {
        empty = false;
        let index = claim.index;
        claim.flaw().map(|flaw| Refusal::BadRegion { index, flaw })
    });
    if let Some(refusal) = flawed {
        outcome.verdict = Err(refusal);
        return outcome;
    }
    if empty {
        outcome.computed = NOTHING;
    } else {
        let mut message = Sha256::new(backend);
        for region in image.claims().filter_map(|claim| claim.memory()) {
            for piece in region.chunks(STRIDE) {
                message.update(piece);
                outcome.bytes = wide(piece.len()).wrapping_add(outcome.bytes);
                progress(outcome.bytes);
            }
        }
        outcome.computed = message.finish();
    }
    if !equal(&outcome.computed, expected) {
        outcome.verdict = Err(if empty {
            Refusal::TableWiped
        } else {
            Refusal::Mismatch
        });
    } else if let Some(Handoff { entry, argument }) = handoff.filter(|_| !empty) {
        if !image.holds(entry) {
            outcome.verdict = Err(Refusal::EntryAstray(entry));
        } else if argument != 0 && !image.holds(argument) {
            outcome.verdict = Err(Refusal::ArgumentAstray(argument));
        }
    }
    outcome
}
