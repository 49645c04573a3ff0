//! A kernel taken apart.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use blob::arch::Arch;

use super::slot::Slot;
use super::table::Packaged;
use super::unpack;

/// A kernel as loaders take it, what QEMU starts, and where that keeps its purgatory.
pub(crate) struct Kernel {
    /// The name of the row, or of the file.
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) image: Vec<u8>,
    vmlinux: Vec<u8>,
    slot: Slot,
}

impl Kernel {
    /// Fetches the newest one of a row.
    pub(crate) fn fetch(row: &Packaged, arch: Arch) -> Result<Self> {
        let path = row.fetch(arch)?;
        Self::read(row.series.name, &path, arch).with_context(|| path.display().to_string())
    }

    /// Reads one.
    pub(crate) fn read(name: &str, path: &Path, arch: Arch) -> Result<Self> {
        let image = fs::read(path).context("cannot read it")?;
        let vmlinux = unpack::program(&image)?;
        Ok(Self {
            name: name.to_owned(),
            version: unpack::version(&image)?,
            slot: Slot::find(&vmlinux, arch)?,
            vmlinux,
            image,
        })
    }

    /// Returns the purgatory that the kernel was built with.
    pub(crate) fn stock(&self) -> &[u8] {
        &self.vmlinux[self.slot.blob.clone()]
    }

    /// Writes the kernel with another purgatory in it into `folder`.
    pub(super) fn patch(&self, name: &str, blob: &[u8], folder: &Path) -> Result<PathBuf> {
        let mut vmlinux = self.vmlinux.clone();
        self.slot
            .replace(&mut vmlinux, blob)
            .with_context(|| format!("Linux {}", self.version))?;
        let path = folder.join(format!("{}-{name}", self.name));
        fs::write(&path, vmlinux)?;
        Ok(path)
    }
}
