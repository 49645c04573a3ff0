// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask fuzz`: the fuzz tests, for longer than the second that `test` gives each.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::host::failure::Failure;
use crate::host::needs::C_COMPILER;
use crate::host::options::Setup;
use crate::host::paths::root;
use crate::host::process;
use crate::host::progress;
use crate::host::tally::{Tally, in_parallel};
use crate::host::toolchain::cargo;

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// How long each has
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Run only this one (may be given more than once)
    #[arg(long = "body", value_name = "NAME", value_parser = BODIES.map(|body| body.0))]
    bodies: Vec<String>,
}

/// What is fed, and where it is: package, program, test.
const BODIES: [(&str, &str, &str, &str); 8] = [
    (
        "elf",
        "blob",
        "--lib",
        "fuzz::the_elf_reader_and_the_loader",
    ),
    (
        "checker",
        "blob",
        "--lib",
        "fuzz::the_checker_with_names_of_the_linked_program",
    ),
    (
        "map",
        "blob",
        "--lib",
        "fuzz::the_map_and_the_configuration",
    ),
    ("report", "blob", "--lib", "fuzz::reports_on_a_console"),
    ("record", "blob", "--lib", "fuzz::a_record_in_memory"),
    (
        "bzimage",
        "xtask",
        "--bins",
        "kernels::unpack::tests::no_damage_makes_it_panic",
    ),
    ("verify", "purgatory", "--test=fuzz", "the_region_verifier"),
    ("tree", "purgatory", "--test=fuzz", "the_device_tree_reader"),
];

/// Runs `cargo xtask fuzz`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    setup.require([&C_COMPILER])?;
    let mut bodies = BODIES.to_vec();
    let asked = &options.bodies;
    bodies.retain(|body| asked.is_empty() || asked.iter().any(|name| name == body.0));
    let _busy = progress::spinner(format!("fuzzing, {} minutes each", options.minutes));
    let tallies = in_parallel(&bodies, |(name, package, program, test)| {
        let mut tally = Tally::default();
        tally.test(name, || {
            let mut command = Command::new(cargo());
            command.args(["test", "--locked", "--package", package, program]);
            command.args(["--", "--exact", test]).current_dir(root());
            command.env("FUZZ_SECONDS", (60 * options.minutes).to_string());
            let said = process::output(&mut command)?;
            ensure!(said.contains("1 passed"), "{package} has no test {test}");
            Ok(())
        });
        tally
    });
    let mut all = Tally::default();
    tallies.into_iter().for_each(|tally| all += tally);
    println!("{all}");
    match all.failed {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}
