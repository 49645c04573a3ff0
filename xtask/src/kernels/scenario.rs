// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in one run: load, start, and the second kernel's own word.
//!
//! A run passes only if the second kernel verified what it got, switched the
//! machine off, and the console shows no trouble on the way.
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use blob::config;
use linux_init::step;

use crate::machine::Machine;
use crate::vm::qemu::Qemu;
use crate::vm::run::{Exit, Run};

/// The channel of the guest's console.
pub(super) const CONSOLE: &str = "console";

/// The longest a run may take: a busy host needs several times the usual.
const LIMIT: Duration = Duration::from_secs(240);

/// Room for the second kernel, its archive, and the archive unpacked: rootfs
/// takes at most half of what is free.
pub(super) const CRASH_KERNEL: &str = "384M";

/// The first sign of life of a second kernel, by version and configuration.
pub(super) const FIRST_LINES: [&str; 3] = [
    "early console in extract_kernel",
    "Decompressing Linux",
    "Linux version",
];

/// What no run may show. The kexec prefixes belong to errors: a load that
/// goes well says nothing.
const TROUBLE: [&str; 9] = [
    "WARNING: ",
    "BUG: ",
    "Oops",
    "general protection fault",
    "[ cut here ]",
    "Kernel panic",
    "kexec: ",
    "kexec_file: ",
    "kexec-bzImage64: ",
];

/// How our purgatory, made to speak, says that all is well.
pub(super) const SPOKEN: &str = "\npurgatory: verified ";

/// The panic that the crash scenario asks for.
const PANIC: &str = "Kernel panic - not syncing: sysrq triggered crash";

/// A notice of 5.10 at boot with crashkernel=, in an error's clothes.
const LOW_MEMORY: &str = "kexec: Reserving the low 1M of memory for crashkernel";

/// How the second kernel is loaded and started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `reboot(LINUX_REBOOT_CMD_KEXEC)`.
    Normal,
    /// A panic.
    Crash,
    /// As [`Way::Normal`], once the module was there and is gone.
    Undone,
    /// A panic on the second processor.
    CrashElsewhere,
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Normal => "kexec",
            Self::Crash => "crash",
            Self::Undone => "undo",
            Self::CrashElsewhere => "crash elsewhere",
        })
    }
}

impl Way {
    const fn step(self) -> &'static str {
        match self {
            Self::Normal => step::KEXEC,
            Self::Crash => step::CRASH,
            Self::Undone => step::UNDO,
            Self::CrashElsewhere => step::CRASH_ELSEWHERE,
        }
    }

    /// The old kernel's last line before it lets go.
    pub(super) const fn last_line(self) -> &'static str {
        match self {
            Self::Normal | Self::Undone => "Starting new kernel",
            Self::Crash | Self::CrashElsewhere => PANIC,
        }
    }
}

/// Where a kernel has its purgatory, and what it has there.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) address: u64,
    pub(super) stock: Vec<u8>,
}

/// A first kernel ready to be started.
#[derive(Clone)]
pub(super) struct First {
    pub(super) machine: &'static Machine,
    /// The unpacked kernel with the purgatory under test in it, or as it was.
    pub(super) vmlinux: PathBuf,
    /// If that is to come by the module: where it will lie.
    pub(super) place: Option<Place>,
    pub(super) initrd: PathBuf,
    pub(super) digest: String,
    /// The purgatory under test.
    pub(super) blob: Vec<u8>,
}

impl First {
    /// Describes the machine that boots the first kernel.
    pub(super) fn qemu(&self, name: &str, way: Way, more: &str) -> Result<Qemu> {
        let crash = match way {
            Way::Normal | Way::Undone => String::new(),
            Way::Crash | Way::CrashElsewhere => format!(" crashkernel={CRASH_KERNEL}"),
        };
        let line = format!(
            "console=ttyS0 panic=-1 {}={} {}={} {}={}{crash}{more}",
            linux_init::STEP,
            way.step(),
            linux_init::DIGEST,
            self.digest,
            linux_init::EARLY,
            self.machine.early,
        );
        let qemu = Qemu::new(self.machine, name, LIMIT)?.serial(CONSOLE)?;
        let qemu = qemu.args(self.machine.linux);
        let qemu = qemu.args(["-kernel".as_ref(), self.vmlinux.as_os_str()]);
        let qemu = qemu.args(["-initrd".as_ref(), self.initrd.as_os_str()]);
        Ok(qemu.args(["-append", &line]))
    }
}

/// Runs the scenario; returns the time between the two kernels.
pub(super) fn run(name: &str, first: &First, way: Way) -> Result<Duration> {
    let mut run = first.qemu(name, way, "")?.debuggable()?.start()?;
    if let (Way::Undone, Some(place)) = (way, &first.place) {
        let result = undo(&mut run, &first.blob, place);
        result.map_err(|error| run.failure(format!("{error:#}")))?;
    }
    wait_loaded(&mut run)?;
    let start = run.wait_for(CONSOLE, way.last_line())?;
    let (_, alive) = run.wait_for_any(CONSOLE, &FIRST_LINES)?;
    let (word, _) = run.wait_for_any(CONSOLE, &[linux_init::VERIFIED, linux_init::FAILED])?;
    let exit = run.wait_exit()?;
    let text = run.text(CONSOLE)?;
    if let Some(line) = trouble(&text).next() {
        return Err(run.failure(format!("the console shows: {line}")));
    }
    if first.place.is_some() && text.contains(SPOKEN) == (way == Way::Undone) {
        return Err(run.failure("the wrong purgatory verified"));
    }
    let good = Exit {
        code: Some(0),
        reason: Some("guest-shutdown".to_owned()),
    };
    if word != 0 || exit != good {
        return Err(run.failure("the second kernel did not verify what it got, or not switch off"));
    }
    Ok(alive - start)
}

/// Looks at the kernel's memory with the module in it, and without.
fn undo(run: &mut Run, blob: &[u8], place: &Place) -> Result<()> {
    wait_said(run, linux_init::INSERTED)?;
    let mut debugger = run.debugger()?;
    debugger.physical(true)?;
    let mut found = debugger.read(place.address, place.stock.len())?;
    let config = config::find(blob)?;
    found[config.clone()].copy_from_slice(&blob[config]);
    let (ours, rest) = found.split_at(blob.len());
    ensure!(
        ours == blob && rest.iter().all(|byte| *byte == 0),
        "with the module in the kernel, its purgatory is not ours"
    );
    debugger.resume()?;
    run.send(CONSOLE, linux_init::GO)?;
    wait_said(run, linux_init::REMOVED)?;
    debugger.interrupt()?;
    let found = debugger.read(place.address, place.stock.len())?;
    let differs = (0..found.len()).find(|at| found[*at] != place.stock[*at]);
    if let Some(at) = differs {
        bail!("the module left byte {at:#x} of the kernel's own purgatory changed");
    }
    debugger.resume()?;
    run.send(CONSOLE, linux_init::GO)
}

/// Waits until the init said `word`.
pub(super) fn wait_said(run: &mut Run, word: &str) -> Result<()> {
    let (answer, _) = run.wait_for_any(CONSOLE, &[word, linux_init::FAILED])?;
    ensure!(answer == 0, "the init failed");
    Ok(())
}

/// Waits until the kernel accepted the second one, or says why it did not.
pub(super) fn wait_loaded(run: &mut Run) -> Result<Instant> {
    let answers = [linux_init::LOADED, linux_init::REFUSED, linux_init::FAILED];
    let (answer, moment) = run.wait_for_any(CONSOLE, &answers)?;
    if answer == 0 {
        return Ok(moment);
    }
    run.wait_exit()?;
    let text = run.text(CONSOLE)?;
    let said: Vec<&str> = trouble(&text)
        .chain(text.lines().filter(|line| line.starts_with("init: ")))
        .collect();
    let said = said.join("\n  ");
    Err(run.failure(format!(
        "the first kernel did not load the second:\n  {said}"
    )))
}

/// Lines that no run may show.
pub(super) fn trouble(console: &str) -> impl Iterator<Item = &str> {
    let lines = console.lines();
    let lines = lines.filter(|line| !line.contains(PANIC) && !line.contains(LOW_MEMORY));
    lines.filter(|line| TROUBLE.iter().any(|sign| line.contains(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_trouble_from_what_belongs() {
        let console = "[    0.0] kexec: Reserving the low 1M of memory for crashkernel\n\
                       [    5.0] Kernel panic - not syncing: sysrq triggered crash\n\
                       [    5.1] kexec_core: Starting new kernel\n";
        assert_eq!(trouble(console).next(), None);
        for line in [
            "[    4.2] WARNING: CPU: 0 PID: 1 at kernel/kexec_file.c:1 x+0x0/0x1",
            "[    4.2] WARNING: kernel/kexec_file.c:1 at x+0x0/0x1, CPU#0: init/1",
            "[    4.2] BUG: unable to handle page fault for address: 0",
            "[    4.2] Oops: 0002 [#1] PREEMPT SMP",
            "[    4.2] Kernel panic - not syncing: Attempted to kill init!",
            "[    4.2] kexec: Unknown rela relocation: 9",
            "[    4.2] kexec_file: Undefined symbol: memset",
            "[    4.2] kexec-bzImage64: Loading purgatory failed",
        ] {
            let console = format!("{console}{line}\n");
            assert_eq!(trouble(&console).collect::<Vec<_>>(), [line]);
        }
    }
}
