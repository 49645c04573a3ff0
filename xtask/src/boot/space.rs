// SPDX-License-Identifier: MIT OR Apache-2.0
//! The physical memory of a guest, and what of it is taken.

use anyhow::{Result, bail, ensure};
use blob::number::PAGE;
use purgatory_tests::plan::Range;

use crate::machine::Machine;

const MIB: u64 = 1 << 20;

/// RAM, and what of it is taken.
pub(crate) struct Space {
    machine: &'static Machine,
    ram: Vec<Range>,
    taken: Vec<Range>,
}

impl Space {
    /// Describes a machine with `mebibytes` of RAM that must also hold an image
    /// of `image` bytes.
    pub(crate) fn new(machine: &'static Machine, mebibytes: u64, image: u64) -> Result<Self> {
        let ram = (machine.ram)(mebibytes * MIB);
        let low = ram.first().copied().unwrap_or_default();
        let usable = low.end().saturating_sub(machine.firmware);
        let firmware = Range {
            start: usable,
            len: machine.firmware,
        };
        let len = page_up(image);
        let harness = machine.memory.harness;
        let start = (machine.image_at)(usable.max(len), len);
        let staged = Range { start, len };
        let before = start.max(harness.end());
        ensure!(
            harness.end() <= start && staged.end() <= usable,
            "{mebibytes} MiB of memory are too little for {} MiB of segments: give at least {} with --memory",
            image.div_ceil(MIB),
            (2 * image + before - low.start + machine.firmware).div_ceil(MIB) + 16,
        );
        Ok(Self {
            machine,
            ram,
            taken: vec![staged, firmware, harness],
        })
    }

    /// RAM, from its bottom up.
    pub(crate) fn ram(&self) -> &[Range] {
        &self.ram
    }

    /// The end of low RAM that the firmware does not keep.
    pub(crate) fn usable_low_end(&self) -> u64 {
        self.ram
            .first()
            .map_or(0, |low| low.end() - self.machine.firmware)
    }

    /// Takes exactly `range`.
    pub(crate) fn take(&mut self, range: Range) -> Result<()> {
        ensure!(
            self.ram
                .iter()
                .any(|ram| ram.start <= range.start && range.end() <= ram.end()),
            "{:#x} to {:#x} is not RAM of this machine: give it more with --memory",
            range.start,
            range.end(),
        );
        if let Some(other) = self.taken.iter().find(|other| other.overlaps(&range)) {
            bail!(
                "{:#x} to {:#x} is taken ({:#x} to {:#x} is in use): choose another address, or more --memory",
                range.start,
                range.end(),
                other.start,
                other.end(),
            );
        }
        self.taken.push(range);
        Ok(())
    }

    /// Takes `size` bytes as high as possible, from `lowest` on: the top-down
    /// walk of `locate_mem_hole_top_down()` (`kernel/kexec_file.c`).
    pub(crate) fn place(&mut self, size: u64, align: u64, lowest: u64) -> Result<u64> {
        let len = page_up(size);
        for ram in self.ram.iter().rev() {
            let mut end = ram.end();
            while let Some(start) = end.checked_sub(len).map(|start| start & !(align - 1)) {
                if start < ram.start.max(lowest) {
                    break;
                }
                let range = Range { start, len };
                match self.taken.iter().find(|other| other.overlaps(&range)) {
                    Some(other) => end = other.start,
                    None => {
                        self.taken.push(range);
                        return Ok(start);
                    }
                }
            }
        }
        bail!(
            "no room for {} MiB in {} MiB of memory: give more with --memory",
            len.div_ceil(MIB),
            self.ram.iter().map(|ram| ram.len).sum::<u64>() / MIB,
        )
    }
}

/// Rounds up to whole pages.
pub(crate) const fn page_up(size: u64) -> u64 {
    size.next_multiple_of(PAGE)
}
