// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is flipped: everything about a flip follows from the seed, the backend and its
//! number, so that a campaign goes on where it was left, whoever runs it in how many pieces.

use anyhow::Result;
use blob::load::{File as Blob, Loaded, Series};
use blob::wrap::CHECKSUM;
use purgatory::abi::Backend;
use sha2::{Digest as _, Sha256};

use super::{ARENA, BLOCK};
use crate::native::userspace::Digest;

/// What a flip hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Memory,
    Table,
    Digest,
    /// The register image and the configuration, which a check in user space reads nothing of.
    Registers,
    Config,
    /// What is executed until the checksum is compared.
    Entry,
    /// What the checksum is about, and itself.
    Own,
}

impl Place {
    pub(crate) const ALL: [Self; 7] = [
        Self::Memory,
        Self::Table,
        Self::Digest,
        Self::Own,
        Self::Entry,
        Self::Registers,
        Self::Config,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "protected memory",
            Self::Table => "region table",
            Self::Digest => "digest",
            Self::Registers => "register image",
            Self::Config => "configuration",
            Self::Entry => "entry code",
            Self::Own => "own bytes",
        }
    }
}

/// A bit of the blob, or of its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flip {
    pub(crate) place: Place,
    /// From the start of the blob, or of the message.
    pub(crate) offset: usize,
    pub(crate) mask: u8,
}

/// Where the parts of a blob are, by its symbols.
pub(crate) struct Parts {
    /// Its bytes in memory.
    pub(crate) len: usize,
    tables: Vec<(Place, usize, usize)>,
    pub(super) sum: usize,
}

impl Parts {
    pub(crate) fn of(blob: &[u8]) -> Result<Self> {
        let loaded = Loaded::place(blob, 0x1000, Series::V7_2)?;
        let part = |(place, name): (Place, &str)| {
            let start = loaded.symbol_address(name)? - loaded.mem;
            let size = loaded.symbol_size(name)?.unwrap_or(0);
            anyhow::Ok((place, start as usize, (start + size) as usize))
        };
        let registers = Blob::parse(blob)?.arch.registers.symbol;
        let tables = [
            (Place::Table, "purgatory_sha_regions"),
            (Place::Digest, "purgatory_sha256_digest"),
            (Place::Registers, registers),
            (Place::Config, "purgatory_config"),
            (Place::Entry, "purgatory_start"),
        ];
        let tables = tables.into_iter().map(part).collect::<Result<Vec<_>>>()?;
        let ends = tables.iter().map(|(.., end)| *end);
        Ok(Self {
            // Tables come last; zeros fill the page.
            len: ends.max().unwrap_or(0),
            tables,
            sum: (loaded.symbol_address(CHECKSUM)? - loaded.mem) as usize,
        })
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let part = self
            .tables
            .iter()
            .find(|(_, start, end)| (*start..*end).contains(&offset));
        part.map_or(Place::Own, |(place, ..)| *place)
    }

    pub(crate) fn range(&self, place: Place) -> (usize, usize) {
        let part = self.tables.iter().find(|part| part.0 == place);
        part.map_or((0, self.len), |(_, start, end)| (*start, *end))
    }

    /// Chooses a bit: most often of what is hashed, then of what describes it, seldom of
    /// the blob itself: that may cost a process. A message has `len` bytes.
    pub(crate) fn choose(&self, random: &mut fastrand::Rng, len: usize) -> Flip {
        let place = match random.u8(..100) {
            0..60 => Place::Memory,
            60..85 => Place::Table,
            85..99 => Place::Digest,
            _ => Place::Own,
        };
        let offset = match place {
            Place::Memory => random.usize(..len),
            Place::Own => random.usize(..self.len),
            _ => {
                let (start, end) = self.range(place);
                random.usize(start..end)
            }
        };
        let mask = 1 << random.u8(..8);
        match place {
            Place::Own => Flip {
                place: self.place(offset),
                offset,
                mask,
            },
            _ => Flip {
                place,
                offset,
                mask,
            },
        }
    }
}

/// A backend's share of a campaign.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    pub(crate) seed: u64,
    pub(crate) backend: Backend,
    pub(crate) flips: u64,
}

impl Share {
    pub(super) fn random(&self, kind: u64, number: u64) -> fastrand::Rng {
        let words = [self.seed, self.backend.number().into(), kind, number];
        let mut hash = Sha256::new();
        words
            .iter()
            .for_each(|word| hash.update(word.to_le_bytes()));
        let [a, b, c, d, e, f, g, h, ..]: Digest = hash.finalize().into();
        fastrand::Rng::with_seed(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Cuts a message of up to sixteen pieces out of the arena of a block.
    pub(super) fn pieces(&self, block: u64) -> Vec<(usize, usize)> {
        let mut random = self.random(0, block);
        let mut start = ARENA / 4;
        let piece = |_| {
            let len = random.usize(32..200);
            start += random.usize(..64) + len;
            (start - len, len)
        };
        let count = 1 + block as usize % 16;
        (0..count).map(piece).collect()
    }

    /// Returns a flip by its number.
    pub(crate) fn flip(&self, parts: &Parts, number: u64) -> Flip {
        let len = self.pieces(number / BLOCK).iter().map(|(_, len)| len).sum();
        parts.choose(&mut self.random(1, number), len)
    }
}
