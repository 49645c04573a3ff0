// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promise that the stack is deep enough: every call of the code, with exceptions on
//! top, at the worst moment for each.

use anyhow::{Result, anyhow};

use super::instructions::{Unnamed, ours};
use super::{Finding, Subject};
use crate::arch::Part;
use crate::symbols::address;

/// Returns how deep a blob of ours can get on its stack, in bytes, if that is known of
/// its architecture; the linked program of the same build has its code.
pub fn stack(blob: &[u8], linked: &[u8]) -> Result<Option<u64>> {
    let subject = Subject::of(blob, linked)?;
    let Some(find) = subject.file.arch.stack_parts() else {
        return Ok(None);
    };
    let code = ours(&subject).map_err(|unnamed| match unnamed {
        Unnamed::Absent(reason) | Unnamed::Other(reason) => anyhow!(reason),
    })?;
    let parts = find(&code).map_err(|reason| anyhow!(reason))?;
    Ok(Some(needed(&parts)))
}

fn needed(parts: &[Part]) -> u64 {
    let bytes = |part: &Part| part.times * part.deepest.bytes;
    parts.iter().map(bytes).sum()
}

pub(super) fn deep_enough(subject: &Subject<'_>, finding: &mut Finding) {
    let starts = ["stack_start", ".stack"];
    judge(subject, finding, (&starts, "stack_end"), |_| true);
}

/// The trip is not on it: a double fault or a machine check begins there.
pub(super) fn deep_enough_for_faults(subject: &Subject<'_>, finding: &mut Finding) {
    let ends = (&["fault_stack_start"][..], "fault_stack_end");
    judge(subject, finding, ends, |part| part.is_exception);
}

/// Compares the stack between two names with those parts that may lie on it.
fn judge(
    subject: &Subject<'_>,
    finding: &mut Finding,
    (starts, end): (&[&str], &str),
    lies_there: fn(&Part) -> bool,
) {
    let (Some(parts), true) = (subject.file.arch.stack_parts(), subject.is_ours()) else {
        return finding.inform();
    };
    let code = match ours(subject) {
        Ok(code) => code,
        Err(Unnamed::Absent(reason)) => return finding.skipped(reason),
        Err(Unnamed::Other(reason)) => return finding.doubtful(reason),
    };
    let name = |offset| code.place(offset).map_or("?", |(name, _)| name);
    let mut parts = match parts(&code) {
        Ok(parts) => parts,
        Err(reason) => return finding.broken(named(&reason, name)),
    };
    parts.retain(lies_there);
    let elf = subject.linked.unwrap_or_default();
    let start = starts.iter().find_map(|start| address(elf, start));
    let Some((start, end)) = start.zip(address(elf, end)) else {
        return finding.skipped(format!("the linked program has no {}, {end}", starts[0]));
    };
    let size = end.saturating_sub(start);
    let needed = needed(&parts);
    let list = parts.iter().map(|part| {
        let (what, times, bytes) = (part.what, part.times, part.deepest.bytes);
        format!("{what} {times} x {bytes}")
    });
    let list = list.collect::<Vec<_>>().join(", ");
    if needed > size {
        finding.broken(format!("{needed} of {size} bytes: {list}"));
    } else {
        finding.note(format!("{needed} of {size} bytes: {list}"));
    }
    for part in parts {
        let mut path: Vec<_> = part.deepest.path.into_iter().map(name).collect();
        path.dedup();
        finding.list(format!("{}: {}", part.what, path.join(" > ")));
    }
}

/// Names the place that a reason begins with.
fn named<'a>(reason: &str, name: impl Fn(u64) -> &'a str) -> String {
    let place = reason.split_once(' ').and_then(|(place, rest)| {
        let offset = u64::from_str_radix(place.strip_prefix("0x")?, 16).ok()?;
        Some(format!("{} ({place}) {rest}", name(offset)))
    });
    place.unwrap_or_else(|| reason.to_owned())
}
