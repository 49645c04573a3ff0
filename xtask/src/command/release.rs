// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask release` and `cargo xtask verify-release`: what others install, and
//! the proof that it comes from these sources.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::host::failure::Failure;
use crate::host::needs::FREESTANDING;
use crate::host::options::Setup;
use crate::host::paths::target_directory;
use crate::host::progress;
use crate::{machine, release};

/// Options of `cargo xtask release`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder to write the release into [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Options of `cargo xtask verify-release`.
#[derive(clap::Args)]
pub(crate) struct VerifyOptions {
    /// The folder of a release
    folder: PathBuf,
}

/// Runs `cargo xtask release`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    machine::require_module(setup.arch)?;
    setup.require(FREESTANDING)?;
    let epoch = release::epoch()?;
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| target_directory().join("dist"));
    let busy = progress::spinner("building a release");
    let files = release::build(setup, &out, epoch)?;
    drop(busy);
    for path in files {
        println!("{:>9} {}", fs::metadata(&path)?.len(), path.display());
    }
    Ok(())
}

/// Runs `cargo xtask verify-release`.
pub(crate) fn verify(options: &VerifyOptions, setup: &Setup) -> Result<()> {
    let (epoch, _) = release::open(&options.folder)?;
    setup.require(FREESTANDING)?;
    let scratch = tempfile::tempdir()?;
    let again = scratch.path().join("again");
    let busy = progress::spinner("building it again, elsewhere");
    release::rebuild(scratch.path(), &again, epoch)?;
    drop(busy);
    let mut equal = true;
    for entry in fs::read_dir(&again)? {
        let name = entry?.file_name();
        let same = fs::read(options.folder.join(&name)).ok() == Some(fs::read(again.join(&name))?);
        println!("{:<4} {}", if same { "ok" } else { "FAIL" }, name.display());
        equal &= same;
    }
    match equal {
        true => Ok(()),
        false => Err(Failure::Reported.into()),
    }
}
