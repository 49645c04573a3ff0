// SPDX-License-Identifier: MIT OR Apache-2.0
//! One-bit flips against the shipped bytes in user space: what comes of each.
//!
//! Everything about a flip follows from the seed, the backend and its number: its
//! message, its table, the bit. So a campaign goes on where it was left, whoever runs
//! it in how many pieces. A damaged blob may do anything: it runs in a child.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use blob::load::{File as Blob, Loaded, Series};
use blob::wrap::{CHECKSUM, checksum};
use memmap2::{MmapMut, MmapOptions};
use purgatory::abi::Backend;
use rustix::mm::{MprotectFlags, mprotect};
use sha2::{Digest as _, Sha256};

use super::arch::{MATCHES, catch_faults, runs_here};
use super::userspace::{Digest, Ours};
use crate::host::process::this_program;

/// The hidden subcommand.
const NAME: &str = "campaign-child";
/// Flips that share a message.
const BLOCK: u64 = 1000;
/// Memory for messages, with as much on either side that is not mapped.
const ARENA: usize = 16 << 10;
/// How long a child may take for one flip.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// What comes of a flip; 0 in a file of results is one that was not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// The image was refused.
    Refused = 1,
    /// An exception, which the purgatory reports.
    Reported,
    /// A reset without a word.
    Reset,
    /// No end, and no word.
    Hung,
    /// Nothing reads that bit: it ran on, and all was right.
    Unused,
    /// The next kernel was started with what nobody vouches for.
    Escaped,
    /// Refused by the checksum; the check alone would have let a damaged image pass.
    RefusedBySum,
    /// Nothing in user space reads it.
    Unread,
}

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::Refused,
        Self::Reported,
        Self::Reset,
        Self::Hung,
        Self::Unused,
        Self::Escaped,
        Self::RefusedBySum,
        Self::Unread,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reported => "reported",
            Self::Reset => "reset",
            Self::Hung => "hung",
            Self::Unused => "harmless: unused",
            Self::Escaped => "escaped",
            Self::RefusedBySum => "refused, by the checksum alone",
            Self::Unread => "not read in user space",
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| *one as u8 == number)
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
    sum: usize,
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
    fn random(&self, kind: u64, number: u64) -> fastrand::Rng {
        let words = [self.seed, self.backend.number().into(), kind, number];
        let mut hash = Sha256::new();
        words
            .iter()
            .for_each(|word| hash.update(word.to_le_bytes()));
        let [a, b, c, d, e, f, g, h, ..]: Digest = hash.finalize().into();
        fastrand::Rng::with_seed(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Cuts a message of up to sixteen pieces out of the arena of a block.
    fn pieces(&self, block: u64) -> Vec<(usize, usize)> {
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
    let known = std::fs::read(&options.results)?;
    let results = File::options().write(true).open(&options.results)?;
    catch_faults().context("cannot catch what a damaged blob does")?;
    let mut victim = Victim::new(&file, share)?;
    for number in options.from..options.to {
        if Outcome::from_number(known[number as usize]).is_none() {
            let note = |outcome| results.write_all_at(&[outcome as u8], number);
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

/// Maps a file of results, a byte a flip.
pub(crate) fn results(path: &Path, flips: u64) -> Result<MmapMut> {
    let context = || format!("cannot use {}", path.display());
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path).with_context(context)?;
    file.set_len(flips).with_context(context)?;
    // SAFETY: only we and our children write it, a byte each at a time.
    unsafe { MmapOptions::new().map_mut(&file) }.with_context(context)
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

/// Makes all flips of a share that have no result yet, on every processor; `progress`
/// learns how many there are.
pub(crate) fn work(
    blob: &Path,
    path: &Path,
    share: Share,
    progress: impl Fn(u64),
) -> Result<MmapMut> {
    let mut results = results(path, share.flips)?;
    let workers = thread::available_parallelism()?.get() as u64;
    let ranges = (0..workers).map(|worker| {
        (
            share.flips * worker / workers,
            share.flips * (worker + 1) / workers,
        )
    });
    let begin = |range: (u64, u64), first| {
        let child = start(blob, path, share, range)?;
        anyhow::Ok((child, range, first, first, Instant::now()))
    };
    let mut children = ranges
        .map(|range| begin(range, range.0))
        .collect::<Result<Vec<_>>>()?;
    while !children.is_empty() {
        thread::sleep(Duration::from_millis(100));
        let mut left = Vec::new();
        for (mut child, range, first, at, since) in children {
            let ended = child.try_wait()?;
            let is_left = |at: &u64| Outcome::from_number(results[*at as usize]).is_none();
            let next = (at..range.1).find(is_left);
            let is_stuck = next == Some(at);
            match (ended, next) {
                (None, Some(next)) if is_stuck && since.elapsed() > PATIENCE => {
                    child.kill()?;
                    child.wait()?;
                    // A busy machine, or damage from before: it gets another chance.
                    if next == first {
                        results[next as usize] = Outcome::Hung as u8;
                    }
                    left.push(begin(range, next)?);
                }
                (None, _) => {
                    let since = if is_stuck { since } else { Instant::now() };
                    left.push((child, range, first, next.unwrap_or(range.1), since));
                }
                (Some(_), None) => {}
                (Some(status), Some(next)) => {
                    ensure!(
                        status.code() != Some(1),
                        "a child of the campaign failed: see what `{NAME}` says on {}",
                        path.display()
                    );
                    // Beyond what it catches; else what damaged code left behind ended it.
                    if !status.success() && next == first {
                        results[next as usize] = Outcome::Reported as u8;
                    }
                    left.push(begin(range, next)?);
                }
            }
        }
        children = left;
        progress(results.iter().filter(|result| **result != 0).count() as u64);
    }
    Ok(results)
}

fn start(blob: &Path, results: &Path, share: Share, (from, to): (u64, u64)) -> Result<Child> {
    let numbers = [
        ("--seed", share.seed),
        ("--backend", share.backend.number().into()),
        ("--from", from),
        ("--to", to),
    ];
    let mut command = this_program();
    command.arg(NAME).arg(blob).arg(results);
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    // It may end in any way.
    command.stderr(Stdio::null());
    command
        .spawn()
        .context("cannot start a child of the campaign")
}

/// A campaign on trial: of the blob as it is nothing escapes; of one whose check says yes
/// to everything, all that its check would have found.
pub(super) fn sees(blob: &[u8]) -> Result<()> {
    const FLIPS: u64 = 2000;
    if MATCHES.is_empty() {
        println!("SKIPPED: campaigns run on x86_64 only");
        return Ok(());
    }
    let loaded = Loaded::place(blob, 0x1000, Series::V7_2)?;
    let verify = (loaded.symbol_address("purgatory_verify")? - loaded.mem) as usize;
    let verify = memchr::memmem::find(blob, &loaded.buf[verify..verify + 16]);
    let mut blind = blob.to_vec();
    let verify = blind.get_mut(verify.context("purgatory_verify is not in the file")?..);
    verify.unwrap_or_default()[..MATCHES.len()].copy_from_slice(MATCHES);
    let folder = tempfile::tempdir()?;
    let [file, made] = ["blob.ro", "flips"].map(|name| folder.path().join(name));
    for (bytes, is_blind) in [(blob, false), (&blind, true)] {
        std::fs::write(&file, bytes)?;
        let share = Share {
            seed: u64::from(is_blind),
            backend: Backend::Portable,
            flips: FLIPS,
        };
        // Results are not made anew.
        let _ = std::fs::remove_file(&made);
        let results = work(&file, &made, share, |_| ())?;
        let parts = Parts::of(bytes)?;
        let vouched = (0..FLIPS).filter(|&number| {
            [Place::Memory, Place::Digest].contains(&share.flip(&parts, number).place)
        });
        for number in vouched {
            let outcome = Outcome::from_number(results[number as usize]);
            let wanted = if is_blind {
                Outcome::Escaped
            } else {
                Outcome::Refused
            };
            ensure!(
                outcome == Some(wanted),
                "flip {number} ends in {outcome:?}, not {wanted:?}"
            );
        }
    }
    Ok(())
}
