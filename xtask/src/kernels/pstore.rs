// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the purgatory records in a zone of the kernel's own ramoops is there in
//! `/sys/fs/pstore` of the kernel that comes next: of one that a reset brings, where the
//! image was refused, or of the one that was started.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use blob::{config, get, set};
use purgatory::abi::Config;

use super::corrupt::{Target, Victim, WORDS};
use super::kernel::Kernel;
use super::scenario::{CONSOLE, First, Way, trouble, wait_loaded, wait_said};
use crate::vm::gdb::Debugger;
use crate::vm::run::{Exit, Run};

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// A changed crash image.
    Refusal,
    /// A good image.
    Success,
}

/// How memory is kept free for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// `memmap=`, by address.
    Memmap,
    /// `reserve_mem=`, where the kernel likes.
    ByName,
}

impl fmt::Display for Story {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Refusal => "refusal",
            Self::Success => "success",
        })
    }
}

impl fmt::Display for Reserved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Memmap => "memmap",
            Self::ByName => "by-name",
        })
    }
}

impl Reserved {
    /// Tells whether a kernel can do it.
    pub(super) fn is_known(self, kernel: &Kernel) -> bool {
        self == Self::Memmap || kernel.knows("\0reserve_mem=\0")
    }

    /// What the command line has for it, and ramoops is told.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Memmap => [
                "memmap=64K$0x10000000",
                "mem_address=0x10000000 mem_size=0x10000",
            ],
            Self::ByName => ["reserve_mem=64K:4K:ramoops", "mem_name=ramoops"],
        }
    }
}

/// As in [`super::corrupt`], and so that the init can end it.
const TALK: &str = " loglevel=8 dyndbg=\"file kexec-bzimage64.c +p\"";

/// The file of the first record.
const FILE: &str = "dmesg-ramoops-0";

/// Runs the scenario in a kernel whose purgatory is at `address`; returns what was kept.
pub(super) fn run(
    name: &str,
    first: &First,
    address: u64,
    story: Story,
    reserved: Reserved,
) -> Result<String> {
    let way = match story {
        Story::Refusal => Way::Crash,
        Story::Success => Way::Normal,
    };
    let [line, told] = reserved.words();
    let ramoops = linux_init::RAMOOPS;
    let more = format!(
        " {line} {ramoops}=\"{told} record_size=0x4000\" {}=1{TALK}",
        linux_init::HOLD
    );
    let qemu = first.qemu(name, way, &more)?.debuggable()?;
    // In the same memory.
    let qemu = qemu.args(["-action", "reboot=reset"]);
    let mut run = qemu.start()?;
    let result = observe(&mut run, first, address, story);
    result.map_err(|error| run.failure(format!("{error:#}")))
}

fn observe(run: &mut Run, first: &First, address: u64, story: Story) -> Result<String> {
    wait_said(run, linux_init::RECORDING)?;
    let mut debugger = run.debugger()?;
    debugger.physical(true)?;
    configure(run, first, address, &mut debugger)?;
    debugger.resume()?;
    run.send(CONSOLE, linux_init::GO)?;
    wait_loaded(run)?;
    if story == Story::Refusal {
        debugger.interrupt()?;
        Victim::find(run, first)?.flip(&mut debugger, Target::Segment)?;
        debugger.resume()?;
    }
    let before = run.text(CONSOLE)?.len();
    run.send(CONSOLE, linux_init::GO)?;
    let words = [
        linux_init::KEPT_ALL,
        linux_init::RECORDING,
        linux_init::VERIFIED,
        linux_init::FAILED,
    ];
    let (word, _) = run.wait_for_any(CONSOLE, &words)?;
    ensure!(word == 0, "the next kernel found nothing in pstore");
    let exit = run.wait_exit()?;
    let text = run.text(CONSOLE)?;
    let rest = text.get(before..).unwrap_or_default().replace('\r', "");
    if let Some(line) = trouble(&rest).next() {
        bail!("the console shows: {line}");
    }
    let good = Exit {
        code: Some(0),
        reason: Some("guest-shutdown".to_owned()),
    };
    ensure!(exit == good, "the next kernel did not switch off");
    judge(&rest, story)
}

/// Does what `cargo xtask configure --ramoops … --on-refusal reset` does, in the kernel,
/// once that has said where the record is.
fn configure(run: &Run, first: &First, address: u64, debugger: &mut Debugger) -> Result<()> {
    let text = run.text(CONSOLE)?;
    let zone = text.split(linux_init::ZONE).nth(1);
    let zone = zone.and_then(|rest| rest.lines().next()?.split_once(','));
    let (start, size) = zone.context("no zone")?;
    let place = config::find(&first.blob)?;
    let at = address + place.start as u64;
    let mut config = debugger.read(at, place.len())?;
    let config = config.as_mut_slice();
    ensure!(
        get!(config, Config.magic).to_ne_bytes() == Config::MAGIC,
        "the kernel has no purgatory of ours"
    );
    let consoles = get!(config, Config.consoles) | Config::CONSOLE_RAMOOPS;
    set!(config, Config.consoles, consoles);
    set!(config, Config.ramoops, number(start)?);
    set!(config, Config.ramoops_size, u32::try_from(number(size)?)?);
    set!(config, Config.on_refusal, Config::RESET);
    debugger.write(at, config)
}

fn number(text: &str) -> Result<u64> {
    blob::number::number(text.trim()).map_err(anyhow::Error::msg)
}

/// Compares what was kept with what was said, or ought to be.
fn judge(text: &str, story: Story) -> Result<String> {
    let (said, kept) = text
        .split_once(linux_init::KEPT)
        .context("nothing was kept")?;
    let (kept, _) = kept
        .split_once(linux_init::KEPT_ALL)
        .context("its end is missing")?;
    let (name, kept) = kept.split_once('\n').context("an empty file")?;
    ensure!(name == FILE, "{name} was kept, not {FILE}");
    match story {
        Story::Refusal => {
            let end = "purgatory: resetting";
            let report = |text: &str| {
                let report = &text[text.find(WORDS)?..];
                Some(report[..report.find(end)?].to_owned())
            };
            let (said, kept) = (report(said), report(kept));
            ensure!(
                said.is_some() && kept == said,
                "said was\n{said:?}\nkept was\n{kept:?}"
            );
        }
        Story::Success => {
            let is_line = |line: &str| {
                line.starts_with("purgatory: verified ") && line.contains(", entering 0x")
            };
            ensure!(kept.lines().any(is_line), "kept was\n{kept}");
        }
    }
    let line = kept.lines().find(|line| line.starts_with("purgatory: "));
    Ok(format!("{name}: {}", line.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "purgatory: refused: sha256 mismatch\n  region 0 0x1000 0x1000\n\
                          purgatory: resetting";
    const GOOD: &str = "purgatory: verifying\npurgatory: verified 8192 bytes with sha-ni in \
                        1 ms, 8 MB/s, entering 0x1000";

    fn console(said: &str, name: &str, kept: &str) -> String {
        format!("init: loaded\n{said}\nSeaBIOS\ninit: kept {name}\n{kept}\ninit: that was kept\n")
    }

    #[test]
    fn takes_what_was_said() {
        judge(&console(REPORT, FILE, REPORT), Story::Refusal).unwrap();
        judge(&console("", FILE, GOOD), Story::Success).unwrap();
    }

    #[test]
    fn takes_nothing_else() {
        let cut = &REPORT[..REPORT.len() - 1];
        let changed = REPORT.replace("0x1000 0", "0x2000 0");
        for (said, name, kept) in [
            (REPORT, FILE, cut),
            (REPORT, FILE, &changed),
            (REPORT, FILE, GOOD),
            (REPORT, "dmesg-ramoops-1", REPORT),
            (cut, FILE, cut),
            ("", FILE, REPORT),
        ] {
            let text = console(said, name, kept);
            judge(&text, Story::Refusal).unwrap_err();
        }
        judge(&console(REPORT, FILE, REPORT), Story::Success).unwrap_err();
        judge("init: loaded\n", Story::Success).unwrap_err();
    }
}
