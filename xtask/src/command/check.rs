// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask check`: prints what was found about a blob.

use std::path::PathBuf;

use anyhow::Result;
use blob::check::{ADDRESSES, Grade, judge};
use blob::load::Series;
use blob::number::place;

use crate::freestanding::linked_beside;
use crate::host::failure::{Failure, read_blob};
use crate::host::options::one_of;

/// Proves that kernels will load a purgatory blob, and load it right
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The blob, as in `purgatory.ro`
    file: PathBuf,
    /// Judge by the rules of this kernel only
    #[arg(long, value_name = "VERSION", value_parser = one_of(Series::ALL, |series| series.name))]
    kernel: Option<Series>,
    /// Judge by the rules of this loader: those of kernels are the default
    #[arg(long, value_name = "LOADER", conflicts_with = "kernel", value_parser = ["kernel", "kexec-tools"])]
    contract: Option<String>,
    /// Load at this address too
    #[arg(long, value_name = "ADDR", value_parser = place)]
    load_at: Option<u64>,
    /// The linked program, for the names of functions [default:
    /// purgatory-x86_64.elf in the blob's folder]
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// List every instruction that has a place of its own, by function
    #[arg(long)]
    instructions: bool,
}

/// Prints the table; fails if a promise is broken.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bytes = read_blob(&options.file)?;
    let linked = match &options.elf {
        Some(path) => Some(read_blob(path)?),
        None => linked_beside(&options.file, &bytes),
    };
    let kernels = match options.kernel {
        Some(kernel) => vec![kernel],
        None if options.contract.as_deref() == Some(Series::KEXEC_TOOLS.name) => {
            vec![Series::KEXEC_TOOLS]
        }
        None => Series::ALL.to_vec(),
    };
    let addresses = ADDRESSES.into_iter().chain(options.load_at).collect();
    let report = judge(&bytes, linked.as_deref(), kernels, addresses);
    match options.instructions {
        true => print!("{report:#}"),
        false => print!("{report}"),
    }
    match report.count(Grade::Broken) {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}
