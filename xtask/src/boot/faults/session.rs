// SPDX-License-Identifier: MIT OR Apache-2.0
//! One boot under a debugger, and its verdict.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use blob::check::Listed;
use blob::get;
use blob::status::Record;
use purgatory::abi::{Backend, Config};
use purgatory::status::{Phase, Status};
use purgatory_tests::arch::x86_64::exit_code;
use purgatory_tests::cases::{Expect, Reset, Verdict};
use purgatory_tests::plan::exit;
use serde_json::json;

use super::exception::{Gate, INVALID_OPCODE, MACHINE_CHECK, VIRTUALIZATION, enter};
use super::exempt::Cost;
use super::plan::{Boot, Executed};
use super::scenario::Scenario;
use crate::boot::case::Prepared;
use crate::boot::programs::Programs;
use crate::boot::trace::Trace;
use crate::boot::{LOOK, acts, equipped, golden, judge, stopped};
use crate::vm::gdb::{Debugger, Now, Register, Watch};
use crate::vm::ram::Ram;
use crate::vm::run::{Exit, Run};

/// How long a boot may take.
const LIMIT: Duration = Duration::from_secs(120);
/// What faults so often is executed for ever.
const FOR_EVER: u32 = 64;

/// All that boots of one scenario share.
pub(super) struct Stage<'a> {
    pub(super) scenario: &'static Scenario,
    pub(super) prepared: Prepared,
    pub(super) image: PathBuf,
    pub(super) programs: &'a Programs,
    pub(super) list: &'a [Listed],
}

impl Stage<'_> {
    /// Boots without a fault; returns what was executed.
    pub(super) fn watch(&self) -> Result<Executed> {
        let name = format!("fault-{}", self.scenario.name);
        let (mut session, trace) = self.start(&name)?;
        let mut executed = Executed::new();
        let ended = session.watch(self, &mut executed);
        self.end(session, &trace, ended, None)?;
        Ok(executed)
    }

    /// Boots with a fault.
    pub(super) fn boot(&self, boot: &Boot) -> Result<()> {
        let (mut session, trace) = self.start(&boot.name(self.list))?;
        let ended = session.fault(self, boot);
        self.end(session, &trace, ended, Some(boot))
    }

    /// Starts a guest and stops it where its scenario leaves it to itself.
    fn start(&self, name: &str) -> Result<(Session, PathBuf)> {
        let Scenario { case, .. } = self.scenario;
        let (machine, mut ram, trace) = equipped(name, LIMIT, self.programs, case)?;
        let image = machine.directory().join("image");
        match fs::remove_file(&image) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => fs::hard_link(&self.image, image)?,
        }
        let mut run = ram.start(machine.debuggable()?.args(["-S"]))?;
        let debugger = acts::to_entry(&run, &self.prepared).and_then(|mut debugger| {
            acts::perform(&mut run, &mut debugger, &self.prepared, case.acts)?;
            Ok(debugger)
        });
        match debugger {
            Ok(debugger) => Ok((Session { run, ram, debugger }, trace)),
            Err(error) => Err(run.failure(format!("{error:#}"))),
        }
    }

    /// Judges a boot; one that is as it should be leaves nothing behind.
    fn end(
        &self,
        session: Session,
        trace: &Path,
        ended: Result<Option<Exit>>,
        boot: Option<&Boot>,
    ) -> Result<()> {
        ended
            .and_then(|ended| self.judge(&session, trace, ended.as_ref(), boot))
            .map_err(|error| session.run.failure(format!("{error:#}")))?;
        let directory = session.run.directory().to_owned();
        drop(session);
        fs::remove_dir_all(directory)?;
        Ok(())
    }

    fn address(&self, instruction: usize) -> u64 {
        self.prepared.entry + self.list[instruction].offset
    }

    /// Compares what came of a boot with what its scenario wants, and with what the
    /// fault may cost.
    fn judge(
        &self,
        session: &Session,
        trace: &Path,
        ended: Option<&Exit>,
        boot: Option<&Boot>,
    ) -> Result<()> {
        let Session { run, ram, .. } = session;
        let machine = self.programs.machine;
        let record: Record = ram.read(self.prepared.status)?;
        let talk = run.text("talk")?;
        let trace = Trace::read(trace, machine.talk_address)?;
        let verdict = Verdict::from_number(get!(record, Status.verdict));
        let cost = boot.and_then(|boot| boot.cost);
        let mut case = self.scenario.case;
        let report = boot.filter(|boot| boot.vector == MACHINE_CHECK || cost == Some(Cost::Report));
        if report.is_some() {
            case.expect = Expect::Resets(Verdict::Exception, Reset::Chipset);
        }
        let code = ended.and_then(|exit| exit.code);
        let reason = ended.and_then(|exit| exit.reason.as_deref());
        match (case.expect, code) {
            (Expect::Boots, Some(code)) => found(&talk, code, cost)?,
            (Expect::Refuses(wanted), None) if ended.is_none() && verdict == wanted => (),
            (Expect::Resets(wanted, _), Some(0))
                if verdict == wanted && reason == Some("guest-reset") => {}
            (wanted, _) => bail!(
                "it ended in {} with verdict {verdict:?}, not as in {wanted:?}",
                ended.map_or_else(|| "a halt".to_owned(), |exit| format!("{exit:?}"))
            ),
        }
        ensure!(
            case.expect == Expect::Boots || !talk.contains("payload:"),
            "the second kernel ran"
        );
        if let Some(boot) = report {
            let cause = get!(record, Status.cause);
            let at = get!(record, Status.at);
            ensure!(
                cause == u64::from(boot.vector) && at == self.address(boot.instruction),
                "exception {cause} at {at:#x} is on record"
            );
        }
        // Three exceptions are the last way to a reset, and no other's.
        let resets = boot.is_some_and(|boot| {
            self.list[boot.instruction]
                .function
                .contains("machine::reset")
        });
        ensure!(!trace.shut_down || resets, "the CPU shut down");

        let doubted = Backend::from_number(get!(record, Status.doubted));
        let overruled = doubted.filter(|_| case.expect == Expect::Boots);
        let mut says = self.scenario.says.clone();
        if let Some(backend) = overruled {
            let name = backend.name();
            says = vec![format!(
                "purgatory: verified, by portable code only\n  {name} ended in an exception\n"
            )];
            // It speaks then.
            if let Some(config) = &mut case.config {
                config.verbose = true;
            }
        }
        judge::touched(machine, &case, &trace)?;
        let heard = [judge::unfold(&run.text("com1")?)?, run.text("debug")?];
        match report {
            Some(boot) => {
                // What comes when the report begins is reported instead.
                let vector = boot.then.unwrap_or(boot.vector);
                let begin = format!("purgatory: exception {vector} ");
                ensure!(
                    heard.iter().any(|said| said.starts_with(&begin)),
                    "no console carries a report of it"
                );
                Ok(())
            }
            None => self.heard(&says, &heard),
        }
    }

    /// Compares what consoles carried with what they may: all of it on one at least.
    fn heard(&self, says: &[String], heard: &[String]) -> Result<()> {
        let facts = &self.prepared.facts;
        let mut wrong = None;
        for golden in says {
            for said in heard {
                match golden::compare(golden, facts, said) {
                    Ok(()) if !golden.is_empty() => return Ok(()),
                    Ok(()) => (),
                    Err(error) => wrong = wrong.or(Some(error)),
                }
            }
        }
        wrong.map_or(Ok(()), Err)
    }
}

/// Judges what the second kernel found.
fn found(talk: &str, code: i32, cost: Option<Cost>) -> Result<()> {
    let mut value = exit::PASSED;
    for line in talk.lines().filter_map(|line| line.strip_prefix("FAIL ")) {
        value = exit::FAILED;
        let allowed = matches!(cost, Some(Cost::Found(begin)) if line.starts_with(begin));
        ensure!(allowed, "the second kernel found {line}");
    }
    ensure!(
        talk.contains("payload: running\n") && code.cast_unsigned() == exit_code(value),
        "the second kernel did not come to its end (exit code {code})"
    );
    Ok(())
}

/// A guest and its debugger.
struct Session {
    run: Run,
    ram: Ram,
    debugger: Debugger,
}

impl Session {
    /// Returns the phase on record, 0 if there is none.
    fn moment(&self, stage: &Stage<'_>) -> Result<u32> {
        let number = self
            .ram
            .word(stage.prepared.status + offset_of!(Status, phase) as u64)?;
        let known = Phase::ALL.iter().any(|phase| phase.number() == number);
        Ok(if known { number } else { 0 })
    }

    /// Where a phase is put on record (virtual).
    const fn phase(stage: &Stage<'_>) -> u64 {
        stage.prepared.status + offset_of!(Status, phase) as u64
    }

    /// Runs to the end, and notes which instructions are executed in which phase.
    fn watch(&mut self, stage: &Stage<'_>, executed: &mut Executed) -> Result<Option<Exit>> {
        let mut planted = BTreeSet::new();
        let mut moment = self.moment(stage)?;
        self.plant(stage, &mut planted)?;
        self.debugger
            .set_watchpoint(Watch::Write, Self::phase(stage))?;
        self.drive(stage, |session| {
            let now = session.moment(stage)?;
            if now != moment {
                moment = now;
                session.plant(stage, &mut planted)?;
            }
            let rip = session.debugger.pc()?;
            let found = planted.iter().find(|index| stage.address(**index) == rip);
            if let Some(&index) = found {
                planted.remove(&index);
                session.debugger.clear_breakpoint(rip)?;
                let ours = session.is_caught(stage)?;
                executed.insert((index, moment), ours);
            }
            Ok(true)
        })
    }

    /// Puts a breakpoint on each instruction that has none.
    fn plant(&mut self, stage: &Stage<'_>, planted: &mut BTreeSet<usize>) -> Result<()> {
        for index in 0..stage.list.len() {
            if planted.insert(index) {
                self.debugger.set_breakpoint(stage.address(index))?;
            }
        }
        Ok(())
    }

    /// Tells whether an exception would come to us.
    fn is_caught(&mut self, stage: &Stage<'_>) -> Result<bool> {
        let gate = Gate::find(&mut self.run, &mut self.debugger, INVALID_OPCODE)?;
        let ours = stage.prepared.entry..stage.prepared.status;
        Ok(gate.is_some_and(|gate| ours.contains(&gate.handler)))
    }

    /// Runs to the end, with a fault.
    ///
    /// As the TDX module does, it wants to be asked about a #VE before the next one.
    fn fault(&mut self, stage: &Stage<'_>, boot: &Boot) -> Result<Option<Exit>> {
        while self.moment(stage)? != boot.moment {
            self.debugger
                .set_watchpoint(Watch::Write, Self::phase(stage))?;
            self.debugger.resume()?;
            self.debugger.wait_stop().context("waiting for its phase")?;
            self.debugger
                .clear_watchpoint(Watch::Write, Self::phase(stage))?;
        }
        let at = stage.address(boot.instruction);
        let halts = stage.list[boot.instruction].kind == "halt";
        let asks = stage.list.iter().find(|listed| listed.name == "tdcall");
        let asks = asks
            .filter(|_| boot.vector == VIRTUALIZATION)
            .map(|listed| (stage.prepared.entry + listed.offset, listed.length));
        let consoles = stage.prepared.config + offset_of!(Config, consoles) as u64;
        let mut then = boot.then;
        let (mut faults, mut untold) = (0, false);
        self.debugger.set_breakpoint(at)?;
        if let Some((at, _)) = asks {
            self.debugger.set_breakpoint(at)?;
        }
        let ended = self.drive(stage, |Self { run, debugger, .. }| {
            let rip = debugger.pc()?;
            if rip == at {
                faults += 1;
                if faults > FOR_EVER {
                    ensure!(halts, "it is executed again and again");
                    return Ok(false);
                }
                ensure!(
                    !untold,
                    "a #VE came before the last one was asked about: it is a #DF"
                );
                untold = boot.vector == VIRTUALIZATION;
                enter(run, debugger, boot.vector, boot.flags)?;
                if boot.vector == MACHINE_CHECK {
                    debugger.clear_breakpoint(at)?;
                }
                if then.is_some() {
                    debugger.set_watchpoint(Watch::Read, consoles)?;
                }
            } else if let Some((_, length)) = asks.filter(|(at, _)| *at == rip) {
                tell(debugger, rip + length)?;
                untold = false;
            } else if let Some(vector) = then.take() {
                debugger.clear_watchpoint(Watch::Read, consoles)?;
                enter(run, debugger, vector, 0)?;
            } else {
                bail!("it stopped at {rip:#x}");
            }
            Ok(true)
        })?;
        ensure!(faults > 0, "the instruction was not executed");
        ensure!(!untold, "nobody asked about the last #VE");
        ensure!(then.is_none(), "there was no report");
        Ok(ended)
    }

    /// Lets the guest run until it ends, halts, or `stop` has enough; calls that
    /// whenever it stops. QEMU is gone then, and all that was said has arrived.
    fn drive(
        &mut self,
        stage: &Stage<'_>,
        mut stop: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<Option<Exit>> {
        loop {
            self.debugger.resume()?;
            let ended = loop {
                match self.debugger.wait_for(LOOK)? {
                    Now::Stopped => break None,
                    Now::Ended => break Some(self.run.wait_exit()?),
                    Now::Runs => (),
                }
                // QEMU may hang when a monitor asks it something while it ends.
                let halts = matches!(stage.scenario.case.expect, Expect::Refuses(_));
                if halts && stopped(&mut self.run, &self.ram, stage.prepared.status)?.is_some() {
                    return self.quit();
                }
            };
            if ended.is_some() {
                return Ok(ended);
            }
            if !stop(self)? {
                return self.quit();
            }
        }
    }

    fn quit(&mut self) -> Result<Option<Exit>> {
        self.run.monitor()?.execute("quit", json!({}))?;
        self.run.wait_exit()?;
        Ok(None)
    }
}

/// Answers TDG.VP.VEINFO.GET as the TDX module does: the call succeeds, and the
/// registers that it changes hold nothing of the caller's any more.
fn tell(debugger: &mut Debugger, next: u64) -> Result<()> {
    const LEAF: u64 = 3;
    let leaf = debugger.register(Register::Rax)?;
    ensure!(leaf == LEAF, "TDCALL {leaf:#x} is not about #VE");
    debugger.set_register(Register::Rax, 0)?;
    for register in [
        Register::Rcx,
        Register::Rdx,
        Register::R8,
        Register::R9,
        Register::R10,
        Register::R11,
    ] {
        debugger.set_register(register, 0x5eed_0bad_5eed_0bad)?;
    }
    debugger.set_pc(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_costs_what_it_may_and_no_more() {
        let code = |value| exit_code(value).cast_signed();
        let passed = code(exit::PASSED);
        let failed = code(exit::FAILED);
        let held = "payload: running\nok   cr4 0x20\n";
        let broken = "payload: running\nFAIL cr4 0x220, not 0x20\n";
        let cost = Some(Cost::Found("cr4 "));
        assert!(found(held, passed, None).is_ok());
        assert!(found(held, passed, cost).is_ok());
        assert!(found(broken, failed, cost).is_ok());
        assert!(found(broken, failed, None).is_err());
        assert!(found(broken, failed, Some(Cost::Found("vector "))).is_err());
        assert!(found(broken, failed, Some(Cost::Report)).is_err());
        // It says one thing and does another, or nothing.
        assert!(found(broken, passed, cost).is_err());
        assert!(found(held, failed, None).is_err());
        assert!(found("harness: ready\n", passed, None).is_err());
    }
}
