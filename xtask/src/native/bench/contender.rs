// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that hashes here, behind one call, and the messages that it gets.

use anyhow::{Context as _, Result, ensure};
use purgatory::abi::Backend;
use sha2::{Digest as _, Sha256};

use super::openssl::OpenSsl;
use crate::native::userspace::{Digest, Ours, Stock};

/// How a message lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pieces {
    One,
    OneOdd,
    Sixteen,
    SixteenOdd,
}

impl Pieces {
    pub(super) const ALL: [Self; 4] = [Self::One, Self::OneOdd, Self::Sixteen, Self::SixteenOdd];

    /// Bytes between two pieces, so that they are pieces to a prefetcher, too.
    const GAP: usize = 128;

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::One => "one region",
            Self::OneOdd => "one, odd",
            Self::Sixteen => "sixteen",
            Self::SixteenOdd => "sixteen, odd",
        }
    }

    /// Returns how much memory the pieces of `size` bytes need.
    pub(super) const fn room(size: usize) -> usize {
        size + 16 * Self::GAP
    }

    /// Cuts a message of about `size` bytes, a multiple of 4096, out of `memory`.
    pub(super) fn cut(self, memory: &[u8], size: usize) -> Vec<&[u8]> {
        match self {
            Self::One => vec![&memory[..size]],
            Self::OneOdd => vec![&memory[1..size]],
            Self::Sixteen | Self::SixteenOdd => (0..16)
                .map(|index| {
                    let share = size / 16;
                    let start = index * (share + Self::GAP);
                    let (shift, len) = match (self, index % 2) {
                        (Self::Sixteen, _) => (0, share),
                        (_, 0) => (2 * index + 1, share + 37),
                        _ => (2 * index + 1, share - 37),
                    };
                    &memory[start + shift..][..len]
                })
                .collect(),
        }
    }
}

/// Pieces in memory and their digest.
pub(super) struct Message<'a> {
    pieces: Vec<&'a [u8]>,
    digest: Digest,
    pub(super) bytes: u64,
}

impl<'a> Message<'a> {
    pub(super) fn new(pieces: Vec<&'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        pieces.iter().for_each(|piece| hash.update(piece));
        Self {
            digest: hash.finalize().into(),
            bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
            pieces,
        }
    }

    /// Expects another digest than the message has.
    pub(super) const fn spoil(&mut self) {
        self.digest[0] ^= 1;
    }
}

/// Something that hashes.
pub(super) enum Hasher<'library> {
    Ours(Ours, Backend),
    Stock(Stock),
    OpenSsl(&'library mut OpenSsl),
    Sha2,
    Limit(fn(u64)),
}

impl Hasher<'_> {
    /// Returns what hashes `message` once, and panics should the digest differ.
    /// Only the blobs take a message in pieces.
    pub(super) fn prepare<'a>(
        &'a mut self,
        message: &Message<'a>,
    ) -> Result<Box<dyn FnMut() + 'a>> {
        let Message {
            pieces,
            digest,
            bytes,
        } = message;
        let (digest, bytes) = (*digest, *bytes);
        let whole = *pieces.first().context("a message of no pieces")?;
        Ok(match self {
            Self::Ours(blob, backend) => {
                let mut check = blob.describe(pieces, &digest)?;
                let backend = *backend;
                let name = backend.name();
                let code = check.run(backend);
                let seen = check.status().bytes.read();
                ensure!(
                    code == 0 && seen == bytes,
                    "{name} returns {code} after {seen} of {bytes} bytes"
                );
                Box::new(move || assert_eq!(check.run(backend), 0, "{name} refuses"))
            }
            // It spins on a wrong digest.
            Self::Stock(blob) => Box::new(blob.describe(pieces, &digest)?),
            Self::OpenSsl(library) => Box::new(move || assert_eq!(library.digest(whole), digest)),
            Self::Sha2 => Box::new(move || assert_eq!(Digest::from(Sha256::digest(whole)), digest)),
            Self::Limit(limit) => {
                let limit = *limit;
                Box::new(move || limit(bytes))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn another_digest_than_expected_is_noticed() {
        let memory = [0x5a; 4096];
        let mut message = Message::new(vec![&memory]);
        Hasher::Sha2.prepare(&message).unwrap()();
        message.spoil();
        let mut hasher = Hasher::Sha2;
        let hash = hasher.prepare(&message).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(hash)).is_err());
    }

    #[test]
    fn cuts_pieces_that_are_what_their_layout_says() {
        let memory = [0; Pieces::room(4096)];
        for layout in Pieces::ALL {
            let pieces = layout.cut(&memory, 4096);
            let odd = matches!(layout, Pieces::OneOdd | Pieces::SixteenOdd);
            let offset = |piece: &[u8]| piece.as_ptr().addr() - memory.as_ptr().addr();
            let place = |piece: &&[u8]| (offset(piece) % 2, piece.len() % 2);
            let expected = (usize::from(odd), usize::from(odd));
            assert!(
                pieces.iter().all(|piece| place(piece) == expected),
                "{layout:?}"
            );
            let apart = |pair: &[&[u8]]| offset(pair[0]) + pair[0].len() < offset(pair[1]);
            assert!(pieces.windows(2).all(apart), "{layout:?}");
            let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
            assert_eq!(bytes, if layout == Pieces::OneOdd { 4095 } else { 4096 });
        }
    }
}
