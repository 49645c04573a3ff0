// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes one bit of what was loaded, from outside, and watches the refusal.
//!
//! The kernel itself says where it loaded the purgatory; everything else is
//! read from the guest's memory. A crash image is changed where it lies, before
//! the panic; a normal one at the purgatory's first instruction, since the
//! kernel copies it there last. A refusal counts only if the processor has come
//! to rest inside the purgatory, and ours has said so on the console.
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::scenario::{CONSOLE, FIRST_LINES, First, Way, trouble, wait_loaded};
use super::segments;
use crate::host::output;
use crate::machine::Machine;
use crate::vm::channel::Wait;
use crate::vm::gdb::Debugger;
use crate::vm::run::Run;
use blob::load::{Loaded, Series};

/// What makes kernels before 6.8 say where they load; later ones are asked by
/// a flag of the system call.
const TALK: &str = " ignore_loglevel dyndbg=\"file kexec-bzimage64.c +p\"";

/// How our own purgatory begins its report.
pub(super) const WORDS: &str = "purgatory: refused: ";
/// How a report ends by default.
const LAST_WORDS: &str = "purgatory: halted";

/// How long a purgatory may take to hash and to refuse.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the guest is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// Where the bit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// In the middle of the largest verified segment.
    Segment,
    /// In the expected digest.
    Digest,
    /// In the start of the largest segment's entry.
    Table,
    /// In the register image: an instruction pointer far from any memory.
    Registers,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Segment => "segment",
            Self::Digest => "digest",
            Self::Table => "table",
            Self::Registers => "registers",
        })
    }
}

/// What became of the guest.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// At rest inside the purgatory, at this offset.
    Refused(u64),
    /// At rest elsewhere.
    Stopped(u64),
    /// The second kernel said its first line.
    Started,
    /// QEMU ended: a reset, since nobody switched off.
    Reset,
    /// Nothing of all this; the processor was last seen here.
    Lost(u64),
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(offset) => write!(formatter, "refused, at rest at purgatory+{offset:#x}"),
            Self::Stopped(rip) => write!(formatter, "at rest at {rip:#x}, outside the purgatory"),
            Self::Started => write!(formatter, "the second kernel started"),
            Self::Reset => write!(formatter, "the machine was reset"),
            Self::Lost(rip) => {
                let seconds = PATIENCE.as_secs();
                write!(formatter, "still running after {seconds} s, at {rip:#x}")
            }
        }
    }
}

/// Runs the scenario; returns what was observed.
pub(super) fn run(name: &str, first: &First, way: Way, target: Target) -> Result<String> {
    let more = format!(" {}=1{TALK}", linux_init::HOLD);
    let mut run = first.qemu(name, way, &more)?.debuggable()?.start()?;
    wait_loaded(&mut run)?;
    let result = observe(&mut run, first, way, target);
    result.map_err(|error| run.failure(format!("{error:#}")))
}

fn observe(run: &mut Run, first: &First, way: Way, target: Target) -> Result<String> {
    let guest = Victim::find(run, first)?;
    let mut debugger = run.debugger()?;
    debugger.physical(true)?;
    if way == Way::Normal {
        let entry = guest.loaded.entry;
        debugger.set_breakpoint(entry)?;
        debugger.resume()?;
        run.send(CONSOLE, linux_init::GO)?;
        debugger.wait_stop()?;
        ensure!(debugger.pc()? == entry, "stopped, but not at {entry:#x}");
        debugger.clear_breakpoint(entry)?;
    }
    let manifest = segments::manifest(&guest.loaded, &mut debugger, run.monitor()?)?;
    output::manifest(run.directory(), &manifest)?;
    let what = guest.flip(&mut debugger, target)?;
    debugger.resume()?;
    if way == Way::Crash {
        run.send(CONSOLE, linux_init::GO)?;
    }
    let end = guest.watch(run, &mut debugger)?;

    // The load was loud on purpose: only what follows it can be trouble.
    let text = run.text(CONSOLE)?;
    let (_, rest) = text.split_once(linux_init::LOADED).unwrap_or_default();
    if let Some(line) = trouble(rest).next() {
        bail!("the console shows: {line}");
    }
    match end {
        End::Refused(_) => {
            let said = rest.lines().find(|line| line.starts_with(WORDS));
            // A purgatory without a record is not ours, and may be silent.
            let silent = guest.is_foreign();
            ensure!(said.is_some() || silent, "{what}: {end}, without a word");
            ensure!(
                rest.contains(LAST_WORDS) || silent,
                "{what}: {end}, the report is cut off"
            );
            Ok(format!("{what}: {end}, {}", said.unwrap_or("silent")))
        }
        // The stock purgatory does not look at them: what follows is recorded, not judged.
        _ if target == Target::Registers && guest.is_foreign() => Ok(format!("{what}: {end}")),
        _ => bail!("{what}: not refused: {end}"),
    }
}

/// Reads the load address off the kernel's debug output.
pub(super) fn load_address(console: &str) -> Result<u64> {
    let text = console.split("Loaded purgatory at 0x").nth(1);
    let text = text.context("this kernel does not say where it loads its purgatory")?;
    let end = text
        .find(|character: char| !character.is_ascii_hexdigit())
        .unwrap_or(text.len());
    u64::from_str_radix(&text[..end], 16).context("the load address of the purgatory")
}

/// A guest, by its loaded purgatory.
pub(super) struct Victim<'a> {
    pub(super) loaded: Loaded<'a>,
    pub(super) machine: &'static Machine,
}

impl<'a> Victim<'a> {
    /// Finds what the kernel says that it loaded.
    pub(super) fn find(run: &Run, first: &'a First) -> Result<Self> {
        let base = load_address(&run.text(CONSOLE)?)?;
        Ok(Self {
            // For the symbols: their places are the same in every kernel.
            loaded: Loaded::place(&first.blob, base, Series::V6_12)?,
            machine: first.machine,
        })
    }
}

impl Victim<'_> {
    /// Tells whether the purgatory is somebody else's.
    fn is_foreign(&self) -> bool {
        self.loaded.symbol_address("purgatory_status").is_err()
    }

    /// Counts the bits of the register image whose change our purgatory does not see:
    /// those of entry and parameters that still lead into a region, and all others.
    fn escapes(&self, debugger: &mut Debugger, regions: &[[u64; 2]]) -> Result<String> {
        let known = &self.loaded.file.arch.registers;
        let image = self.loaded.symbol_address(known.symbol)?;
        let image = segments::words(&debugger.read(image, known.size() as usize)?);
        let inside = |address: u64| {
            let holds = |[start, length]: &[u64; 2]| address.wrapping_sub(*start) < *length;
            regions.iter().any(holds)
        };
        let kept = |name: &str, or_zero: bool| {
            let value = image[known.index(name)];
            let escapes = |bit: &u32| {
                let value = value ^ 1 << bit;
                inside(value) || or_zero && value == 0
            };
            (0..64).filter(escapes).count()
        };
        let looked_at = [(known.entry, false)].into_iter();
        let looked_at = looked_at.chain(known.parameters.map(|name| (name, true)));
        let counts: Vec<_> = looked_at
            .map(|(name, or_zero)| (name, kept(name, or_zero)))
            .collect();
        let others = 64 * (known.names.len() - counts.len());
        let total: usize = counts.iter().map(|(_, count)| count).sum();
        let each = counts
            .iter()
            .map(|(name, count)| format!("{name} {count}, "));
        Ok(format!(
            "of {} flips {} escape: {}the others {others}",
            64 * known.names.len(),
            total + others,
            each.collect::<String>()
        ))
    }

    /// Flips the bit and says which.
    pub(super) fn flip(&self, debugger: &mut Debugger, target: Target) -> Result<String> {
        let table = self.loaded.symbol_address("purgatory_sha_regions")?;
        let bytes = debugger.read(table, 256)?;
        let words = segments::words(&bytes);
        let (regions, _) = words.as_chunks::<2>();
        let largest = regions
            .iter()
            .enumerate()
            .max_by_key(|(_, [_, length])| *length);
        let (index, [start, length]) = largest.context("an empty table")?;
        ensure!(
            *length > 0,
            "the purgatory at {:#x} has an empty table",
            self.loaded.mem
        );
        let (address, bit) = match target {
            Target::Segment => (start + length / 2, 5),
            Target::Digest => (self.loaded.symbol_address("purgatory_sha256_digest")?, 0),
            // The region begins a page earlier or later, where there is memory, too.
            Target::Table => (table + 16 * index as u64, 12),
            // Bit 40 is beyond all memory.
            Target::Registers => {
                let registers = &self.loaded.file.arch.registers;
                let image = self.loaded.symbol_address(registers.symbol)?;
                (image + 8 * registers.index(registers.entry) as u64, 40)
            }
        };
        let escapes = match target {
            Target::Registers if !self.is_foreign() => {
                format!(" ({})", self.escapes(debugger, regions)?)
            }
            _ => String::new(),
        };
        debugger.flip(address, bit)?;
        Ok(format!("{target} at {address:#x}{escapes}"))
    }

    /// Returns where the processor is if it has come to rest there.
    ///
    /// The guest maps all memory one to one by then; before that, its own kernel
    /// runs at addresses where there is no physical memory to read.
    fn rest(&self, debugger: &mut Debugger, pc: u64) -> Option<u64> {
        let code = debugger.read(pc.checked_sub(4)?, 6).ok()?;
        (self.machine.is_at_rest)(code.try_into().ok()?).then_some(pc)
    }

    /// Looks at the guest again and again until its end is clear.
    fn watch(&self, run: &mut Run, debugger: &mut Debugger) -> Result<End> {
        let deadline = Instant::now() + PATIENCE;
        let mut rested = None;
        loop {
            match run.listen(CONSOLE, &FIRST_LINES, Instant::now() + GLANCE)? {
                Wait::Found(..) => return Ok(End::Started),
                Wait::Closed => return Ok(End::Reset),
                Wait::TimedOut => {}
            }
            let rip = match look(debugger) {
                Ok(rip) => rip,
                // The guest may have ended since it was last heard.
                Err(error) => match run.listen(CONSOLE, &[], deadline)? {
                    Wait::Closed => return Ok(End::Reset),
                    _ => return Err(error),
                },
            };
            let rest = self.rest(debugger, rip);
            // Twice, so that a halt on the way through is no end.
            if rest.is_some() && rest == rested {
                let inside = (self.loaded.mem..self.loaded.mem + self.loaded.memsz).contains(&rip);
                return Ok(if inside {
                    End::Refused(rip - self.loaded.mem)
                } else {
                    End::Stopped(rip)
                });
            }
            if Instant::now() > deadline {
                return Ok(End::Lost(rip));
            }
            rested = rest;
            debugger.resume()?;
        }
    }
}

/// Stops the guest and returns where it was.
fn look(debugger: &mut Debugger) -> Result<u64> {
    debugger.interrupt()?;
    debugger.pc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_load_address_of_either_generation() -> Result<()> {
        let old = "[    4.2] kexec-bzImage64: Loaded purgatory at 0x3affb000\n[    4.3] x";
        let new = "[    4.2] kexec-bzImage64: Loaded purgatory at 0x17f7affd000";
        assert_eq!(load_address(old)?, 0x3aff_b000);
        assert_eq!(load_address(new)?, 0x17f_7aff_d000);
        let error = load_address("init: loaded").unwrap_err().to_string();
        assert!(error.contains("does not say where"), "{error}");
        Ok(())
    }
}
