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
use blob::arch::{Arch, CoreOnly};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ContextKind;
use serde_json::Value;

use super::linux::ours;
use crate::boot::programs::Programs;
use crate::boot::{Boot, faults};
use crate::host::failure::{Failure, usage};
use crate::host::needs::{C_COMPILER, FREESTANDING};
use crate::host::options::Setup;
use crate::host::paths::{root, target_directory};
use crate::host::tally::{Tally, in_parallel, print_line};
use crate::host::toolchain::{cargo, search_path, with_std};
use crate::host::{process, progress};
use crate::kernels::kernel::Kernel;
use crate::kernels::matrix::{Scenario, Through, count, prove};
use crate::kernels::table;
use crate::kernels::{busybox, is_possible};
#[cfg(target_os = "linux")]
use crate::native::emulated::try_on;
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
    let blob = given.map(|path| freestanding::accept(path, setup.arch));
    let blob = blob.transpose()?;
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
            if everything {
                let what = "no stack of a boot is deeper than check finds it can be";
                tally.test(what, || stack(options, &programs));
            }
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
            if machine.boots_linux {
                tally.test(name, || trial(given));
            } else {
                tally.skip(1, format!("{name}: boot --kernel takes bzImages"));
            }
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

/// Runs the library's tests where there is nothing else yet.
pub(crate) fn run_core(only: CoreOnly) -> Result<()> {
    let mut tally = Tally::default();
    let name = only.name;
    let compiler = format!("{name}-linux-gnu-gcc");
    for program in [&compiler, only.emulator] {
        ensure!(
            search_path(program).next().is_some(),
            "no {program} on PATH: gcc-{name}-linux-gnu, libc6-dev-{}-cross and qemu-user are \
             Debian's packages",
            only.debian
        );
    }
    library_tests(name, only.linux_target, &[&[only.emulator]], &mut tally);
    tally.skip(1, format!("{name}: core only; no boot support yet"));
    println!("{tally}");
    match tally.failed {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}

/// Runs the library's tests on another architecture, by each of these emulators.
fn library_tests(name: &str, target: &str, emulators: &[&[&str]], tally: &mut Tally) {
    let build = || {
        let mut command = with_std(name, target, "test")?;
        // Static: there is no other C library here.
        command.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
        command.args(["--package", "purgatory", "--target-dir"]);
        command.arg(target_directory());
        test_programs(command)
    };
    match build() {
        Ok(mut programs) => {
            // It runs a C compiler, and the one here is the host's.
            programs.retain(|(source, _)| !source.ends_with("tests/layout.rs"));
            tally.skip(1, format!("tests/layout.rs on {name}: its C compiler"));
            for emulator in emulators {
                run_tests(&programs, emulator, tally);
            }
        }
        Err(error) => tally.test(&format!("the tests for {name} build"), || Err(error)),
    }
}

/// Runs what cargo builds as tests, one program after the other.
fn host_tests(tally: &mut Tally) {
    let mut command = Command::new(cargo());
    command.args(["test", "--workspace"]);
    match test_programs(command) {
        Ok(programs) => run_tests(&programs, &[], tally),
        Err(error) => tally.test("the tests of the host build", || Err(error)),
    }
}

/// Runs them, perhaps by an emulator.
fn run_tests(programs: &[(PathBuf, PathBuf)], emulator: &[&str], tally: &mut Tally) {
    for (source, program) in programs {
        let mut name = format!("tests in {}", source.display());
        if !emulator.is_empty() {
            name += &format!(", {}", emulator.join(" "));
        }
        tally.test(&name, || {
            let _busy = progress::spinner(name.clone());
            // As cargo does.
            let package = source
                .ancestors()
                .find(|folder| folder.join("Cargo.toml").is_file());
            let mut line = emulator.iter().map(AsRef::as_ref);
            let mut line = line.by_ref().chain([program.as_os_str()]);
            let mut command = Command::new(line.next().unwrap_or_default());
            command.current_dir(root().join(package.unwrap_or(source)));
            let output = command.args(line).arg("--quiet").output()?;
            let [said, errors] =
                [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
            ensure!(output.status.success(), "{}\n{said}{errors}", output.status);
            Ok(())
        });
    }
}

/// Builds tests; returns the source and the file of each program.
fn test_programs(mut command: Command) -> Result<Vec<(PathBuf, PathBuf)>> {
    let _busy = progress::spinner("building the tests");
    command.current_dir(root());
    command.args(["--locked", "--quiet", "--no-run"]);
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
    if programs.arch.name != env::consts::ARCH {
        return emulated(programs, tally);
    }
    for (name, trial) in trials {
        tally.test(name, || trial(&programs.blob));
    }
}

/// Runs them where this processor is another one: QEMU has one for user space.
fn emulated(programs: &Programs, tally: &mut Tally) {
    let (emulator, cpus) = programs.machine.user;
    let arch = programs.arch;
    if search_path(emulator).next().is_none() {
        let what = format!("the shipped bytes in user space: there is no {emulator}");
        return tally.skip(cpus.len(), what);
    }
    let emulators: Vec<_> = cpus.iter().map(|cpu| [emulator, "-cpu", cpu]).collect();
    let emulators: Vec<_> = emulators.iter().map(<[_; 3]>::as_slice).collect();
    library_tests(arch.name, arch.linux_target, &emulators, tally);
    #[cfg(target_os = "linux")]
    match crate::native::emulated::program(programs.arch) {
        Ok(program) => {
            for cpu in cpus {
                let name = format!("the shipped bytes in user space, {emulator} -cpu {cpu}");
                tally.test(&name, || {
                    let said = try_on(emulator, cpu, &program, &programs.blob)?;
                    said.lines()
                        .filter(|line| line.starts_with("SKIPPED"))
                        .for_each(|line| println!("{line}"));
                    Ok(())
                });
            }
        }
        Err(error) => tally.test("xtask for another architecture", || Err(error)),
    }
}

/// What came of a boot.
enum Outcome {
    Passed,
    Failed(String, anyhow::Error),
    /// QEMU lacks what it needs, or the machine what it is about.
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
        let lacking = boot.case.backend == lacks && !programs.is_complete;
        let lacking = lacking.then(|| format!("this QEMU has no {lacks}"));
        let senseless = boot.senseless(programs.machine).map(str::to_owned);
        if let Some(why) = lacking.or(senseless) {
            println!("skip   0.0 s  {name} ({why})");
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

/// Compares the deepest stack that the boots had with what the code can come to.
fn stack(options: &Options, programs: &Programs) -> Result<()> {
    let built = freestanding::default_folder(programs.arch).join("purgatory.ro");
    let blob = options.blob.as_deref().unwrap_or(&built);
    let linked = freestanding::linked_beside(blob, &programs.blob).unwrap_or_default();
    let Some(can) = blob::check::stack(&programs.blob, &linked)? else {
        println!(
            "SKIPPED: nobody knows how deep the stack gets on {}",
            programs.arch
        );
        return Ok(());
    };
    let had = boot::DEEPEST.load(Ordering::Relaxed);
    println!("deepest stack of a boot: {had} bytes, of any: {can}");
    ensure!((1..=can).contains(&had), "{had} of {can} bytes");
    Ok(())
}

/// Boots with every instruction's faults.
fn fault_all(options: &Options, programs: &Programs, tally: &mut Tally) {
    if !programs.machine.faults {
        let arch = programs.arch.name;
        return tally.skip(1, format!("faults: not on {arch} yet"));
    }
    if !programs.is_complete {
        let lacks = programs.machine.best[1].name();
        return tally.skip(1, format!("faults: this QEMU has no {lacks}"));
    }
    let built = freestanding::default_folder(programs.arch).join("purgatory.ro");
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
    for row in table::rows(setup.arch) {
        let scenario = match row.is_usual() {
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
        let kernel = match row.is_ready() {
            Ok(false) => {
                let what = format!(
                    "{name}, which takes minutes to build: `cargo xtask linux --arch {}`",
                    setup.arch
                );
                tally.skip(scenario.tests(Through::Image).len(), what);
                continue;
            }
            Ok(true) => Kernel::fetch(row, setup.arch),
            Err(error) => Err(error),
        };
        match kernel {
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
