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
    let (Some(parts), true) = (subject.file.arch.stack_parts(), subject.is_ours()) else {
        return finding.inform();
    };
    let code = match ours(subject) {
        Ok(code) => code,
        Err(Unnamed::Absent(reason)) => return finding.skipped(reason),
        Err(Unnamed::Other(reason)) => return finding.doubtful(reason),
    };
    let name = |offset| code.place(offset).map_or("?", |(name, _)| name);
    let parts = match parts(&code) {
        Ok(parts) => parts,
        Err(reason) => return finding.broken(named(&reason, name)),
    };
    let elf = subject.linked.unwrap_or_default();
    let Some(end) = address(elf, "stack_end") else {
        return finding.skipped("the linked program has no stack_end");
    };
    let start = address(elf, "stack_start").or_else(|| address(elf, ".stack"));
    let size = end.saturating_sub(start.unwrap_or(end));
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
