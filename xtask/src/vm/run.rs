// SPDX-License-Identifier: MIT OR Apache-2.0
//! One QEMU that runs: listens to it, reaches into it, ends it.
//!
//! Every run has a deadline and leaves no process behind, whatever happens to
//! xtask. A run always says how it ended: no exit code counts as success by
//! itself, because `-no-reboot` makes a triple fault look like exit code 0.
//! It does not judge: what a guest should have said is the caller's business.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

use super::channel::{Channel, Heard, Wait};
use super::gdb::Debugger;
use super::qmp::Monitor;
use crate::host::output::last_lines;
use crate::host::process;
use crate::machine::Machine;

/// How a report begins, once for every channel.
const REPORT: &str = "--- last lines of ";

/// A started QEMU; dropping it ends it.
pub(crate) struct Run {
    pub(super) machine: &'static Machine,
    pub(super) directory: PathBuf,
    pub(super) child: Child,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) monitor: Option<Monitor>,
    pub(super) debugger: Option<tempfile::TempDir>,
    pub(super) terminal: bool,
    pub(super) deadline: Instant,
    pub(super) time: Duration,
    pub(super) _lock: File,
}

/// How QEMU ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Exit code; `None` when a signal ended QEMU.
    pub(crate) code: Option<i32>,
    /// QMP's `ShutdownCause`, such as `guest-shutdown`, `guest-reset` (a triple
    /// fault, too) or `guest-panic`.
    pub(crate) reason: Option<String>,
}

/// A failure of a guest that was still there when its time was over.
#[derive(Debug)]
pub(crate) struct Stuck(String);

impl Display for Stuck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Stuck {}

impl Run {
    /// Connects the monitor: an error means that QEMU ended before its machine was built.
    pub(super) fn connected(mut self, monitor: UnixStream) -> Result<Self> {
        match Monitor::connect(monitor, self.deadline) {
            Ok(monitor) => self.monitor = Some(monitor),
            Err(error) => {
                self.end();
                let errors = self.errors();
                let program = self.machine.program;
                return Err(error.context(format!("{program} did not start\n{errors}")));
            }
        }
        Ok(self)
    }

    /// Waits until `channel` says `needle`, from where the last wait ended.
    ///
    /// Returns the moment at which the needle was complete.
    pub(crate) fn wait_for(&mut self, channel: &str, needle: &str) -> Result<Instant> {
        self.wait_for_any(channel, &[needle])
            .map(|(_, moment)| moment)
    }

    /// Waits for the first of several needles; returns its index and moment.
    pub(crate) fn wait_for_any(
        &mut self,
        channel: &str,
        needles: &[&str],
    ) -> Result<(usize, Instant)> {
        let problem = match self.listen(channel, needles, self.deadline)? {
            Wait::Found(index, moment) => return Ok((index, moment)),
            Wait::Closed => "QEMU ended before",
            Wait::TimedOut => "the time was over before",
        };
        let limit = self.time.as_secs();
        Err(self.failure(format!(
            "{problem} {channel} said {needles:?} (limit {limit} s)"
        )))
    }

    /// Waits as [`Run::wait_for_any`] does, but until `moment` and without error.
    pub(crate) fn listen(
        &mut self,
        channel: &str,
        needles: &[&str],
        moment: Instant,
    ) -> Result<Wait> {
        let moment = moment.min(self.deadline);
        Ok(self.heard(channel)?.wait(needles, moment))
    }

    /// Types `text` into `channel`.
    pub(crate) fn send(&mut self, channel: &str, text: &str) -> Result<()> {
        let mut socket = &self.heard(channel)?.socket;
        socket
            .write_all(text.as_bytes())
            .with_context(|| format!("typing into {channel}"))
    }

    /// Waits until QEMU ends by itself.
    pub(crate) fn wait_exit(&mut self) -> Result<Exit> {
        loop {
            if let Some(exit) = self.wait_exit_for(self.time)? {
                return Ok(exit);
            }
        }
    }

    /// Waits for a while, within the deadline, for QEMU to end by itself.
    pub(crate) fn wait_exit_for(&mut self, time: Duration) -> Result<Option<Exit>> {
        let moment = self.deadline.min(Instant::now() + time);
        let Some(status) = process::wait_until(&mut self.child, moment)? else {
            if moment < self.deadline {
                return Ok(None);
            }
            let limit = self.time.as_secs();
            return Err(self.failure(format!("QEMU still ran after {limit} s")));
        };
        let reason = self.monitor()?.shutdown_reason()?;
        self.drain();
        Ok(Some(Exit {
            code: status.code(),
            reason,
        }))
    }

    /// Waits for the end of every channel: last words may still be on their way to us.
    fn drain(&mut self) {
        for heard in self
            .channels
            .values_mut()
            .filter_map(|channel| channel.heard.as_mut())
        {
            heard.wait(&[], self.deadline);
        }
    }

    /// Tells whether the guest's CPU waits for an interrupt.
    pub(crate) fn is_halted(&mut self) -> Result<bool> {
        let is_halted = self.machine.is_halted;
        let monitor = self.monitor()?;
        is_halted(&mut |command| monitor.human(command))
    }

    /// Returns the monitor.
    pub(crate) fn monitor(&mut self) -> Result<&mut Monitor> {
        self.monitor.as_mut().context("QEMU has no monitor")
    }

    /// Returns the directory of this run's logs.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Attaches a debugger, which stops the guest.
    pub(crate) fn debugger(&self) -> Result<Debugger> {
        let directory = self
            .debugger
            .as_ref()
            .context("this machine is not debuggable")?;
        Debugger::attach(&directory.path().join("gdb"), self.machine, self.deadline)
    }

    /// Returns everything that `channel` said so far.
    pub(crate) fn text(&self, channel: &str) -> Result<String> {
        Ok(self.channel(channel)?.text())
    }

    /// Makes an error of `why` and the report, unless it comes with one.
    pub(crate) fn failure(&self, why: impl Display) -> anyhow::Error {
        let mut why = why.to_string();
        if !why.contains(REPORT) {
            why = format!("{why}\n{}", self.report());
        }
        match Instant::now() < self.deadline {
            true => anyhow::anyhow!(why),
            false => Stuck(why).into(),
        }
    }

    /// Formats the last lines and the log of every channel, and QEMU's errors.
    pub(crate) fn report(&self) -> String {
        let mut report = String::new();
        for (name, channel) in &self.channels {
            let log = channel.log.display();
            let text = channel.text();
            let last = last_lines(&text);
            // Writing to a String cannot fail.
            let _ = write!(report, "{REPORT}{name}, all in {log}\n{last}");
        }
        report + &self.errors()
    }

    fn errors(&self) -> String {
        match fs::read(self.directory.join("stderr.log")) {
            Ok(bytes) if bytes.is_empty() => String::new(),
            Ok(bytes) => format!("--- QEMU's errors\n{}", String::from_utf8_lossy(&bytes)),
            Err(error) => format!("--- QEMU's errors: {error}\n"),
        }
    }

    fn channel(&self, name: &str) -> Result<&Channel> {
        self.channels
            .get(name)
            .with_context(|| format!("this machine has no channel {name}"))
    }

    fn heard(&mut self, name: &str) -> Result<&mut Heard> {
        let channel = self.channels.get_mut(name);
        let heard = channel.and_then(|channel| channel.heard.as_mut());
        heard.with_context(|| format!("this machine has no channel {name} to wait for"))
    }

    /// Ends QEMU, by request first where it holds the terminal.
    fn end(&mut self) {
        if self.terminal && matches!(self.child.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = process::wait_until(&mut self.child, Instant::now() + Duration::from_secs(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end();
    }
}
