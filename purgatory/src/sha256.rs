//! SHA-256 (FIPS 180-4) over borrowed memory, with one seam: `compress`.
//!
//! Whole blocks are hashed where they lie. Only the bytes around a seam between
//! two pieces are ever copied.

use core::{hint::black_box, slice};

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
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::ShaNi => "sha-ni",
        }
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
    /// Bytes so far.
    length: u64,
    /// Those since the last whole block.
    partial: [u8; BLOCK],
}

impl Sha256 {
    /// Starts an empty message.
    // Called in two places, like the next two; inlined, it costs 0.1 KB.
    #[inline(never)]
    #[must_use]
    pub const fn new(backend: Backend) -> Self {
        Self {
            backend,
            state: INITIAL,
            length: 0,
            partial: [0; BLOCK],
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
        let room = self.partial.get_mut(filled..).unwrap_or_default();
        room.fill(0);
        if let [first, ..] = room {
            *first = 0x80;
        }
        if filled >= BLOCK.wrapping_sub(8) {
            self.flush();
            self.partial.fill(0);
        }
        if let Some(end) = self.partial.last_chunk_mut() {
            *end = self.length.wrapping_mul(8).to_be_bytes();
        }
        self.flush();
        let word = |high, low| (u64::from(high) << 32 | u64::from(low)).to_be();
        let [a, b, c, d, e, f, g, h]: [u32; 8] = self.state;
        [word(a, b), word(c, d), word(e, f), word(g, h)]
    }

    /// How much of the partial block is in use.
    fn filled(&self) -> usize {
        let [filled, ..] = self.length.to_le_bytes();
        usize::from(filled) % BLOCK
    }

    /// Copies bytes into the partial block from `at` on until it is full; returns
    /// what is left of them.
    fn fill<'a>(&mut self, at: usize, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.partial.get_mut(at..).unwrap_or_default();
        let taken = room.len().min(bytes.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        bytes.get(taken..).unwrap_or_default()
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

/// The portable compression function.
pub fn compress_portable(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    let compress: fn(&mut [u32; 8], &[[u8; BLOCK]]) = sha2::block_api::compress256;
    // Called where the compiler cannot see it, because what it inlines into code
    // that is built for size it also builds for size.
    black_box(compress)(state, blocks);
}
