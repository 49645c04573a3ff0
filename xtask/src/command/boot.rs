// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask boot`: the blob between two kernels under QEMU.
//!
//! Without `--kernel` the second kernel is the payload, which checks what it is
//! handed; with it, any bzImage.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use blob::number::place;
use purgatory_tests::cases::{Case, INTACT, Place};

use crate::boot::Boot;
use crate::boot::programs::Programs;
use crate::host::failure::{read, usage};
use crate::host::needs::FREESTANDING;
use crate::host::options::Setup;
use crate::kernels::direct::{self, Linux};
use crate::{freestanding, machine};

/// Options of `cargo xtask boot`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Boot this Linux instead of the built-in test kernel
    #[arg(long, value_name = "BZIMAGE")]
    kernel: Option<PathBuf>,
    /// Its initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// Its command line
    #[arg(
        long,
        value_name = "TEXT",
        requires = "kernel",
        default_value = "console=ttyS0"
    )]
    append: String,
    /// MiB of RAM
    #[arg(
        long,
        value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=1 << 20),
        default_value_t = 1024
    )]
    memory: u64,
    /// Where the purgatory goes, instead of as high as it fits
    #[arg(long, value_name = "ADDRESS", value_parser = place)]
    at: Option<u64>,
    /// Pass as soon as the console shows this, instead of when the guest powers off
    #[arg(long, value_name = "TEXT", requires = "kernel")]
    expect: Option<String>,
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
    let given = options.blob.as_deref();
    let blob = given.map(|path| freestanding::accept(path, setup.arch));
    let blob = blob.transpose()?;
    if options.kernel.is_some() && !machine::of(setup.arch).boots_linux {
        let what = "takes bzImages; `cargo xtask linux` boots a kernel of this architecture";
        return Err(usage(format!("boot --kernel {what}")));
    }
    let linux = options.linux()?;
    setup.require(machine::needs(setup.arch).into_iter().chain(FREESTANDING))?;
    let programs = Programs::build(blob, setup)?;
    let limit = Duration::from_secs(options.timeout);
    if let Some(linux) = linux {
        return direct::boot(&linux, options.expect.as_deref(), &programs, limit);
    }
    let started = Instant::now();
    let case = Case {
        memory: options.memory,
        place: options.at.map_or(INTACT.place, Place::At),
        ..INTACT
    };
    let boot = Boot {
        case: &case,
        state: programs.machine.states[0],
    };
    print!("{}", boot.run(&programs, limit)?);
    println!("booted in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

impl Options {
    /// Reads the files, if there is a kernel to boot.
    fn linux(&self) -> Result<Option<Linux>> {
        let Some(path) = &self.kernel else {
            return Ok(None);
        };
        let mut linux = Linux::read(path)?;
        if let Some(initrd) = &self.initrd {
            linux.initrd = read(initrd)?;
        }
        linux.command_line.clone_from(&self.append);
        linux.memory = self.memory;
        linux.at = self.at;
        Ok(Some(linux))
    }
}
