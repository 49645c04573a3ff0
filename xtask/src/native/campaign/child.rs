// SPDX-License-Identifier: MIT OR Apache-2.0
//! The child that makes flips: a damaged blob may do anything to it.

use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use blob::wrap::checksum;
use memmap2::MmapMut;
use purgatory::abi::Backend;
use rustix::mm::{MprotectFlags, mprotect};
use sha2::{Digest as _, Sha256};

use super::plan::{Flip, Parts, Place, Share};
use super::results::{Outcome, Results};
use super::{ARENA, BLOCK};
use crate::native::arch::{catch_faults, runs_here};
use crate::native::userspace::Ours;

/// Options of the hidden subcommand.
#[derive(clap::Args)]
#[group(id = "campaign-child")]
pub(crate) struct Options {
    blob: PathBuf,
    results: PathBuf,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    backend: u32,
    #[arg(long)]
    from: u64,
    #[arg(long)]
    to: u64,
}

/// Makes those flips of a range that have no result yet.
pub(crate) fn run(options: &Options) -> Result<()> {
    let file = std::fs::read(&options.blob)?;
    let share = Share {
        seed: options.seed,
        backend: Backend::from_number(options.backend).context("no such backend")?,
        flips: options.to,
    };
    // Not mapped: damaged code writes anywhere.
    let results = Results::open(&options.results, options.to)?;
    let known = results.all()?;
    catch_faults().context("cannot catch what a damaged blob does")?;
    let mut victim = Victim::new(&file, share)?;
    for number in options.from..options.to {
        if Outcome::from_number(known[number as usize]).is_none() {
            let note = |outcome| results.note(number, outcome);
            let outcome = victim.flip(number, note)?;
            note(outcome)?;
        }
        // Damaged code ended in a signal: who knows what it did before.
        if victim.is_spoilt {
            return Ok(());
        }
    }
    Ok(())
}

/// A blob, a message, and both as they were before they were damaged.
struct Victim {
    share: Share,
    parts: Parts,
    blob: Ours,
    arena: MmapMut,
    block: Option<u64>,
    pieces: Vec<(usize, usize)>,
    memory: Vec<u8>,
    is_spoilt: bool,
}

impl Victim {
    fn new(file: &[u8], share: Share) -> Result<Self> {
        ensure!(
            runs_here(share.backend),
            "this CPU lacks {}",
            share.backend.name()
        );
        let mut arena = MmapMut::map_anon(3 * ARENA)?;
        for guard in [0, 2 * ARENA] {
            let start = arena[guard..].as_mut_ptr().cast();
            // SAFETY: whole pages of our own mapping, which nobody else uses.
            unsafe { mprotect(start, ARENA, MprotectFlags::empty()) }?;
        }
        Ok(Self {
            share,
            parts: Parts::of(file)?,
            blob: Ours::load(file)?,
            arena,
            block: None,
            pieces: Vec::new(),
            memory: Vec::new(),
            is_spoilt: false,
        })
    }

    /// Fills memory for a block's message, and describes it.
    fn fill(&mut self, block: u64) -> Result<()> {
        self.pieces = self.share.pieces(block);
        let whole = &mut self.arena[ARENA..2 * ARENA];
        self.share.random(2, block).fill(whole);
        let pieces: Vec<_> = self
            .pieces
            .iter()
            .map(|(start, len)| &whole[*start..][..*len])
            .collect();
        let digest = Sha256::digest(pieces.concat()).into();
        let code = self
            .blob
            .describe(&pieces, &digest)?
            .run(self.share.backend);
        ensure!(
            code == 0,
            "the message of block {block} is refused as it is"
        );
        self.memory = self.blob.memory().to_vec();
        self.block = Some(block);
        Ok(())
    }

    /// Finds a byte of the message.
    fn byte(&self, mut offset: usize) -> usize {
        for (start, len) in &self.pieces {
            if offset < *len {
                return ARENA + start + offset;
            }
            offset -= len;
        }
        ARENA
    }

    fn run(&mut self) -> Result<u32, i32> {
        // SAFETY: this process is there for nothing else, and its parent judges it.
        unsafe { self.blob.run_damaged(self.share.backend) }
    }

    /// Makes a flip; `note` learns what comes of it if it takes this process with it.
    fn flip(&mut self, number: u64, note: impl Fn(Outcome) -> io::Result<()>) -> Result<Outcome> {
        let block = number / BLOCK;
        if self.block != Some(block) {
            self.fill(block)?;
        }
        let Flip {
            place,
            offset,
            mask,
        } = self.share.flip(&self.parts, number);
        Ok(match place {
            Place::Memory => {
                let at = self.byte(offset);
                self.arena[at] ^= mask;
                let ended = self.run();
                self.arena[at] ^= mask;
                judge(ended, false)
            }
            Place::Table | Place::Digest => {
                self.blob.memory()[offset] ^= mask;
                let ended = self.run();
                self.blob.memory()[offset] ^= mask;
                let used = self.parts.range(Place::Table).0 + 16 * self.pieces.len();
                judge(ended, place == Place::Table && offset >= used)
            }
            Place::Registers | Place::Config | Place::Entry => Outcome::Unread,
            Place::Own => {
                // A damaged image: what passes now passes wrongly.
                let at = self.byte(0);
                self.arena[at] ^= 1;
                let sum = self.parts.sum;
                self.memory[offset] ^= mask;
                let differs =
                    checksum(&self.memory[..sum]).to_le_bytes() != self.memory[sum..sum + 8];
                self.memory[offset] ^= mask;
                note(if differs {
                    Outcome::Refused
                } else {
                    Outcome::Reported
                })?;
                self.blob.memory()[offset] ^= mask;
                let ended = self.run();
                self.is_spoilt = ended.is_err();
                self.blob.memory().copy_from_slice(&self.memory);
                // It may have written anywhere.
                self.block = None;
                match ended {
                    Ok(0) if differs => Outcome::RefusedBySum,
                    Ok(0) => Outcome::Escaped,
                    _ if differs => Outcome::Refused,
                    _ => judge(ended, false),
                }
            }
        })
    }
}

/// Says what it is that a check ended so; `unused` is a bit that nothing reads.
const fn judge(ended: Result<u32, i32>, unused: bool) -> Outcome {
    match ended {
        Ok(0) if unused => Outcome::Unused,
        Ok(0) => Outcome::Escaped,
        Ok(_) => Outcome::Refused,
        Err(libc::SIGVTALRM) => Outcome::Hung,
        Err(_) => Outcome::Reported,
    }
}
