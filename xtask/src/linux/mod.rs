//! `cargo xtask linux`: proves the drop-in in unmodified distribution kernels.
//!
//! Each kernel's embedded purgatory is replaced by the blob under test, the
//! kernel is booted, and its own kexec_file_load(2) loads the blob. Nothing
//! else of the kernel is touched, and the second kernel is the original file.
mod corrupt;
mod fetch;
mod initramfs;
mod scenario;
mod vmlinux;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use corrupt::Target;
use fetch::PACKAGES;
use initramfs::Parts;
use scenario::{Setup, Way};
use vmlinux::Slot;

use crate::arch::Arch;
use crate::qemu::target_directory;
use crate::{build, toolchain};

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
    /// One bit flipped after the load, which must be refused.
    Corrupt,
    /// All of these.
    All,
}

/// What one run does.
#[derive(Clone, Copy, Debug)]
enum Test {
    Start(Way),
    Corrupt(Way, Target),
}

/// The runs of each scenario, in this order.
const TESTS: [(Scenario, Test); 7] = [
    (Scenario::Kexec, Test::Start(Way::Normal)),
    (Scenario::Crash, Test::Start(Way::Crash)),
    (
        Scenario::Corrupt,
        Test::Corrupt(Way::Normal, Target::Segment),
    ),
    (
        Scenario::Corrupt,
        Test::Corrupt(Way::Crash, Target::Segment),
    ),
    (Scenario::Corrupt, Test::Corrupt(Way::Crash, Target::Digest)),
    (Scenario::Corrupt, Test::Corrupt(Way::Crash, Target::Table)),
    (
        Scenario::Corrupt,
        Test::Corrupt(Way::Crash, Target::Registers),
    ),
];

/// A kernel taken apart.
struct Kernel {
    /// The name of the row, or of the file.
    name: String,
    version: String,
    image: Vec<u8>,
    vmlinux: Vec<u8>,
    slot: Slot,
}

/// A purgatory under test.
struct Blob {
    name: &'static str,
    bytes: Vec<u8>,
}

/// One cell of the matrix.
struct Case<'a> {
    kernel: &'a Kernel,
    blob: &'static str,
    test: Test,
    setup: Arc<Setup>,
}

/// Runs the matrix; an error means that it could not run or that a case failed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let kernels = kernels(arguments)?;
    let ours = ours(arguments.blob.as_deref())?;
    let with_stock = arguments
        .blob
        .as_deref()
        .is_some_and(|name| name == "stock" || name == "both");
    let parts = Parts::build()?;
    let scratch = tempfile::tempdir_in(target_directory().join("linux"))?;
    let mut cases = Vec::new();
    for kernel in &kernels {
        let initrd = scratch.path().join(format!("{}.cpio", kernel.name));
        fs::write(&initrd, parts.pack(&kernel.image)?)?;
        let stock = with_stock.then(|| kernel.stock());
        for blob in ours.iter().chain(&stock) {
            let setup = Setup {
                vmlinux: kernel.patch(blob, scratch.path())?,
                initrd: initrd.clone(),
                digest: parts.digest.clone(),
                blob: blob.bytes.clone(),
            };
            let setup = Arc::new(setup);
            for test in tests(arguments.scenario) {
                let setup = Arc::clone(&setup);
                cases.push(Case {
                    kernel,
                    blob: blob.name,
                    test,
                    setup,
                });
            }
        }
    }
    let records = run_cases(&cases);
    let failed = records
        .iter()
        .filter(|record| record["passed"] != true)
        .count();
    println!("{} passed, {failed} failed", records.len() - failed);
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_string_pretty(&records)?)
            .with_context(|| path.display().to_string())?;
    }
    ensure!(failed == 0, "{failed} of {} cases failed", records.len());
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
            let vmlinux = vmlinux::unpack(&image)?;
            let slot = Slot::find(&vmlinux)?;
            let version = vmlinux::version(&image)?;
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

    /// Returns the purgatory that the kernel was built with.
    fn stock(&self) -> Blob {
        let bytes = self.vmlinux[self.slot.blob.clone()].to_vec();
        Blob {
            name: "stock",
            bytes,
        }
    }

    /// Writes the kernel with `blob` in it into `directory`.
    fn patch(&self, blob: &Blob, directory: &Path) -> Result<PathBuf> {
        let mut vmlinux = self.vmlinux.clone();
        self.slot
            .replace(&mut vmlinux, &blob.bytes)
            .with_context(|| format!("Linux {}", self.version))?;
        let path = directory.join(format!("{}-{}", self.name, blob.name));
        fs::write(&path, vmlinux)?;
        Ok(path)
    }
}

/// Returns the blob that is the same in every kernel, unless there is none.
fn ours(choice: Option<&Path>) -> Result<Option<Blob>> {
    let (name, path) = match choice {
        Some(path) if path == "stock" => return Ok(None),
        Some(path) if path != "both" => ("file", path.to_owned()),
        _ => {
            let toolchain = toolchain::find(Arch::X86_64, None)?;
            let built = build::blob(Arch::X86_64, &toolchain, &build::default_folder())?;
            ("ours", built.relocatable)
        }
    };
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(Some(Blob { name, bytes }))
}

fn tests(scenario: Scenario) -> impl Iterator<Item = Test> {
    let chosen = move |row: &Scenario| scenario == Scenario::All || scenario == *row;
    TESTS
        .into_iter()
        .filter(move |(row, _)| chosen(row))
        .map(|(_, test)| test)
}

/// Runs all cases, a few at once, and prints each as it ends.
fn run_cases(cases: &[Case<'_>]) -> Vec<Value> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut records = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            records.push(case.run());
        }
        records
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let records = workers.into_iter().filter_map(|worker| worker.join().ok());
        records.flatten().collect()
    })
}

impl Case<'_> {
    /// Runs the case, prints its line and returns its record.
    fn run(&self) -> Value {
        let Self {
            kernel,
            blob,
            test,
            setup,
        } = self;
        let scenario = test.to_string();
        let name = format!("linux-{}-{scenario}-{blob}", kernel.name).replace(' ', "-");
        let started = Instant::now();
        let (result, between) = match *test {
            Test::Start(way) => {
                let result = scenario::run(&name, setup, way);
                let between = result.as_ref().ok().map(|time| rounded(*time));
                let text = |time| format!("{:.2} s between kernels", rounded(time));
                (result.map(text), between)
            }
            Test::Corrupt(way, target) => (corrupt::run(&name, setup, way, target), None),
        };
        let total = rounded(started.elapsed());
        let verdict = if result.is_ok() { "ok" } else { "FAIL" };
        let text = match &result {
            Ok(text) => text.clone(),
            Err(error) => format!("{error:#}"),
        };
        let version = &kernel.version;
        println!("{verdict:<4} {version:<26} {scenario:<23} {blob:<5} {total:>6.2} s  {text}");
        json!({
            "kernel": version,
            "scenario": scenario,
            "blob": blob,
            "passed": result.is_ok(),
            "seconds_between": between,
            "seconds": total,
            "text": text,
        })
    }
}

impl fmt::Display for Test {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(way) => write!(formatter, "{way}"),
            Self::Corrupt(way, target) => write!(formatter, "corrupt {way} {target}"),
        }
    }
}

/// Returns seconds to two places: more is noise here.
fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}
