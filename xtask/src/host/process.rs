// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs other programs; a failure carries what they said.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs a command and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!(
            "{name} failed ({})\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed no text"))
}

/// Describes a run of this very program: its file may have been built anew since.
pub(crate) fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.stdin(Stdio::null());
    command
}

/// Waits until a child ends, or until `moment`.
#[cfg(target_os = "linux")]
pub(crate) fn wait_until(child: &mut Child, moment: Instant) -> Result<Option<ExitStatus>> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    // One that was waited for has no number any more.
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        match poll(
            &mut [PollFd::new(&end, PollFlags::IN)],
            Some(&left.try_into()?),
        ) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(child.try_wait()?),
        }
    }
}

/// Waits until a child ends, or until `moment`; looks again and again, because nothing
/// that all systems share tells of it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wait_until(child: &mut Child, moment: Instant) -> Result<Option<ExitStatus>> {
    while child.try_wait()?.is_none() && Instant::now() < moment {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok(child.try_wait()?)
}
