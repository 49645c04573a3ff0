// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-256 (FIPS 180-4) over borrowed memory, with one seam: `compress`.
//!
//! Whole blocks are hashed where they lie. Only the bytes around a seam between
//! two pieces are ever copied.

use core::slice;

use crate::{
    abi::Digest,
    arch::{self, BLOCK, Usable},
    memory::wide,
};

/// Lays the words of a state out as a digest.
#[expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "no iterators and no lossless From in constants; 2 * 3 + 1 is in bounds"
)]
const fn digest(state: &[u32; 8]) -> Digest {
    let mut digest = [0; 4];
    let mut place = 0;
    while place < digest.len() {
        let (high, low) = (state[2 * place], state[2 * place + 1]);
        digest[place] = ((high as u64) << 32 | low as u64).to_be();
        place += 1;
    }
    digest
}

/// Initial hash value, FIPS 180-4 section 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The digest of the message of no bytes.
pub(crate) static NOTHING: Digest = digest(&[
    0xe3b0_c442,
    0x98fc_1c14,
    0x9afb_f4c8,
    0x996f_b924,
    0x27ae_41e4,
    0x649b_934c,
    0xa495_991b,
    0x7852_b855,
]);

/// A hash in progress.
pub struct Sha256 {
    backend: Usable,
    state: [u32; 8],
    /// Bytes so far.
    length: u64,
    /// Those since the last whole block, and zeros behind them.
    partial: [u8; BLOCK],
}

impl Sha256 {
    /// Starts an empty message.
    // Called in two places, like the next two; inlined, it costs 0.1 KB.
    #[inline(never)]
    #[must_use]
    pub const fn new(backend: Usable) -> Self {
        // The zeros first: that is one call of `memset`.
        Self {
            length: 0,
            partial: [0; BLOCK],
            state: INITIAL,
            backend,
        }
    }

    /// Appends bytes to the message.
    #[inline(never)]
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let filled = self.filled();
        self.length = self.length.wrapping_add(wide(bytes.len()));
        if filled > 0 {
            rest = self.fill(filled, bytes);
            if bytes.len() < BLOCK.wrapping_sub(filled) {
                return;
            }
            self.flush();
        }
        let (blocks, tail) = rest.as_chunks();
        arch::compress(self.backend, &mut self.state, blocks);
        self.fill(0, tail);
    }

    /// Pads the message and returns its digest; the message ends with it.
    // By value, the whole hash would be copied.
    #[inline(never)]
    #[must_use]
    pub fn finish(&mut self) -> Digest {
        let filled = self.filled();
        if let Some(end) = self.partial.get_mut(filled) {
            *end = 0x80;
        }
        if filled >= BLOCK.wrapping_sub(8) {
            self.flush();
            self.fill(0, &[]);
        }
        if let Some(end) = self.partial.last_chunk_mut() {
            *end = self.length.wrapping_mul(8).to_be_bytes();
        }
        self.flush();
        digest(&self.state)
    }

    /// How much of the partial block is in use.
    fn filled(&self) -> usize {
        let [filled, ..] = self.length.to_le_bytes();
        usize::from(filled) % BLOCK
    }

    /// Copies bytes into the partial block from `at` on, and zeros behind them; returns
    /// those that it does not hold.
    fn fill<'a>(&mut self, at: usize, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes.iter();
        for byte in self.partial.get_mut(at..).unwrap_or_default() {
            *byte = rest.next().copied().unwrap_or_default();
        }
        rest.as_slice()
    }

    /// Hashes the partial block, which is full.
    fn flush(&mut self) {
        arch::compress(
            self.backend,
            &mut self.state,
            slice::from_ref(&self.partial),
        );
    }
}

/// Chooses the fastest backend, or the only one that was asked for, by what it does
/// with a message whose digest is known.
pub(crate) fn fastest(asked: u32) -> Usable {
    arch::BACKENDS
        .iter()
        .filter(|backend| asked == 0 || asked == backend.number())
        .find_map(|backend| Usable::tried(*backend, answers_right))
        .unwrap_or(Usable::PORTABLE)
}

/// Tells whether a backend finds the digest of the message of no bytes.
fn answers_right(backend: Usable) -> bool {
    equal(&Sha256::new(backend).finish(), &NOTHING)
}

/// Compares all of both.
#[inline(never)]
pub(crate) fn equal(one: &Digest, other: &Digest) -> bool {
    let differ = |difference, (a, b): (&u64, &u64)| difference | (a ^ b);
    one.iter().zip(other).fold(0, differ) == 0
}
