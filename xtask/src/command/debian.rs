// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask debian`: a release on a stranger's machine.

use std::path::PathBuf;

use anyhow::Result;

use crate::host::failure::Failure;
use crate::host::needs::{FREESTANDING, STRANGER};
use crate::host::options::Setup;
use crate::host::paths::target_directory;
use crate::kernels::debian::prove;
use crate::{machine, release};

/// Options of `cargo xtask debian`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder of a release [default: a new one]
    #[arg(long, value_name = "DIR")]
    release: Option<PathBuf>,
}

/// Runs `cargo xtask debian`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    machine::require_module(setup.arch)?;
    let needs = machine::needs(setup.arch).into_iter();
    setup.require(needs.chain(FREESTANDING).chain([&STRANGER]))?;
    let folder = match &options.release {
        Some(folder) => folder.clone(),
        None => {
            let folder = target_directory().join("dist");
            release::build(setup, &folder, release::epoch()?)?;
            folder
        }
    };
    let (_, blob) = release::open(&folder)?;
    let tally = prove(setup, &folder, &blob)?;
    println!("{tally}");
    match tally.failed {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}
