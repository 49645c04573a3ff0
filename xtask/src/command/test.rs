//! `cargo xtask test`: everything that proves the blob, in the order in which
//! each proof catches what the one before cannot.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use purgatory_tests::cases;

use crate::{
    boot::{self, Boot, Programs, faults},
    build,
    host::{
        failure::Failure,
        needs::{Setup, Task},
        paths::root,
        progress,
        tally::{Tally, print_line, word},
        toolchain::cargo,
    },
    kernels,
    vm::qemu,
};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Boot only this case (may be given more than once)
    #[arg(long = "case", value_name = "NAME")]
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
}

/// Boots at once: each guest has one processor, and the host waits for it.
const PARALLEL: usize = 2;

/// Runs `cargo xtask test`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    if options.list {
        for boot in boots() {
            println!("{}", boot.name());
        }
        return Ok(());
    }
    let everything = options.cases.is_empty() && options.faults.is_none();
    let boots = match everything || !options.cases.is_empty() {
        true => select(&options.cases)?,
        false => Vec::new(),
    };
    let blob = options.blob.as_deref().map(build::accept).transpose()?;
    setup.require(Task::Test)?;
    let mut tally = Tally::default();
    if everything {
        tally += host_tests()?;
    }
    if tally.failed == 0 {
        let programs = Programs::build(blob, setup)?;
        tally += boot_all(&boots, &programs)?;
        if everything || options.faults.is_some() {
            tally += fault_all(options, &programs)?;
        }
    }
    if tally.failed == 0 && everything {
        tally += kernels::busybox::test(options.blob.as_deref())?;
        tally += kernels::test(options.blob.as_deref(), setup)?;
    }
    println!("{tally}");
    match tally.failed {
        0 => Ok(()),
        _ => Err(Failure::Reported.into()),
    }
}

/// Every case, in each state that it asks for.
fn boots() -> impl Iterator<Item = Boot<'static>> {
    cases::all().flat_map(|case| {
        case.profiles
            .iter()
            .map(move |&profile| Boot { case, profile })
    })
}

/// Picks the named cases, or all; a name that is none gets a suggestion.
fn select(names: &[String]) -> Result<Vec<Boot<'static>>> {
    if names.is_empty() {
        return Ok(boots().collect());
    }
    names
        .iter()
        .map(|name| {
            boots()
                .find(|boot| boot.name() == *name)
                .ok_or_else(|| Failure::Usage(unknown(name)).into())
        })
        .collect()
}

fn unknown(name: &str) -> String {
    let nearest = boots()
        .map(|boot| boot.name())
        .max_by(|a, b| {
            let near = |boot: &str| strsim::jaro_winkler(boot, name);
            near(a).total_cmp(&near(b))
        })
        .unwrap_or_default();
    format!(
        "there is no case {name:?}; did you mean {nearest:?}? (`cargo xtask test --list` names them all)"
    )
}

/// The tests of the host: unit tests, vectors, layouts, the checker's fixtures.
fn host_tests() -> Result<Tally> {
    let started = Instant::now();
    let busy = progress::spinner("running the tests of the host");
    let output = Command::new(cargo())
        .args(["test", "--workspace", "--locked", "--quiet"])
        .current_dir(root())
        .output()
        .context("cannot run cargo")?;
    drop(busy);
    let said = String::from_utf8_lossy(&output.stdout);
    let tally = count(&said);
    if !output.status.success() {
        eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
        ensure!(tally.failed > 0, "the tests of the host do not build");
    }
    print_line(word(tally.failed == 0), started, "tests of the host");
    Ok(tally)
}

/// Adds up what cargo's test programs say at their end.
fn count(said: &str) -> Tally {
    let mut tally = Tally::default();
    let results = said
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "));
    for part in results.flat_map(|result| result.split([';', '.'])) {
        let Some((number, what)) = part.trim().split_once(' ') else {
            continue;
        };
        let number = number.parse().unwrap_or(0);
        match what {
            "passed" => tally.passed += number,
            "failed" => tally.failed += number,
            "ignored" => tally.skipped += number,
            _ => {}
        }
    }
    tally
}

/// Boots the cases, prints a line each, then what is wrong with those that failed.
fn boot_all(boots: &[Boot<'_>], programs: &Programs) -> Result<Tally> {
    let emulates_sha_ni = qemu::emulates_sha_ni()?;
    let next = AtomicUsize::new(0);
    let skipped = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(boot) = boots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let name = boot.name();
                    if boot.case.backend == "sha-ni" && !emulates_sha_ni {
                        let why = format!("{name} (this QEMU has no SHA-NI)");
                        print_line("skip", started, &why);
                        skipped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let outcome = boot::run_case(boot, programs, boot.limit());
                    print_line(word(outcome.is_ok()), started, &name);
                    if let Err(error) = outcome {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((boot.name(), format!("{error:#}")));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, why) in &failed {
        eprintln!("\n{name}: {why}");
    }
    let skipped = skipped.into_inner();
    Ok(Tally {
        passed: boots.len() - failed.len() - skipped,
        failed: failed.len(),
        skipped,
    })
}

/// Boots with every instruction's faults.
fn fault_all(options: &Options, programs: &Programs) -> Result<Tally> {
    let built = build::default_folder().join("purgatory.ro");
    let blob = options.blob.as_deref().unwrap_or(&built);
    let linked = build::linked_beside(blob)
        .with_context(|| format!("the linked program is not beside {}", blob.display()))?;
    let scenarios = options.faults.as_deref().unwrap_or_default();
    faults::test(programs, &linked, scenarios, PARALLEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_cargo_says() {
        let said = "running 3 tests\n...\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s\n\n\
            test result: FAILED. 39 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 3.00s\n";
        let tally = count(said);
        assert_eq!(tally.to_string(), "42 passed, 2 failed, 1 skipped");
    }
}
