// SPDX-License-Identifier: MIT OR Apache-2.0
//! Archives in which nothing of this machine is: owners are root, and times are given.

use std::collections::BTreeSet;
use std::io::Read;

use anyhow::{Result, bail};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

/// A file of an archive.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    mode: u32,
}

impl Item {
    pub(super) fn new(path: &str, bytes: Vec<u8>) -> Self {
        let path = path.to_owned();
        Self {
            path,
            bytes,
            mode: 0o644,
        }
    }

    pub(super) fn program(path: &str, bytes: Vec<u8>) -> Self {
        Self {
            mode: 0o755,
            ..Self::new(path, bytes)
        }
    }

    /// Returns it with its path in a folder.
    pub(super) fn below(&self, folder: &str) -> Self {
        Self {
            path: format!("{folder}/{}", self.path),
            ..self.clone()
        }
    }
}

/// Packs files, and the folders that they are in.
pub(super) fn tar_gz(items: &[Item], epoch: u64) -> Result<Vec<u8>> {
    let packed = GzBuilder::new().write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(packed);
    let mut append = |path: &str, kind, mode, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(epoch);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes)
    };
    let mut folders = BTreeSet::new();
    for item in items {
        let ends = item.path.match_indices('/');
        folders.extend(ends.map(|(end, _)| &item.path[..=end]));
    }
    for folder in folders {
        append(folder, EntryType::Directory, 0o755, &[])?;
    }
    for item in items {
        append(&item.path, EntryType::Regular, item.mode, &item.bytes)?;
    }
    Ok(archive.into_inner()?.finish()?)
}

/// Packs a package for Debian: deb(5).
pub(super) fn deb(control: &str, scripts: &[Item], files: &[Item], epoch: u64) -> Result<Vec<u8>> {
    let control = Item::new("control", control.as_bytes().to_vec());
    let control = [&[control], scripts].concat();
    let mut archive = ar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", tar_gz(&control, epoch)?),
        ("data.tar.gz", tar_gz(files, epoch)?),
    ] {
        let mut header = ar::Header::new(name.into(), bytes.len() as u64);
        header.set_mtime(epoch);
        header.set_mode(0o100_644);
        archive.append(&header, bytes.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

/// Returns the time and the bytes of a file in a tarball.
pub(super) fn find(file: impl Read, path: &str) -> Result<(u64, Vec<u8>)> {
    for entry in tar::Archive::new(GzDecoder::new(file)).entries()? {
        let mut entry = entry?;
        if *entry.path_bytes() == *path.as_bytes() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok((entry.header().mtime()?, bytes));
        }
    }
    bail!("it has no {path}")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn packs_what_dpkg_and_tar_read() -> Result<()> {
        let program = Item::program("b", b"#!".to_vec()).below("usr/bin");
        let packed = tar_gz(&[Item::new("a", vec![7; 700]), program], 86_400)?;
        assert_eq!(find(packed.as_slice(), "a")?, (86_400, vec![7; 700]));
        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        let mut found = Vec::new();
        for entry in archive.entries()? {
            let entry = entry?;
            let header = entry.header();
            assert_eq!((header.uid()?, header.mtime()?), (0, 86_400));
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            found.push((path, header.mode()?, header.size()?));
        }
        let rows = [
            ("usr/", 0o755, 0),
            ("usr/bin/", 0o755, 0),
            ("a", 0o644, 700),
            ("usr/bin/b", 0o755, 2),
        ];
        assert_eq!(
            found,
            rows.map(|(path, mode, size)| (path.to_owned(), mode, size))
        );

        let package = deb("Package: a\n", &[], &[], 1)?;
        let mut package = ar::Archive::new(package.as_slice());
        for name in ["debian-binary", "control.tar.gz", "data.tar.gz"] {
            let entry = package.next_entry().context("missing")??;
            assert_eq!(entry.header().identifier(), name.as_bytes());
        }
        Ok(())
    }
}
