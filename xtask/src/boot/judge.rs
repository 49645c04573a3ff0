// SPDX-License-Identifier: MIT OR Apache-2.0
//! Judges a boot that is over: how it ended, what was said where, what was
//! touched, and how long it took. Every one of them must be as the case says.

use anyhow::{Context as _, Result, bail, ensure};
use blob::get;
use blob::number::PAGE;
use blob::status::Record;
use purgatory::abi::Backend;
use purgatory::status::{Status, Verdict};
use purgatory_tests::cases::{Act, Case, Config, Console, Expect, Reset};
use purgatory_tests::plan::exit;

use super::case::{GARBAGE, Prepared};
use super::golden::Facts;
use super::space::page_up;
use super::trace::Trace;
use super::{Observed, golden, pixels};
use crate::machine::Machine;
use crate::vm::ram::Ram;
use crate::vm::run::Run;

/// All that is known of a boot.
pub(super) struct Judge<'a> {
    pub(super) case: &'a Case,
    pub(super) machine: &'a Machine,
    pub(super) run: &'a Run,
    pub(super) ram: &'a Ram,
    pub(super) prepared: &'a Prepared,
    pub(super) observed: &'a Observed,
    pub(super) trace: &'a Trace,
}

impl Judge<'_> {
    /// Judges everything.
    pub(super) fn judge(&self) -> Result<()> {
        let talk = self.run.text("talk")?;
        ensure!(
            talk.contains("harness: ready\n"),
            "the first kernel did not come as far as its jump"
        );
        // The payload leaves the purgatory's memory alone.
        let record: Record = self.ram.read(self.prepared.status)?;
        self.ending(Verdict::from_number(get!(record, Status.verdict)), &talk)?;
        self.backend(Backend::from_number(get!(record, Status.backend)), &talk)?;
        let nmis = get!(record, Status.nmis);
        let is_sent = |act: &Act| matches!(act, Act::Nmi);
        let sent = self
            .case
            .acts
            .iter()
            .filter(|(_, act)| is_sent(act))
            .count();
        ensure!(
            nmis == self.case.nmis + sent as u64,
            "{nmis} NMIs are on record, another number was sent"
        );
        let (suspects, wanted) = (get!(record, Status.suspects), self.case.suspects);
        ensure!(
            suspects == wanted,
            "backends {suspects:#b} were caught, not {wanted:#b}"
        );
        touched(self.machine, self.case, self.trace)?;
        if let Expect::Resets(_, by) = self.case.expect {
            self.reset(by)?;
        }
        self.divisor()?;
        self.voices()?;
        self.root()?;
        if self.case.says.contains("{ms}") {
            pace(&self.said(self.machine.debug_address))?;
        }
        self.time()
    }

    /// What the purgatory was told.
    const fn config(&self) -> &Config {
        self.case.acting(&self.machine.defaults)
    }

    fn ending(&self, verdict: Verdict, talk: &str) -> Result<()> {
        let ran = talk.contains("payload:");
        let exit = self.observed.ended.as_ref();
        let code = exit.and_then(|exit| exit.code);
        let reason = exit.and_then(|exit| exit.reason.as_deref());
        match (self.case.expect, code) {
            (Expect::Boots, None) if exit.is_none() => {
                bail!("the purgatory stopped: {}", verdict.words())
            }
            (Expect::Boots, Some(code)) => ensure!(
                code.cast_unsigned() == (self.machine.exit_code)(exit::PASSED)
                    && talk.ends_with("payload: all checks held\n"),
                "the second kernel found something wrong (exit code {code})"
            ),
            (Expect::Refuses(_) | Expect::Resets(..), _) if ran => {
                bail!("the second kernel ran; the purgatory should have refused")
            }
            (Expect::Resets(..), None) if exit.is_none() => bail!("the machine halted; no reset"),
            (Expect::Refuses(wanted), None) if exit.is_none() => {
                ensure!(verdict == wanted, "verdict {verdict:?}, not {wanted:?}");
            }
            (Expect::Resets(wanted, _), Some(0)) => {
                ensure!(reason == Some("guest-reset"), "QEMU ended for {reason:?}");
                ensure!(verdict == wanted, "verdict {verdict:?}, not {wanted:?}");
            }
            (_, code) => bail!("QEMU ended with code {code:?}, reason {reason:?}"),
        }
        Ok(())
    }

    /// Compares the backend on record with the case, and with the traces that it left.
    fn backend(&self, on_record: Option<Backend>, talk: &str) -> Result<()> {
        let case = self.case;
        let ran = on_record.map_or("none", Backend::name);
        ensure!(
            case.backend.is_empty() || case.backend == ran,
            "backend {ran} hashed, not {}",
            case.backend
        );
        if case.dirty && case.expect == Expect::Boots {
            let zeroed = (self.machine.zeroed)(on_record);
            ensure!(
                talk.contains(&format!("zeroed vector registers {zeroed:#x}\n")),
                "backend {ran} is on record, but the vector registers are not as it leaves them: \
                 those of mask {zeroed:#x} zero, the others as they were"
            );
        }
        Ok(())
    }

    /// Compares how the machine was reset, and when.
    fn reset(&self, by: Reset) -> Result<()> {
        let Trace {
            accesses,
            shut_down,
        } = self.trace;
        let (done, fired) = (self.machine.reset)(accesses, *shut_down)?;
        ensure!(done == by, "reset by {done:?}, not by {by:?}");
        let exception = self.case.expect.verdict() == Some(Verdict::Exception);
        let Some(seconds @ 1..) = self.config().reset_after(exception) else {
            return Ok(());
        };
        let announced = self.trace.written(self.machine.debug_address).last();
        let announced = announced.context("no announcement")?;
        let waited = fired.time - announced.time;
        ensure!(
            waited >= f64::from(seconds),
            "it waited {waited:.3} s instead of {seconds}"
        );
        Ok(())
    }

    /// Compares how a UART was set up.
    fn divisor(&self) -> Result<()> {
        let config = self.config();
        let (number, [low, high]) = (config.divisor, config.divisor.to_le_bytes());
        if number > 0 && config.consoles.contains(&Console::Ports) {
            let writes = self.trace.accesses.iter().filter(|access| access.write);
            let begun = writes.map(|access| (access.address, access.value)).take(4);
            let port = u64::from(config.port);
            ensure!(
                begun.eq([
                    (port + 3, 0x83),
                    (port, low),
                    (port + 1, high),
                    (port + 3, 0x03)
                ]),
                "the UART was not given divisor {number}"
            );
        }
        if number > 0 && config.consoles.contains(&Console::Memory) {
            let word = |register: u64| self.ram.word(config.memory + 4 * register);
            ensure!(
                word(1)? == u32::from(high) && word(3)? == 0x03,
                "the UART in memory was not given divisor {number}"
            );
        }
        Ok(())
    }

    /// Compares what every console carried, the silent ones too.
    fn voices(&self) -> Result<()> {
        let Self {
            case,
            run,
            observed,
            ..
        } = self;
        let heard = case.heard.unwrap_or(self.machine.defaults.consoles);
        let compare = |console: Console, name: &str, said: &str| {
            let golden = if heard.contains(&console) {
                case.says
            } else {
                ""
            };
            golden::compare(golden, &self.prepared.facts, said)
                .with_context(|| format!("on {name}"))
        };
        let port = u64::from(self.config().port);
        for &(number, name) in self.machine.serial {
            let said = run.text(name)?;
            if number == port {
                compare(Console::Ports, name, &unfold(&said)?)?;
            } else {
                ensure!(said.is_empty(), "{name} carried {said:?}");
            }
        }
        if self
            .machine
            .serial
            .iter()
            .all(|(number, _)| *number != port)
        {
            compare(Console::Ports, "that port", &unfold(&self.said(port))?)?;
        }
        // Nobody else speaks on it, or on a serial port nobody else meanwhile.
        let mut debug = run.text("debug")?;
        if self.machine.debug.is_none() {
            debug = unfold(&self.said(self.machine.debug_address))?;
        }
        compare(Console::Debug, "the debug console", &debug)?;
        let memory = unfold(&observed.memory)?;
        compare(Console::Memory, "the 8250 in memory", &memory)?;
        compare(Console::Screen, "the screen", &observed.screen)?;
        self.pixels(heard)?;
        self.zone(heard)
    }

    /// Holds a good path that is not to speak to the page tables that it found, and what
    /// is drawn to others.
    fn root(&self) -> Result<()> {
        let Self { case, machine, .. } = self;
        if !machine.has_root {
            return Ok(());
        }
        let root: [u8; PAGE as usize] = self.ram.read(self.prepared.stack_end)?;
        let is_used = root.iter().any(|byte| *byte != 0);
        let is_quiet = case.expect == Expect::Boots && case.says.is_empty();
        let is_drawn = case.screen.is_some() && case.expect != Expect::Boots;
        ensure!(!(is_used && is_quiet), "it made page tables of its own");
        ensure!(
            is_used || !is_drawn,
            "it drew without page tables of its own"
        );
        Ok(())
    }

    /// Compares what was drawn, which knows no capitals.
    fn pixels(&self, heard: &[Console]) -> Result<()> {
        let (Some(info), bytes) = (&self.case.screen, &self.observed.pixels) else {
            return Ok(());
        };
        let at = self.machine.memory.screen;
        let end = at + page_up(info.size());
        for guard in [at - PAGE, end] {
            let guard: [u8; PAGE as usize] = self.ram.read(guard)?;
            ensure!(
                guard.iter().all(|byte| *byte == GARBAGE),
                "it wrote beside the frame buffer"
            );
        }
        if !heard.contains(&Console::Framebuffer) {
            let mut word = at;
            while word < end {
                ensure!(
                    self.ram.word(word)?.to_ne_bytes() == [GARBAGE; 4],
                    "it drew on a screen that is none"
                );
                word += 64;
            }
            return Ok(());
        }
        let untouched = if info.base == at { GARBAGE } else { 0 };
        let said = pixels::read(info, bytes, untouched)?;
        golden::compare(&self.case.says.to_lowercase(), &self.prepared.facts, &said)
            .context("in the frame buffer")
    }

    /// Compares the zone of ramoops, header and all.
    fn zone(&self, heard: &[Console]) -> Result<()> {
        const HEAD: &str = "====0.0\n";
        let Some(before) = self.case.zone else {
            return Ok(());
        };
        let zone: [u8; PAGE as usize] = self.ram.read(self.machine.memory.zone)?;
        if !heard.contains(&Console::Ramoops) {
            let (same, rest) = zone.split_at(before.len());
            ensure!(
                same == before && rest.iter().all(|byte| *byte == 0),
                "it wrote into a zone that is none"
            );
            return Ok(());
        }
        let word = |at: usize| {
            zone[at..at + 4]
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | usize::from(*byte))
        };
        let room = self.config().ramoops.len as usize - 12;
        ensure!(
            zone[..4] == *b"DBGC" && word(4) == 0 && word(8) <= room,
            "the zone has another header"
        );
        let said = std::str::from_utf8(&zone[12..12 + word(8)])?;
        let said = said.strip_prefix(HEAD).context("the zone holds no dump")?;
        if word(8) == room {
            // It ended with the zone.
            let whole = "purgatory: verifying\n".to_owned() + &self.run.text("debug")?;
            ensure!(whole.starts_with(said), "the zone holds {said:?}");
            return Ok(());
        }
        // What is heard there only when all is well.
        let said = match self.case.expect {
            Expect::Boots => said,
            _ => said
                .strip_prefix("purgatory: verifying\n")
                .unwrap_or_default(),
        };
        golden::compare(self.case.says, &self.prepared.facts, said).context("in the zone")
    }

    /// What was written to an address, as text.
    fn said(&self, address: u64) -> String {
        let written = self.trace.written(address);
        written.map(|access| char::from(access.value)).collect()
    }

    fn time(&self) -> Result<()> {
        let mut accesses = self.trace.accesses.iter();
        let (Some(first), Some(last)) = (accesses.next(), accesses.next_back()) else {
            return Ok(());
        };
        let (took, limit) = (last.time - first.time, self.case.seconds);
        ensure!(
            took <= limit as f64,
            "it took {took:.1} s, more than {limit}"
        );
        Ok(())
    }
}

/// Holds the purgatory to the devices that it was given.
pub(super) fn touched(machine: &Machine, case: &Case, trace: &Trace) -> Result<()> {
    let allowed = (machine.devices)(case, case.acting(&machine.defaults));
    let mut accesses = trace.accesses.iter();
    let stray =
        accesses.find(|access| !allowed.iter().any(|range| range.contains(&access.address)));
    match stray {
        None => Ok(()),
        Some(access) => {
            bail!("it touched a device that is none of its business: {access:x?}")
        }
    }
}

/// Compares the figures of a verbose check with each other: a line a second
/// after the first two, each with more bytes than the one before, and the rate.
fn pace(said: &str) -> Result<()> {
    let numbers = |line: &str| -> Vec<u64> {
        line.split(' ')
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let lines: Vec<Vec<u64>> = said.lines().skip(1).map(numbers).collect();
    let Some(([bytes, milliseconds, rate], progress)) = lines
        .split_last()
        .and_then(|(last, progress)| Some((last.first_chunk()?, progress)))
    else {
        bail!("there is no line with bytes, time and rate");
    };
    // The purgatory knows the time in us, and cuts it off to say it in ms.
    let microseconds = milliseconds * 1000;
    let slowest = bytes / (microseconds + 999);
    let fastest = bytes.checked_div(microseconds).unwrap_or(u64::MAX);
    ensure!(
        (slowest..=fastest).contains(rate),
        "{bytes} bytes in {milliseconds} ms are not {rate} MB/s"
    );
    let seconds = milliseconds / 1000;
    ensure!(
        (seconds.saturating_sub(3)..=seconds.saturating_sub(1)).contains(&(progress.len() as u64)),
        "{} lines of progress in {milliseconds} ms",
        progress.len()
    );
    ensure!(
        progress.is_sorted_by(|one, next| one < next),
        "the progress goes backwards"
    );
    // A line after two seconds and one a second from there on; each as far as the rate of
    // the whole takes it, but for what the first blocks and a slow console cost.
    for (seconds, line) in (2..).zip(progress) {
        let (said, wanted) = (line.first().unwrap_or(&0) << 20, seconds * rate * 1_000_000);
        ensure!(
            (wanted * 3 / 4..=wanted * 5 / 4).contains(&said),
            "after {seconds} s {said} bytes were verified, at {rate} MB/s"
        );
    }
    Ok(())
}

/// Turns the line ends of a serial line into those of a text.
pub(super) fn unfold(said: &str) -> Result<String> {
    let text = said.replace("\r\n", "\n");
    ensure!(
        !text.contains('\r') && text.matches('\n').count() == said.matches("\r\n").count(),
        "a serial line ends its lines with a bare line feed or carriage return"
    );
    Ok(text)
}

/// The last line that a case says, to wait for.
pub(super) fn last_line(case: &Case, facts: &Facts) -> String {
    let ending = facts.get("ending").map_or("", String::as_str);
    let last = case.says.lines().last().unwrap_or_default();
    format!("{}\r\n", last.replace("{ending}", ending))
}

#[cfg(test)]
mod tests {
    use super::pace;

    #[test]
    fn a_rate_fits_its_time_to_the_microsecond() {
        let fits = |rate| {
            let said =
                "purgatory: verifying\npurgatory: verified 1339392 bytes with sha-ni in 9 ms";
            pace(&format!("{said}, {rate} MB/s\n")).is_ok()
        };
        assert!(fits(133) && fits(148));
        assert!(!fits(132) && !fits(149));
    }
}
