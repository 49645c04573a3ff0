//! `cargo xtask boot`: the blob between two kernels under QEMU.
//!
//! Without `--kernel` the second kernel is the payload, which checks what it is
//! handed; with it, any bzImage.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use purgatory_tests::cases::{Case, INTACT, Place, Profile};

use crate::{
    boot::{Boot, Programs, run_case},
    build,
    host::needs::{Setup, Task},
    kernels::bzimage,
};

/// Options of `cargo xtask boot`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    linux: bzimage::Options,
    /// Seconds that the boot may take
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        default_value_t = 120
    )]
    timeout: u64,
    /// Boot this blob instead of building one
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
}

/// Runs `cargo xtask boot`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    let blob = options.blob.as_deref().map(build::accept).transpose()?;
    let linux = options.linux.read()?;
    setup.require(Task::Boot)?;
    let programs = Programs::build(blob, setup)?;
    let limit = Duration::from_secs(options.timeout);
    if let Some(linux) = linux {
        return bzimage::boot(&options.linux, linux, &programs, limit);
    }
    let started = Instant::now();
    let case = Case {
        memory: options.linux.memory,
        place: options.linux.at.map_or(INTACT.place, Place::At),
        ..INTACT
    };
    let boot = Boot {
        case: &case,
        profile: Profile::Legacy,
    };
    let said = run_case(&boot, &programs, limit)?;
    print!("{said}");
    println!("booted in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}
