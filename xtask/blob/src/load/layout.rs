// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the sections of a blob go.

use super::{File, LoadError, Section, Series};
use crate::number::PAGE;

/// A limit of ours on the buffer, far above any purgatory: the kernel would
/// ask `vzalloc` for whatever a hostile file adds up to.
const BUFFER_MAX: u64 = 64 << 20;

/// Where each section goes, relative to the start of the purgatory's memory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Memory that the blob takes, whole pages.
    pub(crate) memsz: u64,
    /// Alignment that its start needs, a page at least.
    pub(crate) align: u64,
    pub(super) bufsz: u64,
    /// One entry per section of the file; `None` is not loaded.
    offsets: Vec<Option<u64>>,
}

impl Layout {
    /// Lays a blob out as `kexec_purgatory_setup_kbuf` does: the sections with
    /// bytes in table order, and after them those without. To `elf_rel_load`, no
    /// alignment is one of 1.
    pub(crate) fn of(file: &File<'_>, kernel: Series) -> Result<Self, LoadError> {
        let mut buffer = Extent::default();
        let mut zeros = Extent::default();
        let mut offsets = vec![None; file.sections.len()];
        for section in file.loaded_sections() {
            let extent = if section.is_nobits() {
                &mut zeros
            } else {
                &mut buffer
            };
            offsets[section.index] =
                Some(extent.append(section, u64::from(kernel.tool.is_some()))?);
        }
        let too_big = || LoadError::Silent {
            errno: "ENOMEM",
            reason: "the sections add up to more memory than there can be".into(),
        };
        let bufsz = buffer.size.checked_next_multiple_of(zeros.align);
        let bufsz = bufsz
            .filter(|&size| size <= BUFFER_MAX)
            .ok_or_else(too_big)?;
        if bufsz == 0 {
            return Err(LoadError::Silent {
                errno: "ENOMEM",
                reason: "no section has bytes to load".into(),
            });
        }
        let memsz = bufsz
            .checked_add(zeros.size)
            .and_then(|size| size.checked_next_multiple_of(PAGE))
            .ok_or_else(too_big)?;
        for section in file.loaded_sections().filter(|section| section.is_nobits()) {
            offsets[section.index] = offsets[section.index].map(|offset| bufsz + offset);
        }
        Ok(Self {
            memsz,
            align: buffer.align.max(zeros.align).max(PAGE),
            bufsz,
            offsets,
        })
    }

    /// Returns a section's offset from the start of the purgatory's memory.
    pub(crate) fn offset(&self, section: &Section<'_>) -> Option<u64> {
        self.offsets[section.index]
    }

    pub(super) fn accept(&self, mem: u64) -> Result<(), LoadError> {
        if mem == 0 || !mem.is_multiple_of(self.align) {
            return Err(LoadError::Misplaced(format!(
                "{mem:#x} is no multiple of {:#x}, the alignment of this blob",
                self.align
            )));
        }
        if mem.checked_add(self.memsz).is_none() {
            return Err(LoadError::Misplaced(format!(
                "{:#x} bytes at {mem:#x} wrap around",
                self.memsz
            )));
        }
        Ok(())
    }
}

/// A run of sections, one after the other.
struct Extent {
    size: u64,
    align: u64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { size: 0, align: 1 }
    }
}

impl Extent {
    fn append(&mut self, section: &Section<'_>, least: u64) -> Result<u64, LoadError> {
        let align = section.align.max(least);
        if !align.is_power_of_two() {
            // ALIGN(offset, 0) is 0: the section lands on the first one, and
            // the buffer is sized from there on, too small for those before.
            return Err(LoadError::Unchecked(format!(
                "{section} has alignment {}, which is no power of two: its place \
                 is nonsense, and the copy overruns the kernel's buffer",
                section.align
            )));
        }
        let end = self
            .size
            .checked_next_multiple_of(align)
            .and_then(|offset| Some((offset, offset.checked_add(section.size)?)));
        let Some((offset, end)) = end else {
            return Err(LoadError::Unchecked(format!(
                "{section} of {:#x} bytes wraps the size of the buffer",
                section.size
            )));
        };
        self.align = self.align.max(align);
        self.size = end;
        Ok(offset)
    }
}
