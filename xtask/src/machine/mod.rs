// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machines that QEMU emulates: a row an architecture.

mod riscv64;
mod x86_64;

use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use blob::arch::Arch;
use purgatory::abi::Backend;
use purgatory_tests::arch::MemoryMap;
use purgatory_tests::cases::{Case, Config, Reset};
use purgatory_tests::plan;

use crate::host::failure::usage;
use crate::host::needs::Need;
use crate::host::options::Setup;

/// What is known about the machines of an architecture.
pub(crate) struct Machine {
    /// QEMU's program.
    pub(crate) program: &'static str,
    /// The oldest QEMU that the boots were seen to work with, and the first one that
    /// emulates all that they use.
    versions: [(u32, u32); 2],
    /// What those before the second one lack.
    lacks: &'static str,
    /// The backend that the usual processor is good for, in either.
    pub(crate) best: [Backend; 2],
    /// A QEMU that works, and one that lacks nothing, which commands can do without.
    needs: &'static [Need; 2],
    /// QEMU's program for user space, where this machine has another processor, and models
    /// that differ in what the backends use.
    pub(crate) user: (&'static str, &'static [&'static str]),
    /// The program counter, as gdb's target description numbers registers.
    pub(crate) pc: usize,
    /// Whether a debugger is stopped in front of a watched access, not behind it.
    pub(crate) stops_early: bool,
    /// Tells whether a processor waits for an interrupt, by what QEMU's monitor answers.
    pub(crate) is_halted: fn(Ask<'_>) -> Result<bool>,
    /// Tells whether a processor has come to rest, by the four bytes before its program
    /// counter and the two from there on.
    pub(crate) is_at_rest: fn([u8; 6]) -> bool,

    /// QEMU's usual machine and CPU model.
    pub(crate) machine: &'static str,
    pub(crate) cpu: &'static str,
    /// Whether `boot --kernel` knows its kernels.
    pub(crate) boots_linux: bool,
    /// QEMU's arguments for a real kernel.
    pub(crate) linux: &'static [&'static str],
    /// Whether that has a second processor, on which it crashes, too.
    pub(crate) crashes_elsewhere: bool,
    /// Whether `purgatory/module` is for its kernels.
    pub(crate) has_module: bool,
    /// What makes a real kernel speak as early as it can.
    pub(crate) early: &'static str,
    /// Where RAM of so many bytes lies.
    pub(crate) ram: fn(u64) -> Vec<plan::Range>,
    /// What the firmware keeps at the end of low RAM.
    pub(crate) firmware: u64,
    /// Where an image of so many bytes lies that QEMU hands over, if the low RAM that the
    /// firmware leaves alone ends there; and the arguments for that.
    pub(crate) image_at: fn(u64, u64) -> u64,
    pub(crate) image: fn(&str) -> [String; 2],
    /// Serial ports: the address of each, and what it is called here.
    pub(crate) serial: &'static [(u64, &'static str)],
    /// The debug console of the purgatory, as a device of QEMU's unless it is a serial
    /// port; and its address.
    pub(crate) debug: Option<&'static str>,
    pub(crate) debug_address: u64,
    /// The text screen, if there is one: its address, columns and rows.
    pub(crate) screen: Option<(u64, usize, usize)>,

    /// The two test kernels: the symbol that each begins with, and where it is linked.
    pub(crate) harness: (&'static str, u64),
    /// A linker script for the first, where the linker's own is no good.
    pub(crate) script: Option<&'static str>,
    pub(crate) payload: (&'static str, u64),
    /// Where the host puts what.
    pub(crate) memory: MemoryMap,
    /// Through which address the purgatory reaches device memory.
    pub(crate) window: fn(u64) -> u64,
    /// Whether a root of page tables for that lies where its stack ends.
    pub(crate) has_root: bool,
    /// What boot parameters begin with, if the purgatory reads them.
    pub(crate) tree: Option<fn() -> Vec<u8>>,
    /// The device that both kernels speak through, its address, and another one that they
    /// need: to end QEMU, or as the bus of the first.
    pub(crate) talk: fn() -> String,
    pub(crate) talk_address: u64,
    pub(crate) other: fn() -> String,
    /// QEMU's exit code after a value of the test kernels' `exit`.
    pub(crate) exit_code: fn(u32) -> u32,
    /// The registers that no image holds: they go through the purgatory as they are.
    pub(crate) through: &'static [&'static str],
    /// The registers in which the payload wants its stack and its `BootInfo`.
    pub(crate) stack: Option<&'static str>,
    pub(crate) info: Option<&'static str>,
    /// The one with the boot parameters, which the purgatory looks at.
    pub(crate) parameters: &'static str,

    /// Nanoseconds of a tick of the clock, and instructions a byte that each backend may
    /// take, where they are counted.
    pub(crate) tick: f64,
    pub(crate) counts: &'static [(Backend, f64)],
    /// Cases that only this architecture has.
    pub(crate) cases: &'static [&'static [Case]],
    /// Whether every instruction's faults are known.
    pub(crate) faults: bool,
    /// The states in which kernels leave the processor, each a flag and a suffix.
    pub(crate) states: &'static [(u64, &'static str)],
    /// What the blob is built with.
    pub(crate) defaults: Config,
    /// The devices that the purgatory may touch in a boot.
    pub(crate) devices: fn(&Case, &Config) -> Vec<Range<u64>>,
    /// The vector registers that a backend leaves zeroed, as a mask.
    pub(crate) zeroed: fn(Option<Backend>) -> u32,
    /// Tells how the machine was reset, by what was done to its devices and whether
    /// the CPU shut down; and which access began it.
    pub(crate) reset: HowReset,
}

/// Asks QEMU's monitor.
pub(crate) type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<String>;

/// See [`Machine::reset`].
type HowReset = fn(&[Access], bool) -> Result<(Reset, Access)>;

/// Returns the row of an architecture.
pub(crate) const fn of(arch: Arch) -> &'static Machine {
    match arch {
        Arch::X86_64 => &x86_64::MACHINE,
        Arch::Riscv64 => &riscv64::MACHINE,
    }
}

/// Refuses an architecture whose kernels take no module.
pub(crate) fn require_module(arch: Arch) -> Result<()> {
    match of(arch).has_module {
        true => Ok(()),
        false => Err(usage(format!("there is no kernel module for {arch}"))),
    }
}

/// What a boot takes: a QEMU that works.
pub(crate) const fn needs(arch: Arch) -> Option<&'static Need> {
    of(arch).needs.first()
}

/// What tests take: a QEMU that works, and better one that lacks nothing.
pub(crate) const fn all_needs(arch: Arch) -> &'static [Need; 2] {
    of(arch).needs
}

/// One access to a port or to device memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Access {
    pub(crate) write: bool,
    pub(crate) address: u64,
    pub(crate) value: u8,
    /// In seconds.
    pub(crate) time: f64,
}

impl Access {
    /// Tells whether it writes there.
    pub(crate) const fn writes(&self, address: u64) -> bool {
        self.write && self.address == address
    }
}

impl Machine {
    /// Returns the place of a register in a plan: behind those of the image lie those that
    /// go through.
    pub(crate) fn register(&self, image: &[&str], name: &str) -> usize {
        let mut names = image.iter().chain(self.through);
        let index = names.position(|one| *one == name);
        index.unwrap_or_else(|| panic!("no register {name}"))
    }

    /// Returns the version of the installed QEMU as (major, minor).
    pub(crate) fn version(&self) -> Result<(u32, u32)> {
        let output = Command::new(self.program).arg("--version").output();
        let output = output.map_err(|error| self.missing(error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse_version(&text).with_context(|| format!("{} --version said {text:?}", self.program))
    }

    /// Tells whether the installed QEMU emulates all that the boots use.
    pub(crate) fn is_complete(&self) -> Result<bool> {
        Ok(self.version()? >= self.versions[1])
    }

    /// Explains why QEMU cannot be run.
    pub(crate) fn missing(&self, error: Error) -> anyhow::Error {
        match error.kind() {
            ErrorKind::NotFound => anyhow!("{} is not on PATH", self.program),
            _ => anyhow::Error::from(error).context(self.program),
        }
    }
}

/// Fails without a QEMU that works.
fn works(setup: &Setup) -> Result<()> {
    let machine = of(setup.arch);
    let (found, [oldest, _]) = (machine.version()?, machine.versions);
    ensure!(
        found >= oldest,
        "QEMU {} is too old: {} is the oldest that works",
        dotted(found),
        dotted(oldest)
    );
    Ok(())
}

/// Fails with a QEMU that lacks something.
fn is_complete(setup: &Setup) -> Result<()> {
    let machine = of(setup.arch);
    let (Ok(found), [_, complete]) = (machine.version(), machine.versions) else {
        return Ok(());
    };
    ensure!(
        found >= complete,
        "QEMU {} does not emulate {}, {} does: its cases are skipped",
        dotted(found),
        machine.lacks,
        dotted(complete)
    );
    Ok(())
}

fn dotted((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .strip_prefix("QEMU emulator version ")?
        .split(['.', ' ', '\n']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        let debian = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\n";
        assert_eq!(parse_version(debian), Some((10, 0)));
        assert_eq!(parse_version("QEMU emulator version 8.2\n"), Some((8, 2)));
        assert_eq!(parse_version("qemu 8.2"), None);
    }
}
