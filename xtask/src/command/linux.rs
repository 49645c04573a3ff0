//! `cargo xtask linux`: the drop-in in unmodified distribution kernels.

use std::{fs::File, path::PathBuf};

use anyhow::Result;

use crate::{
    host::{
        failure::Failure,
        needs::{Setup, Task},
    },
    kernels::{Kernel, Scenario, count, fetch::PACKAGES, print_comparison, prove, usage},
};

/// Loads the blob by `kexec_file_load(2)` in real kernels.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Debian's kernel of this version.
    #[arg(long, default_value = "all", value_parser = ["5.10", "6.1", "6.12", "7.2", "all"])]
    kernel: String,
    /// A kernel of your own instead: a bzImage.
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    vmlinuz: Option<PathBuf>,
    /// What to do with it.
    #[arg(long, value_enum, default_value = "all")]
    scenario: Scenario,
    /// The purgatory: a file, `stock` (each kernel's own) or `both` (ours and
    /// stock) [default: ours]
    #[arg(long, value_name = "FILE|stock|both")]
    blob: Option<PathBuf>,
    /// Also writes the results there.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs `cargo xtask linux`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    // Before the minutes that it takes to have something to write.
    let json = options
        .json
        .as_deref()
        .map(|path| File::create(path).map_err(|e| usage(path, format!("cannot write it: {e}"))));
    let json = json.transpose()?;
    setup.require(Task::Linux)?;
    let kernels = match &options.vmlinuz {
        Some(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            vec![Kernel::read(&name, path).map_err(|error| usage(path, error))?]
        }
        None => {
            let chosen = |name: &str| options.kernel == "all" || options.kernel == name;
            let rows = PACKAGES.iter().filter(|row| chosen(row.name));
            rows.map(Kernel::fetch).collect::<Result<_>>()?
        }
    };
    let plan = kernels
        .into_iter()
        .map(|kernel| (kernel, options.scenario))
        .collect();
    let records = prove(plan, options.blob.as_deref(), setup)?;
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
