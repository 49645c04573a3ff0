// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: everything that proves the blob, in the order in which
//! each proof catches what the one before cannot. All of it runs, and is counted, even
//! when some of it is red.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use blob::arch::Arch;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ContextKind;
use serde_json::Value;

use super::linux::ours;
use crate::boot::programs::Programs;
use crate::boot::{Boot, faults};
use crate::host::failure::{Failure, usage};
use crate::host::needs::{C_COMPILER, FREESTANDING};
use crate::host::options::Setup;
use crate::host::paths::root;
use crate::host::tally::{Tally, in_parallel, print_line};
use crate::host::toolchain::cargo;
use crate::host::{process, progress};
use crate::kernels::kernel::Kernel;
use crate::kernels::matrix::{Scenario, Through, count, prove};
use crate::kernels::table::{KERNELS, USUAL};
use crate::kernels::{busybox, is_possible};
use crate::vm::run::Stuck;
use crate::{boot, freestanding, kernels, machine, vm};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Boot only this case (may be given more than once)
    #[arg(
        long = "case",
        value_name = "NAME",
        value_parser = Name::of_a_boot()
    )]
    cases: Vec<String>,
    /// Boot only these scenarios, or all, with every instruction's faults
    #[arg(
        long,
        value_name = "SCENARIO",
        num_args = 0..,
        value_parser = PossibleValuesParser::new(faults::names())
    )]
    faults: Option<Vec<String>>,
    /// Print the names of the boot cases
    #[arg(long)]
    list: bool,
    /// Boot this blob instead of building one
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
    /// Go on booting where one guest after the other hangs
    #[arg(long)]
    keep_going: bool,
}

/// So many hangs in one run are taken for all.
const HANGS: usize = 3;

/// Takes the name of a boot, of any architecture; suggests one for a misspelt name.
#[derive(Clone)]
struct Name(PossibleValuesParser);

impl Name {
    fn of_a_boot() -> Self {
        let boots = Arch::ALL.into_iter().map(machine::of).flat_map(boot::all);
        Self(PossibleValuesParser::new(boots.map(|boot| boot.name())))
    }
}

impl TypedValueParser for Name {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let parsed = self.0.parse_ref(command, argument, value);
        parsed.map_err(|mut error| {
            // All of them fill screens.
            error.remove(ContextKind::ValidValue);
            error
        })
    }
}

/// Runs `cargo xtask test`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    let machine = machine::of(setup.arch);
    let mut boots: Vec<_> = boot::all(machine).collect();
    if options.list {
        for boot in boots {
            println!("{}", boot.name());
        }
        return Ok(());
    }
    let is_one = |name: &&String| boots.iter().any(|boot| boot.name() == **name);
    if let Some(other) = options.cases.iter().find(|name| !is_one(name)) {
        return Err(usage(format!("{other} is no boot of {}", setup.arch)));
    }
    let everything = options.cases.is_empty() && options.faults.is_none();
    boots.retain(|boot| everything || options.cases.contains(&boot.name()));
    let given = options.blob.as_deref();
    let blob = given.map(freestanding::accept).transpose()?;
    let needs = machine::all_needs(setup.arch).iter().chain(FREESTANDING);
    setup.require(needs.chain([&C_COMPILER]))?;
    let mut tally = Tally::default();
    if everything {
        host_tests(&mut tally);
        for (name, trial) in vm::trials::ALL {
            tally.test(name, || trial(machine));
        }
    }
    match Programs::build(blob, setup) {
        Ok(programs) => {
            if everything {
                shipped_bytes(&programs, &mut tally);
            }
            tally += boot_all(&boots, &programs, options.keep_going);
            if everything || options.faults.is_some() {
                fault_all(options, &programs, &mut tally);
            }
        }
        Err(error) => {
            tally.test("the blob and the two test kernels build", || Err(error));
            tally.skip(boots.len(), "the boots, for want of what they boot");
        }
    }
    if everything {
        for (name, trial) in kernels::trials::ALL {
            tally.test(name, || trial(given));
        }
        busybox::test(setup.arch, given, &mut tally);
        real_kernels(options, setup, &mut tally);
    }
    println!("{tally}");
    match tally.failed {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}

/// Runs what cargo builds as tests, one program after the other.
fn host_tests(tally: &mut Tally) {
    let programs = match test_programs() {
        Ok(programs) => programs,
        Err(error) => return tally.test("the tests of the host build", || Err(error)),
    };
    for (source, program) in programs {
        let name = format!("tests in {}", source.display());
        tally.test(&name, || {
            let _busy = progress::spinner(name.clone());
            // As cargo does.
            let package = source
                .ancestors()
                .find(|folder| folder.join("Cargo.toml").is_file());
            let mut command = Command::new(program);
            command.current_dir(root().join(package.unwrap_or(&source)));
            let output = command.arg("--quiet").output()?;
            let [said, errors] =
                [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
            ensure!(output.status.success(), "{}\n{said}{errors}", output.status);
            Ok(())
        });
    }
}

/// Builds the tests of the host; returns the source and the file of each program.
fn test_programs() -> Result<Vec<(PathBuf, PathBuf)>> {
    let _busy = progress::spinner("building the tests of the host");
    let mut command = Command::new(cargo());
    command.current_dir(root());
    command.args(["test", "--workspace", "--locked", "--quiet", "--no-run"]);
    let said = process::output(command.args(["--message-format", "json"]))?;
    let mut programs = Vec::new();
    for line in said.lines() {
        let message: Value = serde_json::from_str(line)?;
        if let (Some(true), Some(source), Some(program)) = (
            message["profile"]["test"].as_bool(),
            message["target"]["src_path"].as_str(),
            message["executable"].as_str(),
        ) {
            let source = PathBuf::from(source);
            let source = source.strip_prefix(root()).unwrap_or(&source).to_owned();
            programs.push((source, program.into()));
        }
    }
    programs.sort();
    Ok(programs)
}

/// Runs the shipped bytes in user space, where this processor can.
fn shipped_bytes(programs: &Programs, tally: &mut Tally) {
    #[cfg(target_os = "linux")]
    let trials = crate::native::trials::ALL;
    #[cfg(not(target_os = "linux"))]
    let trials: [(&str, fn(&[u8]) -> Result<()>); 0] = [];
    let (arch, here) = (programs.arch.name, env::consts::ARCH);
    if arch != here {
        let what = format!("the shipped bytes in user space: they are for {arch}, this is {here}");
        return tally.skip(trials.len(), what);
    }
    for (name, trial) in trials {
        tally.test(name, || trial(&programs.blob));
    }
}

/// What came of a boot.
enum Outcome {
    Passed,
    Failed(String, anyhow::Error),
    /// QEMU lacks what it needs.
    Skipped,
    /// Too many others hung.
    Left,
}

/// Boots the cases, prints a line each, then what is wrong with those that failed.
fn boot_all(boots: &[Boot<'_>], programs: &Programs, keep_going: bool) -> Tally {
    let lacks = programs.machine.best[1].name();
    let hangs = AtomicUsize::new(0);
    let outcomes = in_parallel(boots, |boot| {
        let (started, name) = (Instant::now(), boot.name());
        if boot.case.backend == lacks && !programs.is_complete {
            println!("skip   0.0 s  {name} (this QEMU has no {lacks})");
            return Outcome::Skipped;
        }
        if hangs.load(Ordering::Relaxed) >= HANGS && !keep_going {
            return Outcome::Left;
        }
        let outcome = boot.run(programs, boot.limit());
        print_line(outcome.is_ok(), started, &name);
        match outcome {
            Ok(_) => Outcome::Passed,
            Err(error) => {
                hangs.fetch_add(usize::from(error.is::<Stuck>()), Ordering::Relaxed);
                Outcome::Failed(name, error)
            }
        }
    });
    let (mut tally, mut left) = (Tally::default(), 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Passed => tally.count(true),
            Outcome::Skipped => tally.skipped += 1,
            Outcome::Left => left += 1,
            Outcome::Failed(name, error) => {
                tally.count(false);
                eprintln!("\n{name}: {error:#}");
            }
        }
    }
    if left > 0 {
        let hangs = hangs.into_inner();
        let what = format!("{left} boots, after {hangs} that hung: --keep-going boots them all");
        tally.skip(left, what);
    }
    tally
}

/// Boots with every instruction's faults.
fn fault_all(options: &Options, programs: &Programs, tally: &mut Tally) {
    if !programs.is_complete {
        let lacks = programs.machine.best[1].name();
        return tally.skip(1, format!("faults: this QEMU has no {lacks}"));
    }
    let built = freestanding::default_folder().join("purgatory.ro");
    let blob = options.blob.as_deref().unwrap_or(&built);
    let scenarios = options.faults.as_deref().unwrap_or_default();
    let outcome = freestanding::linked_beside(blob, &programs.blob)
        .with_context(|| format!("the linked program is not beside {}", blob.display()))
        .and_then(|linked| faults::test(programs, &linked, scenarios, options.keep_going));
    match outcome {
        Ok(faults) => *tally += faults,
        Err(error) => tally.test("faults", || Err(error)),
    }
}

/// Runs what every test can afford: all on the usual kernel, a start elsewhere.
fn real_kernels(options: &Options, setup: &Setup, tally: &mut Tally) {
    let mut plan = Vec::new();
    for row in &KERNELS {
        let scenario = match row.series == USUAL {
            true => Scenario::All,
            false => Scenario::Kexec,
        };
        let name = format!("Linux {}", row.series);
        if !is_possible() {
            let what =
                format!("{name}, which comes through apt; see `cargo xtask linux --vmlinuz`");
            tally.skip(scenario.tests(Through::Image).len(), what);
            continue;
        }
        match Kernel::fetch(row, setup.arch) {
            Ok(kernel) => plan.push((kernel, scenario)),
            Err(error) => tally.test(&name, || Err(error)),
        }
    }
    if plan.is_empty() {
        return;
    }
    let ours = ours(options.blob.as_deref(), setup).context("the blob for real kernels");
    let records = ours.and_then(|ours| prove(setup.arch, &plan, &[ours], false, Through::Image));
    match records {
        Ok(records) => *tally += count(&records),
        Err(error) => tally.test("real kernels", || Err(error)),
    }
}
