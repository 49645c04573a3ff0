// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: how fast the shipped bytes verify, beside everything that
//! does the same on this machine.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context as _, Result};

use crate::boot::programs::Programs;
use crate::host::failure::{Failure, usage};
use crate::host::needs::FREESTANDING;
use crate::host::options::Setup;
use crate::host::paths::target_directory;
use crate::native::bench::openssl::OpenSsl;
use crate::native::bench::result::JUDGED;
use crate::native::bench::{self, Plan};
use crate::{boot, freestanding, machine};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Bytes to verify, such as 64K or 1M (may be given more than once)
    /// [default: 4K 64K 1M 16M 256M]
    #[arg(long = "size", value_name = "SIZE", value_parser = size)]
    sizes: Vec<usize>,
    /// How often each contender has its turn
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u16).range(9..))]
    rounds: u16,
    /// Folder for bench.json and bench.svg [default: target/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Two sizes, and nothing is counted
    #[arg(long)]
    quick: bool,
    /// Fail if a target is missed
    #[arg(long)]
    check: bool,
    /// Time this blob instead of building one
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
}

const SIZES: [usize; 5] = [4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20];
const QUICK: [usize; 2] = [64 << 10, 1 << 20];
/// Reads a size: a number, and perhaps K or M.
fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) => (digits, 1 << 20),
        None => (text, 1),
    };
    let number: usize = digits
        .parse()
        .map_err(|_| "a size is a number, or one with K or M behind it, such as 64K".to_owned())?;
    match number.checked_mul(unit) {
        Some(size) if size > 0 && size.is_multiple_of(4096) && size <= 4 << 30 => Ok(size),
        _ => Err("it takes a multiple of 4K, up to 4096M".to_owned()),
    }
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    let default: &[usize] = if options.quick { &QUICK } else { &SIZES };
    let sizes = if options.sizes.is_empty() {
        default
    } else {
        &options.sizes
    };
    if options.check && sizes.iter().all(|&size| size < JUDGED) {
        let what = "--check judges what is measured from 1M on: give such a --size, too";
        return Err(usage(what));
    }
    setup.require(machine::needs(setup.arch).into_iter().chain(FREESTANDING))?;
    if setup.arch.name != env::consts::ARCH {
        return count(options, setup);
    }
    // SAFETY: this process has one thread so far.
    let openssl = match unsafe { OpenSsl::load_both() } {
        Ok((with, without)) => Some((with, without)),
        Err(error) => {
            println!("SKIPPED: OpenSSL: {error:#}");
            None
        }
    };
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| target_directory().join("bench"));
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let blob = options
        .blob
        .as_deref()
        .map(|path| freestanding::accept(path, setup.arch))
        .transpose()?;
    let programs = Programs::build(blob, setup)?;
    let plan = Plan {
        sizes,
        rounds: options.rounds,
        out: &out,
        quick: options.quick,
    };
    let is_missed = bench::run(&plan, &programs, openssl)?;
    if options.check && is_missed {
        return Err(Failure::Reported.into());
    }
    Ok(())
}

/// Counts the instructions where no processor can be timed.
fn count(options: &Options, setup: &Setup) -> Result<()> {
    let blob = options.blob.as_deref();
    let blob = blob.map(|path| freestanding::accept(path, setup.arch));
    let programs = Programs::build(blob.transpose()?, setup)?;
    println!("instructions a byte");
    let mut is_missed = false;
    for &(backend, most) in programs.machine.counts {
        let count = boot::count::per_byte(&programs, backend, programs.machine.tick)?;
        let word = if count <= most { "ok" } else { "FAIL" };
        let name = backend.name();
        println!("{word:<4} {name:<10} {count:6.2}  at most {most}");
        is_missed |= count > most;
    }
    match options.check && is_missed {
        true => Err(Failure::Reported.into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64K"), Ok(64 << 10));
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("4096M"), Ok(4 << 30));
        for wrong in ["", "K", "1", "0", "2K", "4097M", "1G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
