//! SHA-256 (FIPS 180-4) over borrowed memory, with one seam: `compress`.
//!
//! Whole blocks are hashed where they lie. Only the bytes around a seam between
//! two pieces are ever copied.

use core::hint::black_box;

use crate::{abi::Digest, arch, memory::wide};

#[cfg(all(
    target_os = "none",
    not(all(sha2_backend = "soft", sha2_backend_soft = "compact"))
))]
compile_error!(
    "the blob needs `--cfg sha2_backend=\"soft\" --cfg sha2_backend_soft=\"compact\"`: \
     build it with `cargo xtask build`"
);

/// Bytes that one call of the compression function takes in.
pub const BLOCK: usize = 64;

/// Who computes the compression function; the number is part of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Plain integer code; runs everywhere.
    Portable,
    /// AVX2 message schedule, BMI2 rounds.
    Avx2,
    /// The CPU's own SHA-256 instructions.
    ShaNi,
}

impl Backend {
    /// Returns the backend behind an ABI number, if this architecture has it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        arch::BACKENDS
            .iter()
            .copied()
            .find(|backend| backend.number() == number)
    }

    /// Returns its name, as reports and tools spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        // Slices of one text: a table of texts would be a table of addresses.
        const NAMES: &str = "portableavx2sha-ni";
        let range = match self {
            Self::Portable => 0..8,
            Self::Avx2 => 8..12,
            Self::ShaNi => 12..18,
        };
        NAMES.get(range).unwrap_or_default()
    }

    /// Returns the ABI number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Portable => 1,
            Self::Avx2 => 2,
            Self::ShaNi => 3,
        }
    }
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

/// A hash in progress.
pub struct Sha256 {
    backend: Backend,
    state: [u32; 8],
    length: u64,
    partial: [u8; BLOCK],
    filled: usize,
}

impl Sha256 {
    /// Starts an empty message.
    #[must_use]
    pub const fn new(backend: Backend) -> Self {
        Self {
            backend,
            state: INITIAL,
            length: 0,
            partial: [0; BLOCK],
            filled: 0,
        }
    }

    /// Appends bytes to the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length = self.length.wrapping_add(wide(bytes.len()));
        let mut rest = bytes;
        if self.filled > 0 {
            rest = self.fill(rest);
            if self.filled < BLOCK {
                return;
            }
            self.flush();
        }
        let (blocks, tail) = rest.as_chunks();
        self.compress(blocks);
        self.fill(tail);
    }

    /// Pads the message and returns its digest.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        let bits = self.length.wrapping_mul(8);
        self.fill(&[0x80]);
        if self.filled > BLOCK.wrapping_sub(8) {
            self.pad(BLOCK);
            self.flush();
        }
        self.pad(BLOCK.wrapping_sub(8));
        if let Some(end) = self.partial.last_chunk_mut() {
            *end = bits.to_be_bytes();
        }
        self.flush();
        let mut digest = [0; 32];
        let (words, _) = digest.as_chunks_mut();
        for (bytes, word) in words.iter_mut().zip(&self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    /// Copies bytes into the partial block until it is full; returns what is left.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.partial.get_mut(self.filled..).unwrap_or_default();
        let taken = room.len().min(bytes.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.filled = self.filled.wrapping_add(taken);
        bytes.get(taken..).unwrap_or_default()
    }

    /// Writes zeros into the partial block up to `end`.
    fn pad(&mut self, end: usize) {
        if let Some(room) = self.partial.get_mut(self.filled..end) {
            room.fill(0);
        }
        self.filled = end;
    }

    /// Hashes the full partial block.
    fn flush(&mut self) {
        let block = self.partial;
        self.compress(&[block]);
        self.filled = 0;
    }

    fn compress(&mut self, blocks: &[[u8; BLOCK]]) {
        if !blocks.is_empty() {
            arch::compress(self.backend, &mut self.state, blocks);
        }
    }
}

/// The portable compression function.
pub fn compress_portable(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    let compress: fn(&mut [u32; 8], &[[u8; BLOCK]]) = sha2::block_api::compress256;
    // Called where the compiler cannot see it, because what it inlines into code
    // that is built for size it also builds for size.
    black_box(compress)(state, blocks);
}
