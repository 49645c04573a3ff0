// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fixed cost: instructions between entry and jump, counted by QEMU.
//!
//! With an empty table the debugger steps through every one of them. Sixteen
//! pages are too many to step through: there, `-icount shift=0` makes the
//! time-stamp counter count instructions, and the blob's own record says how
//! many its check took. Both are exact and the same on every machine, and none
//! says anything about time.

use std::mem::offset_of;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use purgatory::abi::Backend;
use purgatory::status::Status;
use purgatory_tests::cases::{Case, INTACT, Regions};
use sha2::{Digest as _, Sha256};

use blob::load::{Loaded, Series};
use blob::number::PAGE;

use crate::boot::programs::Programs;
use crate::boot::{Boot, bare, prepare};
use crate::vm::gdb::Debugger;
use crate::vm::ram::Ram;
use crate::vm::run::Run;

/// How long one count may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Where pages lie that nobody else uses.
const PAGES: u64 = 0x0600_0000;
const BYTES: u64 = 16 * PAGE;

/// Processors of QEMU, one for each backend that one selects.
const PROCESSORS: [&str; 2] = ["max", "max,-sha-ni"];

/// What one processor executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) cpu: &'static str,
    pub(super) backend: Backend,
    /// Of the entry code, which sums up the blob itself; a repeated instruction is one.
    pub(super) entry: u64,
    /// Of all the rest, with an empty table.
    pub(super) empty: u64,
    /// Of both, each iteration of a repeated instruction counted.
    pub(super) iterations: u64,
    /// As `empty`, with sixteen pages to verify.
    pub(super) pages: u64,
}

impl Cost {
    /// Returns what a byte costs beyond the fixed cost.
    pub(super) fn per_byte(&self) -> f64 {
        (self.pages - self.empty) as f64 / BYTES as f64
    }
}

/// Counts on every processor.
pub(super) fn count(programs: &Programs) -> Result<Vec<Cost>> {
    PROCESSORS
        .into_iter()
        .map(|cpu| {
            count_on(cpu, programs).with_context(|| format!("counting instructions on {cpu}"))
        })
        .collect()
}

fn count_on(cpu: &'static str, programs: &Programs) -> Result<Cost> {
    let (entry, empty, iterations) = Stepped::start(cpu, programs, &[])?.step_through()?;
    let clocked = Stepped::start(cpu, programs, &["-icount", "shift=0"])?.run_through()?;
    let mut guest = Stepped::start(cpu, programs, &["-icount", "shift=0"])?;
    guest.describe_pages()?;
    let with_pages = guest.run_through()?;
    Ok(Cost {
        cpu,
        backend: with_pages.backend,
        entry,
        empty,
        iterations,
        pages: empty + with_pages.check - clocked.check,
    })
}

/// What the blob's own record says.
struct Clocked {
    backend: Backend,
    /// Ticks of the check.
    check: u64,
}

/// A guest that is about to execute the first instruction of the purgatory.
struct Stepped<'a> {
    debugger: Debugger,
    loaded: Loaded<'a>,
    next: u64,
    parameters: u64,
    // Ends QEMU, then its memory.
    _run: Run,
    _ram: Ram,
}

impl<'a> Stepped<'a> {
    fn start(cpu: &'static str, programs: &'a Programs, arguments: &[&str]) -> Result<Self> {
        let case = Case {
            regions: Regions::Empty,
            cpu,
            ..INTACT
        };
        let boot = Boot {
            case: &case,
            state: programs.machine.states[0],
        };
        let (image, _) = prepare(&boot, programs)?;
        let plan = image.plan;
        let (qemu, mut ram) = bare("bench", LIMIT, programs, &case)?;
        image.write(&qemu.directory().join("image"))?;
        let run = ram.start(qemu.debuggable()?.args(["-S"]).args(arguments))?;
        let loaded = Loaded::place(&programs.blob, plan.purgatory.start, Series::V7_2)?;
        let (registers, machine) = (&loaded.file.arch.registers, programs.machine);
        let mut guest = Self {
            debugger: run.debugger()?,
            next: plan.registers[registers.index(registers.entry)],
            parameters: plan.registers[machine.register(registers.names, machine.parameters)],
            loaded,
            _run: run,
            _ram: ram,
        };
        guest.run_to(plan.entry)?;
        Ok(guest)
    }

    fn run_to(&mut self, address: u64) -> Result<()> {
        self.debugger.set_breakpoint(address)?;
        self.debugger.resume()?;
        self.debugger.wait_stop()?;
        let rip = self.debugger.pc()?;
        ensure!(
            rip == address,
            "the guest stopped at {rip:#x}, not {address:#x}"
        );
        self.debugger.clear_breakpoint(address)
    }

    /// Describes the pages and their digest to the blob, as a loader does: the
    /// one that it jumps to, the one that it hands over, and fourteen more.
    fn describe_pages(&mut self) -> Result<()> {
        let led_to = [self.next, self.parameters].map(|address| address & !(PAGE - 1));
        let more = (0..14).map(|page| PAGES + page * PAGE);
        let mut table = Vec::new();
        let mut digest = Sha256::new();
        for page in led_to.into_iter().chain(more) {
            table.extend([page, PAGE].into_iter().flat_map(u64::to_le_bytes));
            digest.update(self.debugger.read(page, PAGE as usize)?);
        }
        let regions = self.loaded.symbol_address("purgatory_sha_regions")?;
        self.debugger.write(regions, &table)?;
        let expected = self.loaded.symbol_address("purgatory_sha256_digest")?;
        self.debugger.write(expected, &digest.finalize())
    }

    /// Steps into the next kernel; returns the instructions of the entry code, those of
    /// all the rest, and the iterations of both.
    fn step_through(mut self) -> Result<(u64, u64, u64)> {
        let (mut entry, mut rest, mut iterations) = (0, 0, 0);
        let mut rip = self.debugger.pc()?;
        let own = rip..rip + self.loaded.symbol_size("purgatory_start")?.unwrap_or(0);
        while rip != self.next {
            self.debugger.step()?;
            let now = self.debugger.pc()?;
            iterations += 1;
            // No instruction of the blob jumps to itself.
            if now != rip {
                *(if own.contains(&rip) {
                    &mut entry
                } else {
                    &mut rest
                }) += 1;
            }
            rip = now;
        }
        Ok((entry, rest, iterations))
    }

    fn run_through(mut self) -> Result<Clocked> {
        self.run_to(self.next)?;
        let status = self.loaded.symbol_address("purgatory_status")?;
        let mut word = |offset: usize| {
            let bytes = self.debugger.read(status + offset as u64, 8)?;
            let bytes = bytes.first_chunk().context("a short read")?;
            anyhow::Ok(u64::from_le_bytes(*bytes))
        };
        let number = word(offset_of!(Status, backend))? as u32;
        Ok(Clocked {
            backend: Backend::from_number(number).context("no backend ran")?,
            check: word(offset_of!(Status, cycles))?,
        })
    }
}
