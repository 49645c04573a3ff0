// SPDX-License-Identifier: MIT OR Apache-2.0
//! Describes one QEMU, and starts it: its channels, its monitor, its debugger.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::IsTerminal as _;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::channel::{Channel, Heard};
use super::run::Run;
use crate::host::output;
use crate::host::paths::target_directory;
use crate::machine::Machine;

/// A QEMU about to be started.
pub(crate) struct Qemu {
    machine: &'static Machine,
    directory: PathBuf,
    command: Command,
    channels: BTreeMap<String, Channel>,
    inherited: Vec<OwnedFd>,
    debugger: Option<tempfile::TempDir>,
    terminal: bool,
    time: Duration,
    lock: File,
}

impl Qemu {
    /// Describes an emulated machine without any device.
    ///
    /// Logs go to `target/runs/<name>/`, once no other run writes there; the run is
    /// ended after `time`.
    pub(crate) fn new(machine: &'static Machine, name: &str, time: Duration) -> Result<Self> {
        let directory = target_directory().join("runs").join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let lock = output::lock(&directory)?;
        let mut command = Command::new(machine.program);
        command.args(["-accel", "tcg", "-nodefaults", "-no-user-config"]);
        command.args(["-no-reboot", "-display", "none"]);
        Ok(Self {
            machine,
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

    /// Adds the next serial port, logged and heard as `channel`.
    pub(crate) fn serial(mut self, channel: &str) -> Result<Self> {
        self.listen(channel)?;
        self.command
            .arg("-serial")
            .arg(format!("chardev:{channel}"));
        Ok(self)
    }

    /// Adds a device that talks to a character device, logged and heard as `channel`.
    pub(crate) fn device(mut self, device: &str, channel: &str) -> Result<Self> {
        self.listen(channel)?;
        self.command
            .args(["-device", &format!("{device},chardev={channel}")]);
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
        let child = self.command.spawn();
        let child = child.map_err(|error| self.machine.missing(error))?;
        // Closes our copies of QEMU's ends, so that its exit closes the channels.
        drop(self.command);
        let run = Run {
            machine: self.machine,
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
        run.connected(monitor)
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

/// Doubles commas: QEMU ends an option's value at a single one.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
