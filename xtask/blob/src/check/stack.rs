//! The promise that the stack is deep enough: every call of the code, with exceptions on
//! top, at the worst moment for each.

use super::instructions::{Unnamed, ours};
use super::{Finding, Subject};
use crate::symbols::address;

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
    let needed: u64 = parts
        .iter()
        .map(|part| part.times * part.deepest.bytes)
        .sum();
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
        let path = part.deepest.path.into_iter().map(name);
        finding.list(format!(
            "{}: {}",
            part.what,
            path.collect::<Vec<_>>().join(" > ")
        ));
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
