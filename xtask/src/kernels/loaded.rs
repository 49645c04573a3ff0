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

use crate::vm::{gdb::Debugger, qmp::Monitor};
use blob::{load::Loaded, manifest::Manifest};

/// `rsi` and `rip` in the register image: boot parameters and entry point.
const RSI: usize = 6;
const RIP: usize = 16;
/// `ramdisk_image` and its upper half in `struct boot_params`.
const RAMDISK: usize = 0x218;
const RAMDISK_HIGH: usize = 0xc0;

/// Lists the regions of a stopped guest whose segments are in their places.
pub(super) fn manifest(
    purgatory: &Loaded<'_>,
    debugger: &mut Debugger,
    monitor: &mut Monitor,
) -> Result<Manifest> {
    let mut symbol = |name, size| debugger.read(purgatory.symbol_address(name)?, size);
    let digest = symbol("purgatory_sha256_digest", 32)?;
    let table = words(&symbol("purgatory_sha_regions", 256)?);
    let registers = words(&symbol("entry64_regs", 136)?);
    let parameters = debugger.read(registers[RSI], RAMDISK + 4)?;
    let half = |offset| words(&[&parameters[offset..offset + 4], &[0; 4]].concat())[0];
    let ramdisk = half(RAMDISK) | half(RAMDISK_HIGH) << 32;

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
            () if holds(registers[RIP]) => "kernel",
            () if holds(registers[RSI]) => "boot parameters",
            () if holds(ramdisk) => "initrd",
            () if bytes.starts_with(&object::elf::ELFMAG) => "core header",
            () => "another segment",
        };
        manifest.add(index, name, start, length, &bytes);
    }
    Ok(manifest)
}

/// Reads little-endian words.
fn words(bytes: &[u8]) -> Vec<u64> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}
