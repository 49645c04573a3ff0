// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a real kernel loaded, as its guest's memory has it before anything is
//! changed: the list that `cargo xtask explain` names a damaged region by.
//!
//! Nobody on the host knows the boot parameters and the core header that a
//! kernel makes up, so that the bytes are read back; their names follow from the
//! register image.
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::NamedTempFile;

use super::header::{BootParams, whole};
use crate::vm::gdb::Debugger;
use crate::vm::qmp::Monitor;
use blob::load::{Loaded, Segment};
use blob::manifest::Manifest;
use zerocopy::FromBytes as _;

/// Lists the regions of a stopped guest whose segments are in their places.
pub(super) fn manifest(
    purgatory: &Loaded<'_>,
    debugger: &mut Debugger,
    monitor: &mut Monitor,
) -> Result<Manifest> {
    let mut symbol = |name, size| debugger.read(purgatory.symbol_address(name)?, size);
    let digest = symbol("purgatory_sha256_digest", 32)?;
    let table = words(&symbol("purgatory_sha_regions", 256)?);
    let known = &purgatory.file.arch.registers;
    let registers = words(&symbol(known.symbol, usize::try_from(known.size())?)?);
    let register = |name| registers[known.index(name)];
    let mut ramdisk = None;
    if let Some(parameters) = known.parameters {
        let bytes = debugger.read(register(parameters), size_of::<BootParams>())?;
        let parameters = BootParams::ref_from_bytes(&bytes).expect("so many were read");
        let (low, high) = (parameters.hdr.ramdisk_image, parameters.ext_ramdisk_image);
        ramdisk = Some(whole(low, high));
    }

    let mut manifest = Manifest::new(&digest);
    for (index, &[start, length]) in table.as_chunks::<2>().0.iter().enumerate() {
        if length == 0 {
            continue;
        }
        let file = NamedTempFile::new()?;
        let arguments = json!({"val": start, "size": length, "filename": file.path()});
        monitor.execute("pmemsave", arguments)?;
        let bytes = fs::read(file.path()).context("the memory that QEMU saved")?;
        let holds = |address: u64| address.wrapping_sub(start) < length;
        let name = match () {
            () if holds(register(known.entry)) => "kernel",
            () if known.parameters.is_some_and(|name| holds(register(name))) => "boot parameters",
            () if ramdisk.is_some_and(holds) => "initrd",
            () if bytes.starts_with(&object::elf::ELFMAG) => "core header",
            () if bytes.starts_with(&TREE) => "device tree",
            () if bytes.starts_with(CPIO) => "initrd",
            () => "another segment",
        };
        let segment = Segment {
            mem: start,
            memsz: length,
            buf: &bytes,
        };
        manifest.add(index, name, &segment);
    }
    Ok(manifest)
}

/// How a device tree begins, and an archive.
const TREE: [u8; 4] = 0xd00d_feed_u32.to_be_bytes();
const CPIO: &[u8] = b"070701";

/// Reads little-endian words.
pub(super) fn words(bytes: &[u8]) -> Vec<u64> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}
