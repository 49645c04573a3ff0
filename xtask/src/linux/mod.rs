//! `cargo xtask linux`: proves the drop-in in unmodified distribution kernels.
//!
//! Each kernel's embedded purgatory is replaced by the blob under test, the
//! kernel is booted, and its own kexec_file_load(2) loads the blob. Nothing
//! else of the kernel is touched, and the second kernel is the original file.
mod fetch;
mod image;
mod initramfs;
mod scenario;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde_json::json;

use fetch::PACKAGES;
use image::Slot;
use initramfs::Parts;
use scenario::{Setup, Way};

use crate::build;
use crate::qemu::target_directory;

/// How many guests run at once.
const AT_ONCE: usize = 2;

/// Loads the blob by kexec_file_load(2) in real kernels.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// reboot(2) into the second kernel.
    Kexec,
    /// A panic into a capture kernel.
    Crash,
    All,
}

/// A kernel taken apart.
struct Kernel {
    /// The name of the row, or of the file.
    name: String,
    version: String,
    image: Vec<u8>,
    vmlinux: Vec<u8>,
    slot: Slot,
}

/// One cell of the matrix.
struct Case<'a> {
    kernel: &'a Kernel,
    blob: &'a str,
    way: Way,
    setup: Setup,
}

struct Outcome {
    line: String,
    record: serde_json::Value,
    failure: Option<String>,
}

/// Runs the matrix; an error means that it could not run or that a case failed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let kernels = kernels(arguments)?;
    let parts = Parts::build()?;
    let scratch = target_directory().join("linux");
    let scratch = tempfile::tempdir_in(scratch)?;
    let mut cases = Vec::new();
    for kernel in &kernels {
        let initrd = scratch.path().join(format!("{}.cpio", kernel.name));
        fs::write(&initrd, parts.pack(&kernel.image)?)?;
        for (blob, bytes) in blobs(arguments.blob.as_deref(), kernel)? {
            let vmlinux = scratch.path().join(format!("{}-{blob}", kernel.name));
            let mut patched = kernel.vmlinux.clone();
            kernel
                .slot
                .replace(&mut patched, &bytes)
                .with_context(|| kernel.version.clone())?;
            fs::write(&vmlinux, patched)?;
            let setup = Setup {
                vmlinux,
                initrd: initrd.clone(),
                digest: parts.digest.clone(),
            };
            for way in ways(arguments.scenario) {
                cases.push(Case {
                    kernel,
                    blob,
                    way: *way,
                    setup: setup.clone(),
                });
            }
        }
    }
    let outcomes = run_cases(&cases);
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.failure.is_some())
        .count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if let Some(path) = &arguments.json {
        let records: Vec<_> = outcomes.into_iter().map(|outcome| outcome.record).collect();
        fs::write(path, serde_json::to_string_pretty(&records)?)
            .with_context(|| path.display().to_string())?;
    }
    if failed > 0 {
        bail!("{failed} cases failed");
    }
    Ok(())
}

fn kernels(arguments: &Arguments) -> Result<Vec<Kernel>> {
    if let Some(path) = &arguments.vmlinuz {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        return Ok(vec![Kernel::read(name, path)?]);
    }
    let rows = PACKAGES.iter();
    let rows = rows.filter(|row| arguments.kernel == "all" || arguments.kernel == row.name);
    rows.map(|row| Kernel::read(row.name.to_owned(), &row.fetch()?))
        .collect()
}

impl Kernel {
    fn read(name: String, path: &Path) -> Result<Self> {
        let read = || {
            let image = fs::read(path)?;
            let vmlinux = image::unpack(&image)?;
            let slot = Slot::find(&vmlinux)?;
            let version = image::version(&image)?;
            Ok(Self {
                name,
                version,
                image,
                vmlinux,
                slot,
            })
        };
        let result: Result<Self> = read();
        result.with_context(|| path.display().to_string())
    }

    fn stock(&self) -> &[u8] {
        &self.vmlinux[self.slot.blob.clone()]
    }
}

fn blobs(choice: Option<&Path>, kernel: &Kernel) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let stock = ("stock", kernel.stock().to_vec());
    let read = |path: &Path| {
        let bytes = fs::read(path).with_context(|| path.display().to_string());
        bytes.map(|bytes| ("ours", bytes))
    };
    let built = build::default_folder().join("purgatory.ro");
    match choice {
        None => Ok(vec![read(&built)?]),
        Some(path) if path == Path::new("stock") => Ok(vec![stock]),
        Some(path) if path == Path::new("both") => Ok(vec![read(&built)?, stock]),
        Some(path) => Ok(vec![read(path)?]),
    }
}

const fn ways(scenario: Scenario) -> &'static [Way] {
    match scenario {
        Scenario::Kexec => &[Way::Normal],
        Scenario::Crash => &[Way::Crash],
        Scenario::All => &[Way::Normal, Way::Crash],
    }
}

/// Runs all cases, a few at once, and prints each as it ends.
fn run_cases(cases: &[Case<'_>]) -> Vec<Outcome> {
    let next = Mutex::new(cases.iter());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                // In a statement of its own: the lock must not be held while a case runs.
                while let Some(case) = {
                    let case = next.lock().ok().and_then(|mut cases| cases.next());
                    case
                } {
                    let outcome = case.run();
                    println!("{}", outcome.line);
                    if let Some(failure) = &outcome.failure {
                        println!("{failure}");
                    }
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_default()
}

impl Case<'_> {
    fn run(&self) -> Outcome {
        let Self {
            kernel,
            blob,
            way,
            setup,
        } = self;
        let scenario = match way {
            Way::Normal => "kexec",
            Way::Crash => "crash",
        };
        let name = format!("linux-{}-{scenario}-{blob}", kernel.name);
        let started = Instant::now();
        let result = scenario::run(&name, setup, *way);
        let total = started.elapsed();
        let seconds = |time: Duration| (time.as_secs_f64() * 100.0).round() / 100.0;
        let handoff = result.as_ref().ok().map(|time| seconds(*time));
        let verdict = if result.is_ok() { "ok" } else { "FAIL" };
        let between = handoff.map_or_else(String::new, |time| {
            format!("{time:6.2} s between kernels, ")
        });
        let line = format!(
            "{verdict:<4} {:<24} {scenario:<7} {blob:<5} {between}{:.1} s in all",
            kernel.version,
            total.as_secs_f64()
        );
        let failure = result.err().map(|error| format!("{error:#}"));
        let record = json!({
            "kernel": kernel.version,
            "scenario": scenario,
            "blob": blob,
            "passed": failure.is_none(),
            "seconds_between": handoff,
            "seconds": seconds(total),
            "failure": failure,
        });
        Outcome {
            line,
            record,
            failure,
        }
    }
}
