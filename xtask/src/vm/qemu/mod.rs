//! Runs one QEMU: starts it, listens to it, ends it.
//!
//! Every run has a deadline and leaves no process behind, whatever happens to
//! xtask. A run always says how it ended: no exit code counts as success by
//! itself, because `-no-reboot` makes a triple fault look like exit code 0.
//! It does not judge: what a guest should have said is the caller's business.
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs::{self, File};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

use crate::{
    host::{needs::QEMU_SHA_NI, output, paths::target_directory},
    vm::{
        channel::{Channel, Heard, Wait, last_lines},
        gdb::Debugger,
        qmp::Monitor,
    },
};

const PROGRAM: &str = "qemu-system-x86_64";

/// How a report begins, once for every channel.
const REPORT: &str = "--- last lines of ";

/// How often an ended process is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Returns the version of the installed QEMU as (major, minor).
pub(crate) fn version() -> Result<(u32, u32)> {
    let output = Command::new(PROGRAM)
        .arg("--version")
        .output()
        .map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("{PROGRAM} --version said {text:?}"))
}

/// Whether it emulates the SHA extensions; asked once.
pub(crate) fn emulates_sha_ni() -> Result<bool> {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    match ANSWER.get() {
        Some(answer) => Ok(*answer),
        None => version().map(|version| *ANSWER.get_or_init(|| version >= QEMU_SHA_NI)),
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .strip_prefix("QEMU emulator version ")?
        .split(['.', ' ', '\n']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn missing(error: std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        anyhow::anyhow!("{PROGRAM} is not on PATH")
    } else {
        anyhow::Error::from(error).context(PROGRAM)
    }
}

/// A QEMU about to be started.
#[derive(Debug)]
pub(crate) struct Machine {
    directory: PathBuf,
    command: Command,
    channels: BTreeMap<String, Channel>,
    inherited: Vec<OwnedFd>,
    debugger: Option<tempfile::TempDir>,
    terminal: bool,
    time: Duration,
    lock: File,
}

impl Machine {
    /// Describes an emulated machine without any device.
    ///
    /// Logs go to `target/runs/<name>/`, once no other run writes there; the run is
    /// ended after `time`.
    pub(crate) fn new(name: &str, time: Duration) -> Result<Self> {
        let directory = target_directory().join("runs").join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let lock = output::lock(&directory)?;
        let mut command = Command::new(PROGRAM);
        command.args(["-accel", "tcg", "-nodefaults", "-no-user-config"]);
        command.args(["-no-reboot", "-display", "none"]);
        Ok(Self {
            directory,
            command,
            channels: BTreeMap::new(),
            inherited: Vec::new(),
            debugger: None,
            terminal: false,
            time,
            lock,
        })
    }

    /// Appends arguments of QEMU.
    pub(crate) fn args<S: AsRef<std::ffi::OsStr>>(
        mut self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        self.command.args(arguments);
        self
    }

    /// Appends one argument of QEMU.
    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds the next serial port, logged and heard as `channel`.
    pub(crate) fn serial(mut self, channel: &str) -> Result<Self> {
        self.listen(channel)?;
        self.command
            .arg("-serial")
            .arg(format!("chardev:{channel}"));
        Ok(self)
    }

    /// Adds a byte port to write to, logged and heard as `channel`.
    pub(crate) fn debugcon(mut self, channel: &str, port: u16) -> Result<Self> {
        self.listen(channel)?;
        let device = format!("isa-debugcon,iobase={port:#x},chardev={channel}");
        self.command.args(["-device", &device]);
        Ok(self)
    }

    /// Adds the next serial port as the user's terminal, logged as `channel`.
    ///
    /// Ctrl-C at a terminal ends QEMU, which mends the terminal; it no longer ends
    /// xtask. Where there is none, the signal may come to xtask alone, and ends both.
    pub(crate) fn terminal(mut self, channel: &str) -> Result<Self> {
        if std::io::stdin().is_terminal() {
            ctrlc::set_handler(|| ()).context("handing Ctrl-C to QEMU")?;
        }
        let log = self.log(channel);
        let option = format!("stdio,id={channel},signal=on,logfile={}", quoted(&log));
        self.command.args(["-chardev", &option]);
        self.command
            .arg("-serial")
            .arg(format!("chardev:{channel}"));
        self.channels
            .insert(channel.to_owned(), Channel { log, heard: None });
        self.terminal = true;
        Ok(self)
    }

    /// Lets a debugger attach while the guest runs.
    pub(crate) fn debuggable(mut self) -> Result<Self> {
        // In the temporary directory: a socket's path is limited to 108 bytes.
        let directory = tempfile::tempdir()?;
        let socket = quoted(&directory.path().join("gdb"));
        self.command.arg("-chardev");
        self.command
            .arg(format!("socket,id=gdb,path={socket},server=on,wait=off"));
        self.command.args(["-gdb", "chardev:gdb"]);
        self.debugger = Some(directory);
        Ok(self)
    }

    /// Returns the directory of this run's logs.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts QEMU and returns once its machine is built.
    ///
    /// The run ends with the calling thread, if it was not ended before.
    pub(crate) fn start(mut self) -> Result<Run> {
        let (monitor, descriptor) = self.inherit()?;
        let device = format!("socket,id=monitor,fd={descriptor}");
        self.command.args(["-chardev", &device]);
        self.command.args(["-mon", "chardev=monitor,mode=control"]);

        let errors = self.directory.join("stderr.log");
        let file =
            File::create(&errors).with_context(|| format!("creating {}", errors.display()))?;
        self.command.stderr(file);
        if !self.terminal {
            self.command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        // On a terminal QEMU must get the chance to leave raw mode.
        let death = if self.terminal {
            Signal::TERM
        } else {
            Signal::KILL
        };
        let inherited = self.inherited;
        let parent = std::process::id();
        let prepare = move || prepare_child(parent, death, &inherited);
        // SAFETY: between fork and exec `prepare_child` makes system calls
        // only; it neither allocates nor takes a lock.
        unsafe { self.command.pre_exec(prepare) };

        let started = Instant::now();
        let child = self.command.spawn().map_err(missing)?;
        // Closes our copies of QEMU's ends, so that its exit closes the channels.
        drop(self.command);
        let mut run = Run {
            directory: self.directory,
            child,
            channels: self.channels,
            monitor: None,
            debugger: self.debugger,
            terminal: self.terminal,
            deadline: started + self.time,
            time: self.time,
            _lock: self.lock,
        };
        match Monitor::connect(monitor, run.deadline) {
            Ok(monitor) => run.monitor = Some(monitor),
            Err(error) => {
                run.end();
                let errors = run.errors();
                return Err(error.context(format!("{PROGRAM} did not start\n{errors}")));
            }
        }
        Ok(run)
    }

    fn log(&self, channel: &str) -> PathBuf {
        self.directory.join(format!("{channel}.log"))
    }

    /// Defines a character device whose other end is ours.
    fn listen(&mut self, channel: &str) -> Result<()> {
        let (socket, descriptor) = self.inherit()?;
        let device = format!("socket,id={channel},fd={descriptor}");
        self.command.args(["-chardev", &device]);
        let log = self.log(channel);
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let heard = Some(Heard::new(socket, file)?);
        self.channels
            .insert(channel.to_owned(), Channel { log, heard });
        Ok(())
    }

    /// Makes a socket pair; returns our end and the number of QEMU's.
    fn inherit(&mut self) -> Result<(UnixStream, RawFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        let descriptor = theirs.as_raw_fd();
        self.inherited.push(theirs.into());
        Ok((ours, descriptor))
    }
}

/// Ties QEMU's life to xtask's and hands it its sockets.
fn prepare_child(parent: u32, death: Signal, inherited: &[OwnedFd]) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getppid, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(death))?;
        // The parent may have died before the signal was asked for.
        if getppid().is_none_or(|now| now.as_raw_nonzero().get().cast_unsigned() != parent) {
            return Err(std::io::Error::from_raw_os_error(
                rustix::io::Errno::SRCH.raw_os_error(),
            ));
        }
    }
    for socket in inherited {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty())?;
    }
    Ok(())
}

/// A started QEMU; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Run {
    directory: PathBuf,
    child: Child,
    channels: BTreeMap<String, Channel>,
    monitor: Option<Monitor>,
    debugger: Option<tempfile::TempDir>,
    terminal: bool,
    deadline: Instant,
    time: Duration,
    _lock: File,
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

impl Run {
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
        let Some(status) = self.wait_until(moment)? else {
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

    /// Tells whether the guest's CPU waits in HLT.
    pub(crate) fn is_halted(&mut self) -> Result<bool> {
        let registers = self.monitor()?.human("info registers")?;
        Ok(registers.contains("HLT=1"))
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
        Debugger::attach(&directory.path().join("gdb"), self.deadline)
    }

    /// Returns everything that `channel` said so far.
    pub(crate) fn text(&self, channel: &str) -> Result<String> {
        Ok(self.channel(channel)?.text())
    }

    /// Makes an error of `why` and the report, unless it comes with one.
    pub(crate) fn failure(&self, why: impl Display) -> anyhow::Error {
        let why = why.to_string();
        if why.contains(REPORT) {
            return anyhow::anyhow!(why);
        }
        anyhow::anyhow!("{why}\n{}", self.report())
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

    fn wait_until(&mut self, moment: Instant) -> Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= moment {
                return Ok(None);
            }
            // Nothing tells when a child ends within a time: look again, until the deadline.
            thread::sleep(POLL);
        }
    }

    /// Ends QEMU, by request first where it holds the terminal.
    fn end(&mut self) {
        if self.terminal && matches!(self.child.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.wait_until(Instant::now() + Duration::from_secs(1));
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

/// Doubles commas: QEMU ends an option's value at a single one.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
