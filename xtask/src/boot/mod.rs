// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bare boots: the blob between two kernels of our own under QEMU, of which the
//! second checks what it is handed. The host plays the loader.

mod acts;
mod case;
pub(crate) mod count;
pub(crate) mod faults;
pub(crate) mod flips;
mod golden;
pub(crate) mod image;
mod judge;
mod pixels;
pub(crate) mod programs;
mod segments;
pub(crate) mod space;
mod trace;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use blob::get;
use blob::status::Record;
use purgatory::status::{Phase, Status, Verdict};
use purgatory_tests::cases::{self, Case, Console, Expect, Place};
use serde_json::json;

pub(crate) use case::prepare;

use crate::host::output;
use crate::machine::Machine;
use crate::vm::qemu::Qemu;
use crate::vm::ram::Ram;
use crate::vm::run::{Exit, Run};
use case::{BELOW_STACK, Prepared, STACK};
use programs::Programs;

/// How long a machine may take around the purgatory: firmware and the two test
/// kernels take about a second when it is idle.
const AROUND: u64 = 60;
/// From the end of a monitor to the end of its process, at most.
const AFTER: Duration = Duration::from_secs(5);
/// How often a silent guest is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// One boot of a case.
#[derive(Clone, Copy)]
pub(crate) struct Boot<'a> {
    pub(crate) case: &'a Case,
    /// The state in which the first kernel leaves the processor: a flag of the plan,
    /// and how the name of the boot ends.
    pub(crate) state: (u64, &'static str),
}

/// Every case of an architecture, in each state that it asks for.
pub(crate) fn all(machine: &'static Machine) -> impl Iterator<Item = Boot<'static>> {
    let cases = [cases::CASES]
        .into_iter()
        .chain(machine.cases.iter().copied());
    cases.flatten().flat_map(|case| {
        let count = if case.every_state {
            machine.states.len()
        } else {
            1
        };
        let states = machine.states.iter().take(count);
        states.map(move |&state| Boot { case, state })
    })
}

impl Boot<'_> {
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.case.name, self.state.1)
    }

    /// Says why it makes no sense on a machine.
    pub(crate) fn senseless(&self, machine: &Machine) -> Option<&'static str> {
        let ram = (machine.ram)(self.case.memory << 20);
        let is_ram = |at| ram.iter().any(|ram| (ram.start..ram.end()).contains(&at));
        match self.case.place {
            Place::At(start) if !is_ram(start) => Some("this machine has no RAM there"),
            Place::Below(end) if !is_ram(end - 1) => Some("this machine has no RAM there"),
            Place::Mapped(_) if machine.memory.mapped.is_none() => {
                Some("kernels leave this machine without address translation")
            }
            _ => None,
        }
    }

    /// How long it may take.
    pub(crate) const fn limit(&self) -> Duration {
        Duration::from_secs(AROUND + self.case.seconds)
    }

    /// Boots and judges; returns what the guests said.
    pub(crate) fn run(&self, programs: &Programs, limit: Duration) -> Result<String> {
        let case = self.case;
        let (image, prepared) = prepare(self, programs)?;
        let (mut qemu, mut ram, traced) = equipped(&self.name(), limit, programs, case)?;
        let machine = programs.machine;
        output::manifest(qemu.directory(), &prepared.manifest)?;
        image.write(&qemu.directory().join("image"))?;
        // A guest that somebody waits for must not run before he is there.
        let debugged = case.uart.is_some() || !case.acts.is_empty();
        if debugged {
            qemu = qemu.debuggable()?.args(["-S"]);
        }
        let mut run = ram.start(qemu)?;
        observe(case, machine, &mut run, &ram, &prepared, debugged)
            .and_then(|observed| {
                let trace = trace::Trace::read(&traced, machine.talk_address)?;
                let judge = judge::Judge {
                    case,
                    machine,
                    run: &run,
                    ram: &ram,
                    prepared: &prepared,
                    observed: &observed,
                    trace: &trace,
                };
                judge.judge()
            })
            .map_err(|error| run.failure(format!("{}: {error:#}", self.name())))?;
        let paint = if case.dirty { case::GARBAGE } else { 0 };
        DEEPEST.fetch_max(depth(&ram, prepared.stack_end, paint)?, Ordering::Relaxed);
        run.text("talk")
    }
}

/// The deepest stack that any boot of this process left traces of.
pub(crate) static DEEPEST: AtomicU64 = AtomicU64::new(0);

/// Says how deep the stack below `top` was in use. It is painted in dirty cases; zeros
/// that were pushed on zeros leave no trace in the others.
fn depth(ram: &Ram, top: u64, paint: u8) -> Result<u64> {
    let stack: [u8; STACK as usize] = ram.read(top - STACK)?;
    let canary = BELOW_STACK..BELOW_STACK + 8;
    let used = |at| !canary.contains(&at) && stack[at as usize] != paint;
    let lowest = (0..STACK).find(|at| used(*at)).unwrap_or(STACK);
    Ok(STACK - lowest)
}

/// Describes the machine of a case: everything that it says is heard, and every
/// device that it touches is on the trace.
fn equipped(
    name: &str,
    limit: Duration,
    programs: &Programs,
    case: &Case,
) -> Result<(Qemu, Ram, PathBuf)> {
    let (mut qemu, ram) = bare(name, limit, programs, case)?;
    let machine = programs.machine;
    for (_, channel) in machine.serial {
        qemu = qemu.serial(channel)?;
    }
    let traced = qemu.directory().join("devices.log");
    qemu = match machine.debug {
        Some(device) => qemu.device(device, "debug")?,
        None => qemu.serial("debug")?,
    };
    qemu = qemu.args(trace::arguments(&traced)).args(case.devices);
    Ok((qemu, ram, traced))
}

/// What was seen of a boot.
struct Observed {
    /// How QEMU ended, unless the purgatory stopped the machine.
    ended: Option<Exit>,
    /// What an 8250 in memory was told.
    memory: String,
    /// What stands on the screen.
    screen: String,
    /// The bytes of the frame buffer.
    pixels: Vec<u8>,
}

/// Runs the guest to its end, does to it what is to be done, and ends QEMU, so
/// that everything it ever said has arrived.
fn observe(
    case: &Case,
    machine: &Machine,
    run: &mut Run,
    ram: &Ram,
    prepared: &Prepared,
    debugged: bool,
) -> Result<Observed> {
    let heard = |console| case.heard.is_some_and(|heard| heard.contains(&console));
    let mut memory = String::new();
    let mut debugger = None;
    if debugged {
        let mut attached = acts::to_entry(run, prepared)?;
        acts::perform(run, &mut attached, prepared, case.acts)?;
        if heard(Console::Memory) {
            let last = judge::last_line(case, &prepared.facts);
            memory = acts::hear(&mut attached, machine, &last)?;
        }
        attached.resume()?;
        debugger = Some(attached);
    }
    // QEMU may hang when a monitor asks it something while it ends.
    let ended = if let Expect::Resets(..) = case.expect {
        Some(run.wait_exit()?)
    } else {
        watch(run, ram, prepared.status)?
    };
    let mut screen = String::new();
    let mut pixels = Vec::new();
    if ended.is_none() {
        if let Some(place) = machine.screen.filter(|_| heard(Console::Screen)) {
            screen = read_screen(run, place)?;
        }
        if let Some(info) = &case.screen {
            pixels = save(run, info.base, info.size())?;
        }
        run.monitor()?.execute("quit", json!({}))?;
        run.wait_exit()?;
    }
    drop(debugger);
    Ok(Observed {
        ended,
        memory,
        screen,
        pixels,
    })
}

/// Reads the text on a screen, which no file holds: a letter and its colour in turns.
fn read_screen(run: &mut Run, (at, columns, rows): (u64, usize, usize)) -> Result<String> {
    let cells = save(run, at, 2 * columns as u64 * rows as u64)?;
    let row = |row: &[u8]| {
        row.iter()
            .step_by(2)
            .map(|byte| char::from(*byte))
            .collect()
    };
    let mut rows: Vec<String> = cells.chunks(2 * columns).map(row).collect();
    while rows.pop_if(|row| row.trim_end().is_empty()).is_some() {}
    Ok(rows.iter().flat_map(|row| [row.trim_end(), "\n"]).collect())
}

/// Reads physical memory, that of devices, too.
fn save(run: &mut Run, at: u64, size: u64) -> Result<Vec<u8>> {
    let file = run.directory().join("saved");
    let arguments = json!({"val": at, "size": size, "filename": file});
    run.monitor()?.execute("pmemsave", arguments)?;
    Ok(fs::read(file)?)
}

/// Describes the machine that all boots share; `image` is in its directory.
pub(crate) fn bare(
    name: &str,
    limit: Duration,
    programs: &Programs,
    case: &Case,
) -> Result<(Qemu, Ram)> {
    let machine = programs.machine;
    let or = |given: &'static str, usual| if given.is_empty() { usual } else { given };
    let (kind, cpu) = (or(case.machine, machine.machine), or(case.cpu, machine.cpu));
    let qemu = Qemu::new(machine, name, limit)?;
    let image = qemu.directory().join("image");
    let ram = Ram::new(qemu.directory(), (machine.ram)(case.memory << 20))?;
    let qemu = qemu
        .args(["-machine", &format!("{kind},memory-backend=ram")])
        .args(["-object", &ram.backend("ram")])
        .args(["-cpu", cpu, "-m", &case.memory.to_string()])
        .args(["-device", &(machine.other)()])
        .args(["-kernel".as_ref(), programs.harness.as_os_str()])
        .args((machine.image)(&image.to_string_lossy()))
        .device(&(machine.talk)(), "talk")?;
    Ok((qemu, ram))
}

/// Waits until QEMU ends or the purgatory's own record says that it stopped.
fn watch(run: &mut Run, ram: &Ram, status: u64) -> Result<Option<Exit>> {
    loop {
        if let Some(exit) = run.wait_exit_for(LOOK)? {
            return Ok(Some(exit));
        }
        match stopped(run, ram, status) {
            Ok(None) => (),
            Ok(Some(_)) => return Ok(None),
            // QEMU may have ended just now, and its monitor with it.
            Err(error) => match run.wait_exit_for(AFTER)? {
                Some(exit) => return Ok(Some(exit)),
                None => return Err(error),
            },
        }
    }
}

/// Reads the purgatory's record; returns its verdict if it stopped the machine.
pub(crate) fn stopped(run: &mut Run, ram: &Ram, status: u64) -> Result<Option<Verdict>> {
    let record: Record = ram.read(status)?;
    let ended = [Phase::Refused.number(), Phase::Faulted.number()];
    if get!(record, Status.magic).to_ne_bytes() != Status::MAGIC
        || !ended.contains(&get!(record, Status.phase))
        || !run.is_halted()?
    {
        return Ok(None);
    }
    let verdict = get!(record, Status.verdict);
    Ok(Some(Verdict::from_number(verdict)))
}
