// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory image of a layout: its segments, the table that describes them,
//! and what the two hold together.

use anyhow::{Context as _, Result};
use blob::load::Segment;
use blob::manifest::Manifest;
use blob::number::PAGE;
use object::{Object as _, ObjectSegment as _};
use purgatory::abi::REGION_COUNT;
use purgatory_tests::arch::MemoryMap;
use purgatory_tests::cases::Regions;
use purgatory_tests::plan::{Flip, Range};

use super::space::page_up;
use crate::machine::Machine;

/// Ranges of memory, each with its first bytes; zeros follow.
pub(super) struct Segments(pub(super) Vec<(Range, Vec<u8>)>);

/// The segments of a layout: first and last around the payload.
pub(super) fn segments(machine: &Machine, regions: Regions, payload: &[u8]) -> Result<Segments> {
    let map = &machine.memory;
    let mut parameters = noise(1, 5000);
    if let Some(tree) = machine.tree {
        let tree = tree();
        parameters[..tree.len()].copy_from_slice(&tree);
    }
    let mut segments = vec![(
        Range {
            start: map.parameters,
            len: 2 * PAGE,
        },
        parameters,
    )];
    segments.push(flatten(payload)?);
    let (pages, bytes) = match regions {
        Regions::Small => (2, 5001),
        _ => (320, 1_300_001),
    };
    segments.push((
        Range {
            start: map.ram_disk,
            len: pages * PAGE,
        },
        noise(2, bytes),
    ));
    if let Regions::Large(mebibytes) = regions {
        let range = Range {
            start: map.large,
            len: mebibytes << 20,
        };
        segments.push((range, Vec::new()));
    }
    if regions == Regions::Sixteen {
        for index in 0..13_u64 {
            let start = map.small + index * 3 * PAGE + index * 7;
            let len = 4099 + index * 501;
            segments.push((Range { start, len }, noise(index + 3, len / 2)));
        }
    }
    Ok(Segments(segments))
}

/// The region table of a layout.
pub(super) fn table(map: &MemoryMap, which: Regions, segments: &Segments) -> Vec<Range> {
    let mut regions: Vec<Range> = segments.0.iter().map(|(range, _)| *range).collect();
    match which {
        Regions::Three | Regions::Sixteen | Regions::Large(_) | Regions::Small => (),
        Regions::Gaps => {
            let gap = Range::default();
            regions = regions
                .into_iter()
                .flat_map(|region| [gap, gap, region, gap])
                .collect();
        }
        Regions::Overlap => regions.push(Range {
            start: map.ram_disk + 1000,
            len: 70_003,
        }),
        Regions::Empty => regions.clear(),
    }
    regions.resize(REGION_COUNT, Range::default());
    regions
}

impl Segments {
    /// Lists the regions in use under the names of their segments.
    pub(super) fn manifest(&self, regions: &[Range], digest: &[u8]) -> Manifest {
        let mut manifest = Manifest::new(digest);
        for (index, region) in regions.iter().enumerate() {
            if region.len > 0 {
                let holds = |(range, _): &(Range, _)| range.overlaps(region);
                let name = match self.0.iter().position(holds) {
                    Some(0) => "boot parameters",
                    Some(1) => "kernel",
                    Some(2) => "initrd",
                    _ => "another segment",
                };
                let segment = Segment {
                    mem: region.start,
                    memsz: region.len,
                    buf: &self.contents(&[*region]),
                };
                manifest.add(index, name, &segment);
            }
        }
        manifest
    }

    /// Reads regions out of the memory that the segments make up.
    pub(super) fn contents(&self, regions: &[Range]) -> Vec<u8> {
        let mut all = Vec::new();
        for region in regions.iter().filter(|region| region.len > 0) {
            for (range, bytes) in &self.0 {
                if range.start <= region.start && region.end() <= range.end() {
                    let mut whole = bytes.clone();
                    whole.resize(range.len as usize, 0);
                    let from = (region.start - range.start) as usize;
                    all.extend_from_slice(&whole[from..from + region.len as usize]);
                }
            }
        }
        all
    }

    /// Inverts bits.
    pub(super) fn flip(&mut self, flip: Flip) {
        for (range, bytes) in &mut self.0 {
            bytes.resize(range.len as usize, 0);
            let offset = flip.at.wrapping_sub(range.start) as usize;
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= flip.mask as u8;
            }
        }
    }
}

/// One segment of a linked program: everything from its first to its last byte.
fn flatten(program: &[u8]) -> Result<(Range, Vec<u8>)> {
    let file = object::File::parse(program)?;
    let start = file
        .segments()
        .map(|s| s.address())
        .min()
        .context("the payload is empty")?;
    let end = file
        .segments()
        .map(|s| s.address() + s.size())
        .max()
        .unwrap_or(start);
    let len = page_up(end - start);
    let mut bytes = vec![0; len as usize];
    for segment in file.segments() {
        let data = segment.data()?;
        let from = (segment.address() - start) as usize;
        bytes[from..from + data.len()].copy_from_slice(data);
    }
    Ok((Range { start, len }, bytes))
}

/// Bytes that look like nothing, the same every time (xorshift64).
fn noise(seed: u64, len: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
