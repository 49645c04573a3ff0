// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask linux`: the drop-in in unmodified distribution kernels.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::freestanding::{blob, default_folder};
use crate::host::failure::{Failure, usage};
use crate::host::needs::{FREESTANDING, KERNEL_BUILD};
use crate::host::options::Setup;
use crate::kernels::kernel::Kernel;
use crate::kernels::matrix::{Purgatory, Scenario, Through, count, print_comparison, prove};
use crate::kernels::table::{self, KERNELS};
use crate::machine;

/// Loads the blob by `kexec_file_load(2)` in real kernels.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Debian's kernel of this version.
    #[arg(long, default_value = "all", value_parser = names())]
    kernel: String,
    /// A kernel of your own instead: a bzImage.
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    vmlinuz: Option<PathBuf>,
    /// What to do with it.
    #[arg(long, value_enum, default_value = "all")]
    scenario: Scenario,
    /// How the purgatory gets into the kernel
    #[arg(long, value_enum, default_value = "image")]
    through: Through,
    /// The purgatory: a file, `stock` (each kernel's own) or `both` (ours and
    /// stock) [default: ours]
    #[arg(long, value_name = "FILE|stock|both")]
    blob: Option<PathBuf>,
    /// Also writes the results there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn names() -> PossibleValuesParser {
    let names = KERNELS.iter().map(|row| row.series.name);
    PossibleValuesParser::new(names.chain(["all"]))
}

/// Runs `cargo xtask linux`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    if options.through == Through::Image && options.scenario == Scenario::Undo {
        return Err(usage("--scenario undo takes --through module"));
    }
    if options.scenario == Scenario::Pstore && options.vmlinuz.is_some() {
        return Err(usage(
            "--scenario pstore takes the modules of Debian's kernels, by --kernel",
        ));
    }
    if options.through == Through::Module && options.vmlinuz.is_some() {
        return Err(usage(
            "--through module builds with Debian's headers, by --kernel",
        ));
    }
    if options.through == Through::Module {
        machine::require_module(setup.arch)?;
    }
    // Before the minutes that it takes to have something to write.
    let json = options
        .json
        .as_deref()
        .map(|path| File::create(path).map_err(|e| about(path, format!("cannot write it: {e}"))));
    let json = json.transpose()?;
    let machine = machine::all_needs(setup.arch);
    setup.require(machine.iter().chain(FREESTANDING).chain(KERNEL_BUILD))?;
    let kernels: Vec<_> = match &options.vmlinuz {
        Some(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kernel = Kernel::read(&name, path, setup.arch);
            vec![kernel.map_err(|error| about(path, error))?]
        }
        None => {
            let chosen = |name| options.kernel == "all" || options.kernel == name;
            let rows = table::rows(setup.arch).filter(|row| chosen(row.series.name));
            let kernels = rows.map(|row| Kernel::fetch(row, setup.arch));
            kernels.collect::<Result<_>>()?
        }
    };
    if kernels.is_empty() {
        let (name, arch) = (&options.kernel, setup.arch);
        return Err(usage(format!("{name} is no kernel for {arch}")));
    }
    let plan: Vec<_> = kernels
        .into_iter()
        .map(|kernel| (kernel, options.scenario))
        .collect();
    let choice = options.blob.as_deref();
    let (ours, with_stock) = match choice.and_then(Path::to_str) {
        Some("stock") => (None, true),
        Some("both") => (Some(ours(None, setup)?), true),
        _ => (Some(ours(choice, setup)?), false),
    };
    let records = prove(
        setup.arch,
        &plan,
        ours.as_slice(),
        with_stock,
        options.through,
    )?;
    print_comparison(&records);
    if let Some(file) = json {
        serde_json::to_writer_pretty(file, &records)?;
    }
    let tally = count(&records);
    println!("{tally}");
    match tally.failed {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}

/// Returns the blob that is the same in every kernel: that file, or else a new one.
pub(super) fn ours(file: Option<&Path>, setup: &Setup) -> Result<Purgatory> {
    let (name, path) = match file {
        Some(path) => ("file", path.to_owned()),
        None => {
            let built = blob(setup.arch, &setup.toolchain()?, &default_folder(setup.arch))?;
            ("ours", built.relocatable)
        }
    };
    let bytes =
        fs::read(&path).map_err(|error| about(&path, format!("cannot read it: {error}")))?;
    Ok(Purgatory { name, bytes })
}

fn about(path: &Path, error: impl fmt::Display) -> anyhow::Error {
    usage(format!("{}: {error:#}", path.display()))
}
