//! `cargo xtask boot`: the blob between two kernels under QEMU.
//!
//! Without `--kernel` the second kernel is the payload, which checks what it is
//! handed; with it, any bzImage. The host plays the loader in both.

use std::{
    fs,
    mem::offset_of,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use purgatory::{
    sha256::Backend,
    status::{Phase, Status},
};
use purgatory_tests::{
    EXIT_PORT, TALK_PORT,
    cases::{Case, Expect, INTACT},
    exit, exit_code,
};

use tempfile::NamedTempFile;

use crate::{
    arch::Arch,
    build, bzimage, case, image, progress,
    qemu::{Machine, Run},
    toolchain::{self, Toolchain},
};

/// Options of `cargo xtask boot`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    linux: bzimage::Options,
    /// Seconds that the boot may take
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u64,
    /// Boot this blob instead of building one
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
}

/// How long a case may take: it takes about a second on an idle machine.
const CASE_LIMIT: Duration = Duration::from_secs(60);
/// How often a silent guest is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The three programs of a boot.
pub(crate) struct Programs {
    pub(crate) blob: Vec<u8>,
    pub(crate) harness: PathBuf,
    pub(crate) payload: Vec<u8>,
}

impl Programs {
    /// Builds what is not given.
    pub(crate) fn build(blob: Option<&Path>) -> Result<Self> {
        let _busy = progress::spinner("building the blob and the two test kernels");
        let toolchain = toolchain::find(Arch::X86_64, None)?;
        let blob = match blob {
            Some(path) => path.to_owned(),
            None => build::blob(Arch::X86_64, &toolchain, &build::default_folder())?.relocatable,
        };
        Ok(Self {
            blob: fs::read(&blob).with_context(|| format!("cannot read {}", blob.display()))?,
            harness: guest(&toolchain, "harness", "pvh_start", 0x10_0000)?,
            payload: fs::read(guest(&toolchain, "payload", "payload_start", 0x100_0000)?)?,
        })
    }
}

/// Builds a test kernel at its fixed address.
fn guest(toolchain: &Toolchain, package: &str, entry: &str, base: u64) -> Result<PathBuf> {
    let flags = [
        "-Crelocation-model=static",
        &format!("-Clink-arg=--image-base={base:#x}"),
        &format!("-Clink-arg=--entry={entry}"),
    ];
    build::compile(Arch::X86_64, toolchain, package, &flags, None)
}

/// Runs `cargo xtask boot`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let programs = Programs::build(options.blob.as_deref())?;
    let limit = Duration::from_secs(options.timeout);
    if options.linux.kernel.is_some() {
        return bzimage::boot(&options.linux, &programs, limit);
    }
    let started = Instant::now();
    let said = run_case(&INTACT, &programs)?;
    print!("{said}");
    println!("booted in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Boots one case and judges it; returns what the guests said.
pub(crate) fn run_case(case: &Case, programs: &Programs) -> Result<String> {
    let prepared = case::prepare(case, &programs.blob, &programs.payload)?;
    let (machine, ram) = machine(case.name, CASE_LIMIT, programs, case.memory, case.cpu)?;
    let machine = machine.serial("com1")?.debugcon("e9", 0xe9)?;
    prepared.manifest.write(machine.directory())?;
    prepared.image.write(&machine.directory().join("image"))?;
    let mut run = machine.start()?;
    let ended = watch(&mut run, &ram, prepared.status)?;
    let talk = run.text("talk")?;
    // The payload leaves the purgatory's memory alone.
    let backend = ram.word(prepared.status, offset_of!(Status, backend))?;
    judge(case, &ended, &talk)
        .and_then(|()| judge_backend(case, backend))
        .with_context(|| format!("{}\n{}", case.name, run.report()))?;
    Ok(talk)
}

/// Describes the machine that all boots share; `image` is in its directory.
///
/// The guest's RAM is a file, so that the purgatory's record can be read at any
/// moment without disturbing the guest or waiting for its monitor.
pub(crate) fn machine(
    name: &str,
    limit: Duration,
    programs: &Programs,
    memory: u64,
    cpu: &str,
) -> Result<(Machine, Ram)> {
    let machine = Machine::new(name, limit)?;
    let image = machine.directory().join("image");
    let ram = Ram::new(machine.directory(), memory)?;
    let backend = format!(
        "memory-backend-file,id=ram,size={memory}M,share=on,mem-path={}",
        ram.file.path().display()
    );
    let machine = machine
        .args(["-machine", "pc,memory-backend=ram", "-object", &backend])
        .args(["-cpu", cpu, "-m", &memory.to_string()])
        .args([
            "-device",
            &format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4"),
        ])
        .args(["-kernel".as_ref(), programs.harness.as_os_str()])
        .args(["-initrd".as_ref(), image.as_os_str()])
        .debugcon("talk", TALK_PORT)?;
    Ok((machine, ram))
}

/// The guest's RAM as a sparse file, which goes with this value.
pub(crate) struct Ram {
    file: NamedTempFile,
}

impl Ram {
    fn new(directory: &Path, mebibytes: u64) -> Result<Self> {
        let file = NamedTempFile::with_prefix_in("ram-", directory)?;
        file.as_file().set_len(mebibytes << 20)?;
        Ok(Self { file })
    }

    /// Reads a 32-bit word of physical memory.
    fn word(&self, address: u64, offset: usize) -> Result<u32> {
        let mut bytes = [0; 4];
        self.read(address + offset as u64, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads physical memory.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let offset = image::ram_offset(address);
        self.file.as_file().read_exact_at(buffer, offset)?;
        Ok(())
    }
}

/// How a boot ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// QEMU ended with this code, for this reason.
    Exit(Option<i32>, Option<String>),
    /// The purgatory stopped the machine with this verdict.
    Stopped(u32),
}

/// Waits until QEMU ends or the purgatory's own record says that it stopped.
fn watch(run: &mut Run, ram: &Ram, status: u64) -> Result<Ended> {
    loop {
        if let Some(exit) = run.wait_exit_for(LOOK)? {
            return Ok(Ended::Exit(exit.code, exit.reason));
        }
        if let Some(verdict) = stopped(run, ram, status)? {
            return Ok(Ended::Stopped(verdict));
        }
    }
}

/// Reads the purgatory's record; returns its verdict if it stopped the machine.
pub(crate) fn stopped(run: &mut Run, ram: &Ram, status: u64) -> Result<Option<u32>> {
    let mut magic = [0; 8];
    ram.read(status, &mut magic)?;
    let phase = ram.word(status, offset_of!(Status, phase))?;
    let ended = [Phase::Refused.number(), Phase::Faulted.number()].contains(&phase);
    if magic != Status::MAGIC || !ended || !run.is_halted()? {
        return Ok(None);
    }
    ram.word(status, offset_of!(Status, verdict)).map(Some)
}

fn judge_backend(case: &Case, number: u32) -> Result<()> {
    let ran = Backend::from_number(number).map_or("none", Backend::name);
    ensure!(
        case.backend.is_empty() || case.backend == ran,
        "backend {ran} hashed, not {}",
        case.backend
    );
    Ok(())
}

fn judge(case: &Case, ended: &Ended, talk: &str) -> Result<()> {
    ensure!(
        talk.contains("harness: ready\n"),
        "the first kernel did not come as far as its jump"
    );
    let ran = talk.contains("payload:");
    match (case.expect, ended) {
        (Expect::Boots, Ended::Exit(Some(code), _)) => {
            ensure!(
                code.cast_unsigned() == exit_code(exit::PASSED)
                    && talk.ends_with("payload: all checks held\n"),
                "the second kernel found something wrong (exit code {code})"
            );
        }
        (Expect::Refuses(wanted), Ended::Stopped(verdict)) => {
            ensure!(!ran, "the purgatory refused, and yet the second kernel ran");
            ensure!(*verdict == wanted, "verdict {verdict}, not {wanted}");
        }
        (Expect::Boots, Ended::Stopped(verdict)) => {
            bail!(
                "the purgatory stopped with verdict {verdict} ({})",
                meaning(*verdict)
            )
        }
        (Expect::Refuses(_), Ended::Exit(..)) if ran => {
            bail!("the second kernel ran; the purgatory should have refused")
        }
        (_, Ended::Exit(code, reason)) => {
            bail!("QEMU ended with code {code:?}, reason {reason:?}")
        }
    }
    Ok(())
}

/// Says what a verdict of the status record means.
pub(crate) const fn meaning(verdict: u32) -> &'static str {
    match verdict {
        1 => "match",
        2 => "nothing to check",
        3 => "sha256 mismatch",
        4 => "region table wiped",
        5 => "bad region",
        6 => "exception",
        7 => "stack overflow",
        _ => "none",
    }
}
