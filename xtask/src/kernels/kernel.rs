// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel taken apart.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use blob::arch::Arch;

use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::module;
use super::slot::Slot;
use super::table::Packaged;
use super::unpack;

/// A kernel as loaders take it, what QEMU starts, and where that keeps its purgatory.
pub(crate) struct Kernel {
    /// The name of the row, or of the file.
    pub(crate) name: String,
    /// Where it came from, if not from a file.
    row: Option<Packaged>,
    pub(crate) version: String,
    pub(crate) image: Vec<u8>,
    vmlinux: Vec<u8>,
    slot: Slot,
}

impl Kernel {
    /// Fetches the newest one of a row.
    pub(crate) fn fetch(row: &Packaged, arch: Arch) -> Result<Self> {
        let path = row.fetch(arch)?;
        let kernel = Self::read(row.series.name, &path, arch);
        Ok(Self {
            row: Some(*row),
            ..kernel.with_context(|| path.display().to_string())?
        })
    }

    /// Reads one.
    pub(crate) fn read(name: &str, path: &Path, arch: Arch) -> Result<Self> {
        let image = fs::read(path).context("cannot read it")?;
        let vmlinux = unpack::program(&image)?;
        Ok(Self {
            name: name.to_owned(),
            row: None,
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

    /// Returns where that lies in the memory of a machine that was started with the
    /// vmlinux: nothing moves it.
    pub(super) fn stock_address(&self) -> Result<u64> {
        let start = self.slot.blob.start as u64;
        let header = FileHeader64::<LittleEndian>::parse(&*self.vmlinux)?;
        let segments = header.program_headers(LittleEndian, &*self.vmlinux)?;
        let address = segments.iter().find_map(|segment| {
            let (offset, size) = segment.file_range(LittleEndian);
            let within = start.checked_sub(offset).filter(|within| *within < size)?;
            Some(segment.p_paddr(LittleEndian) + within)
        });
        address.context("the purgatory is in no segment of the kernel")
    }

    /// Builds the module that puts `blob` there, as Debian's users would.
    pub(super) fn build_module(&self, arch: Arch, blob: &[u8]) -> Result<Vec<u8>> {
        let row = self
            .row
            .context("a kernel without headers takes no module")?;
        let root = row.fetch_headers(arch, &self.version)?;
        module::build(&root, &self.version, blob)
            .with_context(|| format!("the module for Linux {}", self.version))
    }

    /// Returns modules of its own, by their paths in an initramfs.
    pub(super) fn modules(
        &self,
        arch: Arch,
        paths: &[&'static str],
    ) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let row = self
            .row
            .context("a kernel without packages has no modules")?;
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.trim_start_matches('/'))
            .collect();
        let files = row.fetch_modules(arch, &self.version, &names)?;
        let read = |(path, file): (&&'static str, PathBuf)| {
            let module = unpack::module(fs::read(&file)?);
            Ok((*path, module.with_context(|| file.display().to_string())?))
        };
        paths.iter().zip(files).map(read).collect()
    }

    /// Tells whether its command line may have this parameter.
    pub(super) fn knows(&self, parameter: &str) -> bool {
        memchr::memmem::find(&self.vmlinux, parameter.as_bytes()).is_some()
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
