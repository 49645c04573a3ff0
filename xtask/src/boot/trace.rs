// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest did to its devices: every access, as QEMU itself traces it.
//!
//! No other view is complete: a guest cannot watch code that shares its privilege,
//! and a device that is not there keeps no record.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::machine::Access;

/// Arguments that make QEMU write the trace into a file, with the time of each line.
pub(super) fn arguments(log: &Path) -> Vec<String> {
    [
        "-msg",
        "timestamp=on",
        "-trace",
        "memory_region_ops_read",
        "-trace",
        "memory_region_ops_write",
        "-d",
        "cpu_reset",
        "-D",
        &log.display().to_string(),
    ]
    .map(str::to_owned)
    .into()
}

/// What the purgatory did.
#[derive(Debug)]
pub(super) struct Trace {
    /// From the first kernel's last word to the second kernel's first.
    pub(super) accesses: Vec<Access>,
    /// Whether the CPU shut down.
    pub(super) shut_down: bool,
}

impl Trace {
    /// Reads the part between the two kernels.
    pub(super) fn read(log: &Path, talk: u64) -> Result<Self> {
        let text = fs::read_to_string(log)
            .with_context(|| format!("QEMU left no trace in {}", log.display()))?;
        Self::parse(&text, talk)
    }

    fn parse(text: &str, talk: u64) -> Result<Self> {
        const READY: &[u8] = b"harness: ready\n";
        let mut said = Vec::new();
        let mut lines = text.lines();
        for access in lines.by_ref().filter_map(access) {
            if access.writes(talk) {
                said.push(access.value);
            }
            if said.ends_with(READY) {
                break;
            }
        }
        ensure!(
            said.ends_with(READY),
            "the first kernel's last word is not in QEMU's trace: \
             it needs a QEMU with the trace backend \"log\""
        );
        let mut accesses = Vec::new();
        let mut shut_down = false;
        for line in lines {
            shut_down |= line.ends_with("Triple fault");
            match access(line) {
                Some(access) if access.address == talk => break,
                access => accesses.extend(access),
            }
        }
        Ok(Self {
            accesses,
            shut_down,
        })
    }

    /// Returns what was written to a port.
    pub(super) fn written(&self, port: u64) -> impl Iterator<Item = &Access> {
        self.accesses
            .iter()
            .filter(move |access| access.writes(port))
    }
}

/// `123@1.5:memory_region_ops_write cpu 0 mr 0x1 addr 0x80 value 0x2 size 1 name 'io'`
fn access(line: &str) -> Option<Access> {
    let (stamp, event) = line.split_once(":memory_region_ops_")?;
    let (_, time) = stamp.rsplit_once('@')?;
    let number = |name: &str| {
        let (_, rest) = event.split_once(name)?;
        let digits = rest.split(' ').next()?.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    };
    let [value, ..] = number(" value ")?.to_le_bytes();
    Some(Access {
        write: event.starts_with("write"),
        address: number(" addr ")?,
        value,
        time: time.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: u64 = 0x5e9;

    fn write(address: u64, value: u8) -> String {
        format!(
            "9@1.5:memory_region_ops_write cpu 0 mr 0x1 addr {address:#x} value {value:#x} size 1 name 'io'\n"
        )
    }

    fn say(text: &str) -> String {
        let byte = |byte: u8| write(TALK, byte);
        text.bytes().map(byte).collect()
    }

    #[test]
    fn keeps_what_lies_between_the_kernels() -> Result<()> {
        let text = write(0x70, 1) + &say("harness: ready\n") + &write(0xe9, 0x41) + &say("payload");
        let trace = Trace::parse(&text, TALK)?;
        let kept: Vec<_> = trace
            .accesses
            .iter()
            .map(|a| (a.address, a.value))
            .collect();
        assert_eq!(kept, [(0xe9, 0x41)]);
        assert_eq!(trace.written(0xe9).count(), 1);
        assert!(!trace.shut_down);
        Ok(())
    }

    #[test]
    fn a_qemu_that_does_not_trace_is_an_error() {
        assert!(Trace::parse("", TALK).is_err());
        assert!(Trace::parse(&write(0xe9, 1), TALK).is_err());
    }
}
