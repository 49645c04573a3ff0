// SPDX-License-Identifier: MIT OR Apache-2.0
//! Proves the drop-in in unmodified distribution kernels.
//!
//! Each kernel's embedded purgatory is replaced by the blob under test, in its image or
//! by the module once it runs, and its own `kexec_file_load(2)` loads the blob. Nothing
//! else of the kernel is touched, and the second kernel is the original file.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use super::corrupt::Target;
use super::initramfs::Parts;
use super::kernel::Kernel;
use super::pstore::{Reserved, Story};
use super::scenario::{First, Place, Way};
use super::{corrupt, pstore, scenario};
use crate::host::paths::target_directory;
use crate::host::tally::{Tally, in_parallel};
use crate::host::{output, progress};
use crate::machine;
use blob::arch::Arch;

/// What is done in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// reboot(2) into the second kernel.
    Kexec,
    /// A panic into a capture kernel.
    Crash,
    /// One bit flipped after the load, which must be refused.
    Corrupt,
    /// The module is taken out again, and the kernel's own purgatory starts the second
    /// kernel.
    Undo,
    /// All of these.
    All,
    /// What the blob records in ramoops is read by the next kernel, after a reset, too.
    Pstore,
}

/// How the blob gets into a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Through {
    /// In the kernel's image.
    Image,
    /// By the module, loaded into the unmodified kernel.
    Module,
}

/// What one run does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    Start(Way),
    Corrupt(Way, Target),
    Pstore(Story, Reserved),
}

impl Scenario {
    /// Returns its runs.
    pub(crate) fn tests(self, through: Through) -> &'static [Test] {
        const TESTS: [Test; 8] = [
            Test::Start(Way::Normal),
            Test::Start(Way::Crash),
            Test::Corrupt(Way::Normal, Target::Segment),
            Test::Corrupt(Way::Crash, Target::Segment),
            Test::Corrupt(Way::Crash, Target::Digest),
            Test::Corrupt(Way::Crash, Target::Table),
            Test::Corrupt(Way::Crash, Target::Registers),
            Test::Start(Way::Undone),
        ];
        let [kexec, crash, corrupt @ .., undo] = &TESTS;
        match self {
            Self::Kexec => std::slice::from_ref(kexec),
            Self::Crash => std::slice::from_ref(crash),
            Self::Corrupt => corrupt,
            Self::Undo => std::slice::from_ref(undo),
            Self::All if through == Through::Module => &TESTS,
            Self::All => &TESTS[..TESTS.len() - 1],
            Self::Pstore => &[
                Test::Pstore(Story::Refusal, Reserved::Memmap),
                Test::Pstore(Story::Success, Reserved::Memmap),
                Test::Pstore(Story::Refusal, Reserved::ByName),
            ],
        }
    }
}

/// A purgatory under test.
pub(crate) struct Purgatory {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
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
        let lock = output::lock(&parent)?;
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

/// One cell of the matrix: a kernel with a purgatory in it, and what is done there.
struct Cell<'a> {
    kernel: &'a Kernel,
    blob: &'static str,
    test: Test,
    first: First,
}

/// What came of one.
#[derive(Serialize)]
pub(crate) struct Record {
    kernel: String,
    scenario: String,
    blob: &'static str,
    passed: bool,
    seconds_between: Option<f64>,
    seconds: f64,
    text: String,
}

/// Runs every test of the plan, on each kernel with each of `blobs`, and with its own
/// purgatory if that is asked for; returns a record of each.
pub(crate) fn prove(
    arch: Arch,
    plan: &[(Kernel, Scenario)],
    blobs: &[Purgatory],
    with_stock: bool,
    through: Through,
) -> Result<Vec<Record>> {
    let preparing = progress::spinner("putting the purgatory into the kernels");
    let machine = machine::of(arch);
    let parts = Parts::build(arch)?;
    let scratch = Scratch::new()?;
    let mut cells = Vec::new();
    for (kernel, scenario) in plan {
        let stock = with_stock.then(|| ("stock", kernel.stock()));
        let given = blobs.iter().map(|blob| (blob.name, blob.bytes.as_slice()));
        let own = match scenario {
            Scenario::Pstore => kernel.modules(arch, &linux_init::PSTORE)?,
            _ => Vec::new(),
        };
        let mut firsts = Vec::new();
        for (name, bytes) in given.chain(stock) {
            let (mut inside, mut module, mut place) = (bytes, None, None);
            if through == Through::Module && name != "stock" {
                inside = kernel.stock();
                module = Some(kernel.build_module(arch, bytes)?);
                place = Some(Place {
                    address: kernel.stock_address()?,
                    stock: inside.to_vec(),
                });
            }
            let initrd = scratch.folder.join(format!("{}-{name}.cpio", kernel.name));
            fs::write(&initrd, parts.pack(&kernel.image, module.as_deref(), &own)?)?;
            let first = First {
                machine,
                vmlinux: kernel.patch(name, inside, &scratch.folder)?,
                place,
                initrd,
                digest: parts.digest.clone(),
                blob: bytes.to_vec(),
            };
            firsts.push((name, first));
        }
        let elsewhere = Test::Start(Way::CrashElsewhere);
        let crashes = matches!(scenario, Scenario::Crash | Scenario::All);
        let elsewhere = (crashes && machine.crashes_elsewhere).then_some(&elsewhere);
        for test in scenario.tests(through).iter().chain(elsewhere) {
            if matches!(test, Test::Pstore(_, reserved) if !reserved.is_known(kernel)) {
                continue;
            }
            let undo = matches!(test, Test::Start(Way::Undone));
            let able = firsts
                .iter()
                .filter(|(_, first)| !undo || first.place.is_some());
            cells.extend(able.map(|(blob, first)| Cell {
                kernel,
                blob,
                test: *test,
                first: first.clone(),
            }));
        }
    }
    drop(preparing);
    Ok(in_parallel(&cells, Cell::run))
}

/// Counts records.
pub(crate) fn count(records: &[Record]) -> Tally {
    let mut tally = Tally::default();
    records.iter().for_each(|record| tally.count(record.passed));
    tally
}

/// Prints the times between the kernels, ours beside stock, where both ran.
pub(crate) fn print_comparison(records: &[Record]) {
    for ours in records.iter().filter(|record| record.blob == "ours") {
        let same = |record: &&Record| {
            (record.blob, &record.kernel, &record.scenario)
                == ("stock", &ours.kernel, &ours.scenario)
        };
        let stock = records.iter().find(same);
        if let (Some(ours_time), Some(stock_time)) = (
            ours.seconds_between,
            stock.and_then(|stock| stock.seconds_between),
        ) {
            println!(
                "{:<26} {:<5} between kernels: ours {ours_time:.2} s, stock {stock_time:.2} s",
                ours.kernel, ours.scenario,
            );
        }
    }
}

impl Cell<'_> {
    /// Runs it, prints its line and returns its record.
    fn run(&self) -> Record {
        let (version, blob, scenario) = (&self.kernel.version, self.blob, self.test.to_string());
        let name = format!("linux-{}-{scenario}-{blob}", self.kernel.name).replace(' ', "-");
        let started = Instant::now();
        let (result, between) = match self.test {
            Test::Start(way) => {
                let result = scenario::run(&name, &self.first, way);
                let between = result.as_ref().ok().map(|time| rounded(*time));
                let text = |time| format!("{:.2} s between kernels", rounded(time));
                (result.map(text), between)
            }
            Test::Corrupt(way, target) => (corrupt::run(&name, &self.first, way, target), None),
            Test::Pstore(story, reserved) => {
                let address = self.kernel.stock_address();
                let result = address
                    .and_then(|address| pstore::run(&name, &self.first, address, story, reserved));
                (result, None)
            }
        };
        let seconds = rounded(started.elapsed());
        let passed = result.is_ok();
        let text = result.unwrap_or_else(|error| format!("{error:#}"));
        let word = if passed { "ok" } else { "FAIL" };
        println!("{word:<4} {version:<26} {scenario:<23} {blob:<5} {seconds:>6.2} s  {text}");
        Record {
            kernel: version.clone(),
            scenario,
            blob,
            passed,
            seconds_between: between,
            seconds,
            text,
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(way) => write!(formatter, "{way}"),
            Self::Corrupt(way, target) => write!(formatter, "corrupt {way} {target}"),
            Self::Pstore(story, reserved) => write!(formatter, "pstore {story} {reserved}"),
        }
    }
}

/// Returns seconds to two places: more is noise here.
fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}
