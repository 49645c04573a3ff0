// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask status`: finds the record that a purgatory leaves behind and
//! says in words how far it came.
//!
//! It is found by its magic: whoever looks at a dead machine does not know where
//! the purgatory was. There is none before one ran, so that copies that never did
//! (the file in the first kernel's memory, its buffer) are not mistaken for it;
//! their configuration tells of them. Nothing of the guest is changed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use blob::arch::Arch;
use blob::status::Words;
use purgatory::abi::Config;

use crate::host::options::Setup;
use crate::vm::memory::{Dump, Memory, Monitored, records, search};

/// Options of `cargo xtask status`; with none, it tells of this very machine.
#[derive(clap::Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("source"))]
pub(crate) struct Options {
    /// Ask a running QEMU: its monitor socket (`-qmp unix:SOCK,server=on,wait=off`)
    #[arg(long, value_name = "SOCK", group = "source")]
    qmp: Option<PathBuf>,
    /// Read a dump: an ELF core (`dump-guest-memory`, vmcore) or raw memory
    #[arg(long, value_name = "FILE", group = "source")]
    memory_dump: Option<PathBuf>,
}

/// Runs `cargo xtask status`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    match (&options.qmp, &options.memory_dump) {
        (Some(socket), _) => tell(setup.arch, &mut Monitored::connect(socket)?),
        (None, Some(path)) => tell(setup.arch, &mut Dump::open(path)?),
        (None, None) => live(),
    }
}

/// Tells whose purgatory this machine takes, and whose its crash image has.
fn live() -> Result<()> {
    let module = |name: &str| {
        let text = fs::read_to_string(format!("/sys/module/purgatory/{name}"));
        text.map(|text| text.trim().to_owned())
    };
    match module("version") {
        Ok(version) => println!(
            "module       {version}, sha256 {}, console {}",
            module("parameters/sha256")?,
            module("parameters/console")?
        ),
        Err(_) => println!("module       not loaded: what is loaded now gets the kernel's own"),
    }
    let image = |name: &str| fs::read_to_string(format!("/sys/kernel/{name}"));
    let image = |name: &str| image(name).is_ok_and(|text| text.starts_with('1'));
    let (kexec, crash) = (image("kexec_loaded"), image("kexec_crash_loaded"));
    // Its pages lie anywhere in memory until it is started.
    let whose = if kexec {
        "loaded; whose purgatory it has does not show"
    } else {
        "not loaded"
    };
    println!("kexec image  {whose}");
    let whose = match crash {
        false => "not loaded".to_owned(),
        true => match search::<8>(&mut Dump::crash_kernel()?, Config::MAGIC)?.first() {
            Some((address, _)) => format!("this project's purgatory, its settings at {address:#x}"),
            None => "another purgatory: the kernel's own, or kexec-tools'".to_owned(),
        },
    };
    println!("crash image  {whose}");
    Ok(())
}

/// Prints every record.
fn tell(arch: Arch, memory: &mut impl Memory) -> Result<()> {
    let found = records(memory)?;
    if found.is_empty() {
        if let Some((address, _)) = search::<8>(memory, Config::MAGIC)?.first() {
            bail!(
                "no purgatory_status in this memory: a purgatory is loaded, its \
                 purgatory_config at {address:#x}, but none has run"
            );
        }
        bail!(
            "no purgatory_status in this memory: no purgatory of this project was loaded, \
             or the next kernel has used its memory since"
        );
    }
    for (address, record) in found {
        println!("purgatory_status at {address:#x}{}", Words(arch, &record));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use tempfile::NamedTempFile;

    use super::*;

    #[test]
    fn tells_a_purgatory_that_never_ran_from_none() -> Result<()> {
        let mut memory = vec![0; 0x3000];
        let mut file = NamedTempFile::new()?;
        for (place, says) in [
            (None, "was loaded, or"),
            (Some(0x2ca8), "purgatory_config at 0x2ca8, but none has run"),
        ] {
            if let Some(place) = place {
                memory[place..place + 8].copy_from_slice(&Config::MAGIC);
            }
            file.as_file().set_len(0)?;
            file.rewind()?;
            file.write_all(&memory)?;
            let error = tell(Arch::ALL[0], &mut Dump::open(file.path())?)
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
        Ok(())
    }
}
