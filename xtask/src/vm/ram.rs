// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest's RAM as a sparse file, so that it can be read at any moment without
//! disturbing the guest or waiting for its monitor.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use purgatory_tests::plan::Range;
use tempfile::{NamedTempFile, TempPath};

use super::qemu::Qemu;
use super::run::Run;

/// The file; it goes with this value and its QEMU.
pub(crate) struct Ram {
    file: File,
    /// Until QEMU has opened it.
    name: Option<TempPath>,
    /// Where the guest sees it, from the file's start on.
    ranges: Vec<Range>,
}

impl Ram {
    /// Makes a file in `folder` for RAM in these ranges.
    pub(crate) fn new(folder: &Path, ranges: Vec<Range>) -> Result<Self> {
        let file = NamedTempFile::with_prefix_in("ram-", folder)?;
        let size = ranges.iter().map(|range| range.len).sum();
        file.as_file().set_len(size)?;
        let (file, name) = file.into_parts();
        Ok(Self {
            file,
            name: Some(name),
            ranges,
        })
    }

    /// The option of QEMU that backs its RAM `id` by the file.
    pub(crate) fn backend(&self, id: &str) -> String {
        let size: u64 = self.ranges.iter().map(|range| range.len).sum();
        let path = self.name.as_deref().map(Path::display);
        let path = path.map(|path| path.to_string()).unwrap_or_default();
        format!("memory-backend-file,id={id},size={size},share=on,mem-path={path}")
    }

    /// Starts its machine. Once QEMU has the file open, its name goes: nothing is
    /// left then, however this process ends.
    pub(crate) fn start(&mut self, qemu: Qemu) -> Result<Run> {
        let run = qemu.start()?;
        self.name = None;
        Ok(run)
    }

    /// Reads physical memory.
    pub(crate) fn read<const SIZE: usize>(&self, address: u64) -> Result<[u8; SIZE]> {
        let mut bytes = [0; SIZE];
        let mut before = 0;
        for range in &self.ranges {
            if (range.start..range.end()).contains(&address) {
                self.file
                    .read_exact_at(&mut bytes, before + (address - range.start))?;
                return Ok(bytes);
            }
            before += range.len;
        }
        None.with_context(|| format!("{address:#x} is no RAM"))
    }

    /// Reads a 32-bit word of physical memory.
    pub(crate) fn word(&self, address: u64) -> Result<u32> {
        self.read(address).map(u32::from_le_bytes)
    }
}
