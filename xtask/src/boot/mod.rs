//! Bare boots: the blob between two kernels of our own under QEMU, of which the
//! second checks what it is handed. The host plays the loader.

mod acts;
pub(crate) mod faults;
mod golden;
mod judge;
mod trace;

use std::{
    fs::{self, File},
    mem::offset_of,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    time::Duration,
};

use anyhow::Result;
use purgatory::status::{Phase, Status};
use purgatory_tests::{
    EXIT_PORT, TALK_PORT,
    cases::{Case, Console, Expect, Profile, UART_PAGE},
};
use serde_json::json;

use tempfile::{NamedTempFile, TempPath};

pub(crate) mod case;
pub(crate) mod image;
mod segments;

pub(crate) use golden::Facts;

use blob::arch::Arch;
pub(crate) use blob::status::meaning;
use case::Prepared;

use crate::{
    build,
    host::{needs::Setup, output, progress, toolchain::Toolchain},
    vm::qemu::{Machine, Run},
};

/// How long a machine may take around the purgatory: firmware and the two test
/// kernels take about a second when it is idle.
const AROUND: u64 = 60;
/// From the end of a monitor to the end of its process, at most.
const AFTER: Duration = Duration::from_secs(5);
/// How often a silent guest is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The three programs of a boot.
pub(crate) struct Programs {
    pub(crate) blob: Vec<u8>,
    pub(crate) harness: PathBuf,
    pub(crate) payload: Vec<u8>,
}

impl Programs {
    /// Builds what is not given. No blob gets here that breaks a promise.
    pub(crate) fn build(blob: Option<Vec<u8>>, setup: &Setup) -> Result<Self> {
        let _busy = progress::spinner("building the blob and the two test kernels");
        let toolchain = setup.toolchain()?;
        let blob = match blob {
            Some(bytes) => bytes,
            None => {
                let built = build::blob(Arch::X86_64, &toolchain, &build::default_folder())?;
                build::accept(&built.relocatable)?
            }
        };
        Ok(Self {
            blob,
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

/// One boot of a case.
pub(crate) struct Boot<'a> {
    pub(crate) case: &'a Case,
    pub(crate) profile: Profile,
}

impl Boot<'_> {
    pub(crate) fn name(&self) -> String {
        let suffix = match self.profile {
            Profile::Legacy => "",
            Profile::DebugIdt => "-debug-idt",
        };
        format!("{}{suffix}", self.case.name)
    }

    /// How long it may take.
    pub(crate) const fn limit(&self) -> Duration {
        Duration::from_secs(AROUND + self.case.seconds)
    }
}

/// Boots one case and judges it; returns what the guests said.
pub(crate) fn run_case(boot: &Boot<'_>, programs: &Programs, limit: Duration) -> Result<String> {
    let Boot { case, profile } = *boot;
    let (image, prepared) = case::prepare(case, profile, &programs.blob, &programs.payload)?;
    let (mut machine, mut ram, traced) = equipped(&boot.name(), limit, programs, case)?;
    output::manifest(machine.directory(), &prepared.manifest)?;
    image.write(&machine.directory().join("image"))?;
    // A guest that somebody waits for must not run before he is there.
    let debugged = case.uart.is_some() || !case.acts.is_empty();
    if debugged {
        machine = machine.debuggable()?.arg("-S");
    }
    let mut run = ram.start(machine)?;
    observe(case, &mut run, &ram, &prepared, debugged)
        .and_then(|observed| {
            let trace = trace::Trace::read(&traced)?;
            judge::judge(case, &run, &ram, &prepared, &observed, &trace)
        })
        .map_err(|error| run.failure(format!("{}: {error:#}", boot.name())))?;
    run.text("talk")
}

/// Describes the machine of a case: everything that it says is heard, and every
/// device that it touches is on the trace.
fn equipped(
    name: &str,
    limit: Duration,
    programs: &Programs,
    case: &Case,
) -> Result<(Machine, Ram, PathBuf)> {
    let (mut machine, ram) = machine(name, limit, programs, case.machine, case.memory, case.cpu)?;
    for channel in judge::PORTS.map(|(_, channel)| channel) {
        machine = machine.serial(channel)?;
    }
    let traced = machine.directory().join("devices.log");
    machine = machine
        .debugcon("e9", 0xe9)?
        .args(trace::arguments(&traced))
        .args(case.devices);
    Ok((machine, ram, traced))
}

/// What was seen of a boot.
struct Observed {
    ended: Ended,
    /// What an 8250 in memory was told.
    memory: String,
    /// What stands on the screen.
    screen: String,
}

/// Runs the guest to its end, does to it what is to be done, and ends QEMU, so
/// that everything it ever said has arrived.
fn observe(
    case: &Case,
    run: &mut Run,
    ram: &Ram,
    prepared: &Prepared,
    debugged: bool,
) -> Result<Observed> {
    let mut memory = String::new();
    let mut debugger = None;
    if debugged {
        let mut attached = acts::to_entry(run, prepared)?;
        acts::perform(run, &mut attached, prepared, case.acts)?;
        if case.heard.contains(&Console::Memory) {
            let last = judge::last_line(case, &prepared.facts);
            memory = acts::hear(&mut attached, UART_PAGE, &last)?;
        }
        attached.resume()?;
        debugger = Some(attached);
    }
    // QEMU may hang when a monitor asks it something while it ends.
    let ended = if let Expect::Resets(..) = case.expect {
        let exit = run.wait_exit()?;
        Ended::Exit(exit.code, exit.reason)
    } else {
        watch(run, ram, prepared.status)?
    };
    let mut screen = String::new();
    if let Ended::Stopped = ended {
        if case.heard.contains(&Console::Screen) {
            screen = read_screen(run)?;
        }
        run.monitor()?.execute("quit", json!({}))?;
        run.wait_exit()?;
    }
    drop(debugger);
    Ok(Observed {
        ended,
        memory,
        screen,
    })
}

/// Reads the text on a VGA screen, which no file holds.
fn read_screen(run: &mut Run) -> Result<String> {
    const COLUMNS: usize = 80;
    let file = run.directory().join("screen");
    let arguments = json!({"val": 0xb_8000, "size": 2 * COLUMNS * 25, "filename": file});
    run.monitor()?.execute("pmemsave", arguments)?;
    let cells = fs::read(file)?;
    let mut rows: Vec<String> = cells
        .chunks(2 * COLUMNS)
        .map(|row| {
            row.iter()
                .step_by(2)
                .map(|byte| char::from(*byte))
                .collect()
        })
        .collect();
    while rows.pop_if(|row| row.trim_end().is_empty()).is_some() {}
    Ok(rows.iter().flat_map(|row| [row.trim_end(), "\n"]).collect())
}

/// Describes the machine that all boots share; `image` is in its directory.
///
/// The guest's RAM is a file, so that the purgatory's record can be read at any
/// moment without disturbing the guest or waiting for its monitor.
pub(crate) fn machine(
    name: &str,
    limit: Duration,
    programs: &Programs,
    kind: &str,
    memory: u64,
    cpu: &str,
) -> Result<(Machine, Ram)> {
    let machine = Machine::new(name, limit)?;
    let image = machine.directory().join("image");
    let file = NamedTempFile::with_prefix_in("ram-", machine.directory())?;
    let backend = format!(
        "memory-backend-file,id=ram,size={memory}M,share=on,mem-path={}",
        file.path().display()
    );
    let ram = Ram::new(file, memory)?;
    let machine = machine
        .args(["-machine", &format!("{kind},memory-backend=ram")])
        .args(["-object", &backend])
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

/// The guest's RAM as a sparse file, which goes with this value and its QEMU.
pub(crate) struct Ram {
    file: File,
    /// Until QEMU has opened it.
    name: Option<TempPath>,
}

impl Ram {
    fn new(file: NamedTempFile, mebibytes: u64) -> Result<Self> {
        file.as_file().set_len(mebibytes << 20)?;
        let (file, name) = file.into_parts();
        Ok(Self {
            file,
            name: Some(name),
        })
    }

    /// Starts its machine. Once QEMU has the file open, its name goes: nothing is
    /// left then, however this process ends.
    pub(crate) fn start(&mut self, machine: Machine) -> Result<Run> {
        let run = machine.start()?;
        self.name = None;
        Ok(run)
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
        self.file.read_exact_at(buffer, offset)?;
        Ok(())
    }
}

/// How a boot ended.
enum Ended {
    /// QEMU ended with this code, for this reason.
    Exit(Option<i32>, Option<String>),
    /// The purgatory stopped the machine.
    Stopped,
}

/// Waits until QEMU ends or the purgatory's own record says that it stopped.
fn watch(run: &mut Run, ram: &Ram, status: u64) -> Result<Ended> {
    loop {
        if let Some(exit) = run.wait_exit_for(LOOK)? {
            return Ok(Ended::Exit(exit.code, exit.reason));
        }
        match stopped(run, ram, status) {
            Ok(None) => (),
            Ok(Some(_)) => return Ok(Ended::Stopped),
            // QEMU may have ended just now, and its monitor with it.
            Err(error) => match run.wait_exit_for(AFTER)? {
                Some(exit) => return Ok(Ended::Exit(exit.code, exit.reason)),
                None => return Err(error),
            },
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
