// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine's physical memory, running or dumped, and the records in it.
//!
//! They are found by their magic: whoever looks at a dead machine does not know where
//! the purgatory was. Nothing of the machine is changed.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use blob::status::{Record, fits};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, ReadCache, elf};
use purgatory::status::Status;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::host::failure::usage;
use crate::vm::qmp::Monitor;

/// How much memory is looked at at once.
const CHUNK: u64 = 64 << 20;
/// How long QEMU may take to greet: it does not, while it talks to somebody else.
const GREETING: Duration = Duration::from_secs(10);
/// How long QEMU may take for all of its memory.
const PATIENCE: Duration = Duration::from_secs(600);
/// How the dumps of makedumpfile and of QEMU's kdump formats begin, the second when
/// it is flattened for a pipe (makedumpfile's `diskdump_mod.h` and `makedumpfile.h`).
const COMPRESSED: [&[u8; 8]; 2] = [b"KDUMP   ", b"makedump"];
/// The record begins at a multiple of this.
const ALIGN: u64 = 8;

/// Physical memory that can be read.
pub(crate) trait Memory {
    /// Returns where there is any.
    fn ranges(&self) -> Vec<Range<u64>>;
    /// Reads bytes that are all inside one range.
    fn read(&mut self, address: u64, length: u64) -> Result<Vec<u8>>;
}

/// Finds every record, those that can be read first.
pub(crate) fn records(memory: &mut impl Memory) -> Result<Vec<(u64, Record)>> {
    let mut found = search(memory, Status::MAGIC)?;
    found.sort_by_key(|(_, record)| Reverse(fits(record)));
    Ok(found)
}

/// Finds everything that begins with a magic.
pub(crate) fn search<const SIZE: usize>(
    memory: &mut impl Memory,
    magic: [u8; 8],
) -> Result<Vec<(u64, [u8; SIZE])>> {
    let magic = memchr::memmem::Finder::new(&magic);
    let mut found = Vec::new();
    for range in memory.ranges() {
        let mut start = range.start;
        while start < range.end {
            let length = CHUNK.min(range.end - start);
            let bytes = memory.read(start, length)?;
            for place in magic.find_iter(&bytes).map(|place| start + place as u64) {
                // The end of a chunk may cut a record, that of a range its rest.
                let whole = place.is_multiple_of(ALIGN) && range.end - place >= SIZE as u64;
                if whole {
                    let record = memory.read(place, SIZE as u64)?;
                    found.push((place, record.try_into().expect("so many were read")));
                }
            }
            start += length;
        }
    }
    Ok(found)
}

/// A dump file.
pub(crate) struct Dump {
    file: File,
    /// Physical addresses, and where their bytes are in the file.
    pieces: Vec<(Range<u64>, u64)>,
}

impl Dump {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display();
        let unread = |error| usage(format!("cannot read {name}: {error}"));
        let file = File::open(path).map_err(unread)?;
        let length = file.metadata().map_err(unread)?.len();
        let mut magic = [0; 8];
        let refused = match file.read_exact_at(&mut magic, 0) {
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
                return Err(unread(error));
            }
            _ if length == 0 => Some("is empty, or a device: give a file"),
            _ if COMPRESSED.contains(&&magic) => Some(
                "is a compressed dump, which is not searched: dump as ELF \
                 (`dump-guest-memory` without -z, -l, -s; `makedumpfile -E`)",
            ),
            _ => None,
        };
        if let Some(what) = refused {
            return Err(usage(format!("{name} {what}")));
        }
        let pieces = if magic.starts_with(&elf::ELFMAG) {
            core(&file, length).with_context(|| format!("{name} is no whole ELF core"))?
        } else {
            vec![(0..length, 0)]
        };
        Ok(Self { file, pieces })
    }

    /// Opens the memory of this machine that is kept for a crash kernel.
    pub(crate) fn crash_kernel() -> Result<Self> {
        let iomem = fs::read_to_string("/proc/iomem")?;
        let kept = named(&iomem, "Crash kernel");
        ensure!(
            !kept.is_empty(),
            "/proc/iomem shows no crash kernel: it takes root"
        );
        let mut dump = Self::open(Path::new("/proc/kcore"))?;
        let inside = |(range, offset): (Range<u64>, u64)| {
            let kept = kept.iter().find(|kept| range.contains(&kept.start))?;
            let end = range.end.min(kept.end);
            Some((kept.start..end, offset + (kept.start - range.start)))
        };
        dump.pieces = dump.pieces.into_iter().filter_map(inside).collect();
        ensure!(!dump.pieces.is_empty(), "/proc/kcore does not show it");
        Ok(dump)
    }
}

/// Reads the ranges of that name in `/proc/iomem`: `START-END : NAME`.
fn named(iomem: &str, name: &str) -> Vec<Range<u64>> {
    let lines = iomem.lines().filter_map(|line| line.split_once(" : "));
    let lines = lines.filter(|(_, found)| *found == name);
    let range = |(range, _): (&str, &str)| {
        let (start, end) = range.trim().split_once('-')?;
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).ok());
        Some(start?..end?.checked_add(1)?)
    };
    lines
        .filter_map(range)
        .filter(|range| range.start > 0)
        .collect()
}

/// Returns what an ELF core holds: the part of each `PT_LOAD` that is in the file.
fn core(file: &File, length: u64) -> Result<Vec<(Range<u64>, u64)>> {
    let data = ReadCache::new(file.try_clone()?);
    let header = elf::FileHeader64::<LittleEndian>::parse(&data)?;
    let endian = header.endian()?;
    ensure!(
        header.e_type(endian) == elf::ET_CORE,
        "it is {:?}, not ET_CORE",
        header.e_type(endian)
    );
    let mut pieces = Vec::new();
    for segment in header.program_headers(endian, &data)? {
        let (offset, size) = segment.file_range(endian);
        if segment.p_type(endian) != elf::PT_LOAD || size == 0 {
            continue;
        }
        let start = segment.p_paddr(endian);
        if start == u64::MAX {
            // `/proc/kcore` of what has only a virtual address.
            continue;
        }
        let end = start.checked_add(size).context("a segment wraps")?;
        ensure!(
            offset.checked_add(size).is_some_and(|end| end <= length),
            "the segment at {start:#x} is cut off: the dump is not complete"
        );
        pieces.push((start..end, offset));
    }
    Ok(pieces)
}

impl Memory for Dump {
    fn ranges(&self) -> Vec<Range<u64>> {
        self.pieces.iter().map(|(range, _)| range.clone()).collect()
    }

    fn read(&mut self, address: u64, length: u64) -> Result<Vec<u8>> {
        let piece = self
            .pieces
            .iter()
            .find(|(range, _)| range.contains(&address));
        let (range, offset) = piece.with_context(|| format!("no memory at {address:#x}"))?;
        let mut bytes = vec![0; usize::try_from(length)?];
        self.file
            .read_exact_at(&mut bytes, offset + (address - range.start))?;
        Ok(bytes)
    }
}

/// A running QEMU.
pub(crate) struct Monitored {
    monitor: Monitor,
    ranges: Vec<Range<u64>>,
    /// Written by QEMU.
    file: NamedTempFile,
}

impl Monitored {
    pub(crate) fn connect(path: &Path) -> Result<Self> {
        let socket = UnixStream::connect(path)
            .map_err(|error| usage(format!("cannot connect to {}: {error}", path.display())))?;
        let mut monitor = Monitor::connect(socket, Instant::now() + GREETING)
            .with_context(|| format!("{} is no free QMP monitor", path.display()))?;
        monitor.set_deadline(Instant::now() + PATIENCE);
        // Not from 0 to the size of RAM: there is a hole below 4 GiB, and reading
        // a device can change it.
        let tree = monitor.human("info mtree -f")?;
        let ranges = ram(&tree);
        ensure!(
            !ranges.is_empty(),
            "QEMU names no RAM: `info mtree -f` said\n{tree}"
        );
        Ok(Self {
            monitor,
            ranges,
            file: NamedTempFile::with_prefix("purgatory-status-")?,
        })
    }
}

impl Memory for Monitored {
    fn ranges(&self) -> Vec<Range<u64>> {
        self.ranges.clone()
    }

    fn read(&mut self, address: u64, length: u64) -> Result<Vec<u8>> {
        let path = self.file.path();
        let arguments = json!({"val": address, "size": length, "filename": path});
        self.monitor.execute("pmemsave", arguments)?;
        let bytes = fs::read(path)?;
        ensure!(
            bytes.len() as u64 == length,
            "QEMU saved {} bytes, not {length}",
            bytes.len()
        );
        Ok(bytes)
    }
}

/// Reads the RAM of the system's flat view: `START-END (prio N, ram): NAME`.
fn ram(tree: &str) -> Vec<Range<u64>> {
    let view = tree
        .split("FlatView")
        .find(|view| view.contains("AS \"memory\""))
        .unwrap_or_default();
    let lines = view.lines().filter(|line| line.contains(", ram): "));
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).ok());
        Some(start?..end?.checked_add(1)?)
    };
    lines.filter_map(range).collect()
}
