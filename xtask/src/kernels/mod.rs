//! Real kernels: proves the drop-in in unmodified distribution kernels.
//!
//! Each kernel's embedded purgatory is replaced by the blob under test, the
//! kernel is booted, and its own `kexec_file_load(2)` loads the blob. Nothing
//! else of the kernel is touched, and the second kernel is the original file.
pub(crate) mod busybox;
pub(crate) mod bzimage;
mod corrupt;
pub(crate) mod fetch;
mod initramfs;
mod loaded;
mod scenario;
mod vmlinux;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, panic, thread};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

use corrupt::Target;
use fetch::{PACKAGES, Package};
use initramfs::Parts;
use scenario::{Setup, Way};
use vmlinux::Slot;

use crate::{
    build,
    host::{failure::Failure, needs, paths::target_directory, progress, tally::Tally},
};
use blob::arch::Arch;

/// How many guests run at once.
const AT_ONCE: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
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

impl Scenario {
    /// Returns its runs.
    const fn tests(self) -> &'static [Test] {
        const TESTS: [Test; 7] = [
            Test::Start(Way::Normal),
            Test::Start(Way::Crash),
            Test::Corrupt(Way::Normal, Target::Segment),
            Test::Corrupt(Way::Crash, Target::Segment),
            Test::Corrupt(Way::Crash, Target::Digest),
            Test::Corrupt(Way::Crash, Target::Table),
            Test::Corrupt(Way::Crash, Target::Registers),
        ];
        let [kexec, crash, corrupt @ ..] = &TESTS;
        match self {
            Self::Kexec => std::slice::from_ref(kexec),
            Self::Crash => std::slice::from_ref(crash),
            Self::Corrupt => corrupt,
            Self::All => &TESTS,
        }
    }
}

/// A kernel taken apart.
pub(crate) struct Kernel {
    /// The name of the row, or of the file.
    name: String,
    version: String,
    image: Vec<u8>,
    vmlinux: Vec<u8>,
    slot: Slot,
}

/// A folder for a run's large files, used by one xtask at a time.
struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Empties the folder: an xtask that was killed could not.
    fn new() -> Result<Self> {
        let parent = target_directory().join("linux");
        fs::create_dir_all(&parent)?;
        let lock = File::create(parent.join("lock"))?;
        lock.try_lock()
            .context("another `cargo xtask linux` runs in this folder")?;
        let folder = parent.join("scratch");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is removed by the next run.
        let _ = fs::remove_dir_all(&self.folder);
    }
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

/// Runs what every `cargo xtask test` can afford: all on 6.1, a start elsewhere.
pub(crate) fn test(blob: Option<&Path>, machine: &needs::Setup) -> Result<Tally> {
    let rows = PACKAGES.iter().map(|row| {
        let scenario = if row.name == "6.1" {
            Scenario::All
        } else {
            Scenario::Kexec
        };
        (row, scenario)
    });
    if !fetch::is_possible() {
        println!(
            "SKIPPED: real kernels, which come through apt; see `cargo xtask linux --vmlinuz`"
        );
        let skipped = rows.map(|(_, scenario)| scenario.tests().len()).sum();
        return Ok(Tally {
            skipped,
            ..Tally::default()
        });
    }
    let plan = rows.map(|(row, scenario)| Ok((Kernel::fetch(row)?, scenario)));
    let records = prove(plan.collect::<Result<_>>()?, blob, machine)?;
    Ok(count(&records))
}

/// Returns each row's name and its kernel's own purgatory, or why there is none.
pub(crate) fn stock_blobs() -> Vec<(&'static str, Result<Vec<u8>>)> {
    let stock = |row: &Package| {
        ensure!(fetch::is_possible(), "Debian's kernels come through apt");
        Ok(Kernel::fetch(row)?.stock().bytes)
    };
    PACKAGES.iter().map(|row| (row.name, stock(row))).collect()
}

pub(crate) fn usage(path: &Path, error: impl fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {error:#}", path.display()))
}

pub(crate) fn count(records: &[Value]) -> Tally {
    let passed = records
        .iter()
        .filter(|record| record["passed"] == true)
        .count();
    Tally {
        passed,
        failed: records.len() - passed,
        skipped: 0,
    }
}

/// Runs every test of the plan and returns a record of each.
pub(crate) fn prove(
    plan: Vec<(Kernel, Scenario)>,
    blob: Option<&Path>,
    machine: &needs::Setup,
) -> Result<Vec<Value>> {
    let preparing = progress::spinner("putting the purgatory into the kernels");
    let ours = ours(blob, machine)?;
    let with_stock = blob.is_some_and(|name| name == "stock" || name == "both");
    let parts = Parts::build()?;
    let scratch = Scratch::new()?;
    let mut cases = Vec::new();
    for (kernel, scenario) in &plan {
        let initrd = scratch.folder.join(format!("{}.cpio", kernel.name));
        fs::write(&initrd, parts.pack(&kernel.image)?)?;
        let stock = with_stock.then(|| kernel.stock());
        let mut setups = Vec::new();
        for blob in ours.iter().chain(&stock) {
            let setup = Setup {
                vmlinux: kernel.patch(blob, &scratch.folder)?,
                initrd: initrd.clone(),
                digest: parts.digest.clone(),
                blob: blob.bytes.clone(),
            };
            setups.push((blob.name, Arc::new(setup)));
        }
        for test in scenario.tests() {
            cases.extend(setups.iter().map(|(blob, setup)| Case {
                kernel,
                blob,
                test: *test,
                setup: Arc::clone(setup),
            }));
        }
    }
    drop(preparing);
    Ok(run_cases(&cases))
}

/// Prints the times between the kernels, ours beside stock, where both ran.
pub(crate) fn print_comparison(records: &[Value]) {
    for ours in records.iter().filter(|record| record["blob"] == "ours") {
        let same = |record: &&Value| {
            record["blob"] == "stock"
                && record["kernel"] == ours["kernel"]
                && record["scenario"] == ours["scenario"]
        };
        if let Some(stock) = records.iter().find(same)
            && let [Some(ours_time), Some(stock_time)] =
                [ours, stock].map(|record| record["seconds_between"].as_f64())
        {
            let [kernel, scenario] = ["kernel", "scenario"].map(|key| ours[key].as_str());
            println!(
                "{:<26} {:<5} between kernels: ours {ours_time:.2} s, stock {stock_time:.2} s",
                kernel.unwrap_or_default(),
                scenario.unwrap_or_default(),
            );
        }
    }
}

impl Kernel {
    pub(crate) fn fetch(row: &Package) -> Result<Self> {
        let path = row.fetch()?;
        Self::read(row.name, &path).with_context(|| path.display().to_string())
    }

    pub(crate) fn read(name: &str, path: &Path) -> Result<Self> {
        let image = fs::read(path).context("cannot read it")?;
        let vmlinux = vmlinux::unpack(&image)?;
        Ok(Self {
            name: name.to_owned(),
            version: vmlinux::version(&image)?,
            slot: Slot::find(&vmlinux)?,
            vmlinux,
            image,
        })
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
fn ours(choice: Option<&Path>, machine: &needs::Setup) -> Result<Option<Blob>> {
    let (name, path) = match choice {
        Some(path) if path == "stock" => return Ok(None),
        Some(path) if path != "both" => ("file", path.to_owned()),
        _ => {
            let toolchain = machine.toolchain()?;
            let built = build::blob(Arch::X86_64, &toolchain, &build::default_folder())?;
            ("ours", built.relocatable)
        }
    };
    let bytes =
        fs::read(&path).map_err(|error| usage(&path, format!("cannot read it: {error}")))?;
    Ok(Some(Blob { name, bytes }))
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
        let records = workers.into_iter().flat_map(|worker| {
            // A case that panicked is not to be missing quietly.
            worker
                .join()
                .unwrap_or_else(|panic| panic::resume_unwind(panic))
        });
        records.collect()
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
