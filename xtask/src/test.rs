//! `cargo xtask test`: everything that proves the blob, in the order in which
//! each proof catches what the one before cannot.

use std::{
    io::{self, Write as _},
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
use purgatory_tests::cases;

use crate::{
    boot::{self, Boot, Programs},
    failure::Failure,
    linux, root,
};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Boot only this case (may be given more than once)
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
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
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        for boot in boots() {
            println!("{}", boot.name());
        }
        return Ok(());
    }
    let boots = select(&options.cases)?;
    if options.cases.is_empty() {
        host_tests()?;
    }
    let programs = Programs::build(options.blob.as_deref())?;
    let failed = boot_all(&boots, &programs);
    println!(
        "{} passed, {} failed",
        boots.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        return if options.cases.is_empty() {
            linux::test(options.blob.as_deref())
        } else {
            Ok(())
        };
    }
    for (name, why) in &failed {
        eprintln!("\n{name}: {why}");
    }
    Err(Failure::Reported.into())
}

/// Every case, in each state that it asks for.
fn boots() -> impl Iterator<Item = Boot> {
    cases::all().flat_map(|case| {
        case.profiles
            .iter()
            .map(move |&profile| Boot { case, profile })
    })
}

/// Picks the named cases, or all; a name that is none gets a suggestion.
fn select(names: &[String]) -> Result<Vec<Boot>> {
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
fn host_tests() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--workspace", "--locked", "--quiet"])
        .current_dir(root())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "a host test failed");
    Ok(())
}

/// Boots the cases, prints a line each, and returns those that failed.
fn boot_all(boots: &[Boot], programs: &Programs) -> Vec<(String, String)> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(boot) = boots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let outcome = boot::run_case(boot, programs);
                    let seconds = started.elapsed().as_secs_f64();
                    let word = if outcome.is_ok() { "ok  " } else { "FAIL" };
                    let _ = writeln!(io::stdout(), "{word} {seconds:5.1} s  {}", boot.name());
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
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}
