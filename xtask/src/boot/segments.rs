//! The memory image of a layout: its segments, the table that describes them,
//! and what the two hold together.

use anyhow::{Context, Result};
use object::{Object, ObjectSegment};
use purgatory_tests::{Range, cases::Layout};

use crate::boot::image::page_up;
use blob::{load::PAGE, manifest::Manifest};

/// Where the RAM disk of the cases lies.
const RAM_DISK: u64 = 0x0200_0000;
/// Where the small segments of [`Layout::Sixteen`] begin.
const SMALL: u64 = 0x0300_0000;
/// Boot parameters: below 640 KiB, as kernels place them on small machines.
pub(super) const PARAMETERS: u64 = 0x7_0000;
/// Where the zeros of [`Layout::Large`] begin.
const LARGE: u64 = 0x0800_0000;

/// The segments of a layout: first and last around the payload.
pub(super) fn segments(layout: Layout, payload: &[u8]) -> Result<Vec<(Range, Vec<u8>)>> {
    let mut segments = vec![(
        Range {
            start: PARAMETERS,
            len: 2 * PAGE,
        },
        noise(1, 5000),
    )];
    segments.push(flatten(payload)?);
    let (pages, bytes) = match layout {
        Layout::Small => (2, 5001),
        _ => (320, 1_300_001),
    };
    segments.push((
        Range {
            start: RAM_DISK,
            len: pages * PAGE,
        },
        noise(2, bytes),
    ));
    if let Layout::Large(mebibytes) = layout {
        let range = Range {
            start: LARGE,
            len: mebibytes << 20,
        };
        segments.push((range, Vec::new()));
    }
    if layout == Layout::Sixteen {
        for index in 0..13_u64 {
            let start = SMALL + index * 3 * PAGE + index * 7;
            let len = 4099 + index * 501;
            segments.push((Range { start, len }, noise(index + 3, len / 2)));
        }
    }
    Ok(segments)
}

/// The region table of a layout.
pub(super) fn table(layout: Layout, segments: &[(Range, Vec<u8>)]) -> Vec<Range> {
    let mut regions: Vec<Range> = segments.iter().map(|(range, _)| *range).collect();
    match layout {
        Layout::Three | Layout::Sixteen | Layout::Large(_) | Layout::Small => (),
        Layout::Gaps => {
            let gap = Range::default();
            regions = regions
                .into_iter()
                .flat_map(|region| [gap, gap, region, gap])
                .collect();
        }
        Layout::Overlap => regions.push(Range {
            start: RAM_DISK + 1000,
            len: 70_003,
        }),
        Layout::Empty => regions.clear(),
    }
    regions.resize(16, Range::default());
    regions
}

/// Lists the regions in use under the names of their segments.
pub(super) fn manifest(
    regions: &[Range],
    segments: &[(Range, Vec<u8>)],
    digest: &[u8],
) -> Manifest {
    let mut manifest = Manifest::new(digest);
    for (index, region) in regions.iter().enumerate() {
        if region.len > 0 {
            let holds = |(range, _): &(Range, _)| range.overlaps(region);
            let name = match segments.iter().position(holds) {
                Some(0) => "boot parameters",
                Some(1) => "kernel",
                Some(2) => "initrd",
                _ => "another segment",
            };
            let bytes = contents(&[*region], segments);
            manifest.add(index, name, region.start, region.len, &bytes);
        }
    }
    manifest
}

/// Reads the regions out of the memory that the segments make up.
pub(super) fn contents(regions: &[Range], segments: &[(Range, Vec<u8>)]) -> Vec<u8> {
    let mut all = Vec::new();
    for region in regions.iter().filter(|region| region.len > 0) {
        for (range, bytes) in segments {
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
