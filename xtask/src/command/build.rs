// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask build`: the blob, and on one screen what it is.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use blob::arch::Arch;
use blob::wrap;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::freestanding::{Built, blob, default_folder};
use crate::host::needs::FREESTANDING;
use crate::host::options::Setup;
use crate::host::toolchain::Toolchain;

/// Options of `cargo xtask build`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder to write the blob into [default: target/purgatory; a folder
    /// in it for another architecture]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `cargo xtask build`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    setup.require(FREESTANDING)?;
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| default_folder(setup.arch));
    let toolchain = setup.toolchain()?;
    let blob = blob(setup.arch, &toolchain, &out)?;
    println!("{}", summary(setup.arch, &blob, &toolchain)?);
    Ok(())
}

/// Says on one screen what was built.
fn summary(arch: Arch, blob: &Built, toolchain: &Toolchain) -> Result<String> {
    let data = fs::read(&blob.elf)?;
    let elf = object::File::parse(&*data)?;
    let at = |name: &str| {
        elf.symbol_by_name(name)
            .map(|symbol| symbol.address())
            .with_context(|| format!("the linker script defines no {name}"))
    };
    let stack = elf.section_by_name(".stack").context("no .stack section")?;
    let span = |from: &str, to: &str| anyhow::Ok(at(to)? - at(from)?);
    let mut text = String::new();
    writeln!(text, "{}", blob.elf.display())?;
    writeln!(text, "{}", blob.relocatable.display())?;
    writeln!(
        text,
        "  file {} bytes; text {}, tables {}, constants {}, stack and scratch {}",
        fs::metadata(&blob.relocatable)?.len(),
        span("purgatory_start", "text_end")?,
        span("tables_start", "tables_end")?,
        span("rodata_start", "rodata_end")?,
        stack.size(),
    )?;
    for symbol in wrap::symbols(arch) {
        let found = elf
            .symbol_by_name(symbol)
            .with_context(|| format!("no symbol {symbol}"))?;
        writeln!(
            text,
            "  {:#07x} {:5} {symbol}",
            found.address(),
            found.size()
        )?;
    }
    writeln!(text, "{toolchain}")?;
    let [rustc, lld] = [&toolchain.rustc, &toolchain.lld];
    write!(text, "  {}\n  {}", rustc.display(), lld.display())?;
    Ok(text)
}
