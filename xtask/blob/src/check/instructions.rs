// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promise that nothing executes where it must not: no port I/O while all
//! is well, nothing that a confidential guest traps, no register state that
//! belongs to the next kernel.
//!
//! Every byte of code is disassembled, function by function. What the code
//! does with its instructions is not judged.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use super::{Finding, Subject};
use crate::arch::{Instructions, Kind};
use crate::symbols::Code;

/// What no kernel leaves switched on, as tables of kinds name it.
const EXTENSION: &str = "vector or other extension";

/// An instruction of our own blob that has to be in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is, from `purgatory_start`.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its mnemonic, in lower case.
    pub name: String,
    /// Its mnemonic and operands.
    pub text: String,
    /// Why it is looked at.
    pub kind: &'static str,
    /// The function that has it, demangled.
    pub function: String,
}

/// Lists all of them, in the order of the code; the linked program of the same build
/// names the functions.
pub fn listed(blob: &[u8], linked: &[u8]) -> Result<Vec<Listed>> {
    let subject = Subject::of(blob, linked)?;
    let code = ours(&subject).map_err(|unnamed| match unnamed {
        Unnamed::Absent(reason) | Unnamed::Other(reason) => anyhow!(reason),
    })?;
    let rule = &subject.file.arch.instructions;
    let mut all = Vec::new();
    for (function, start, bytes) in code.functions() {
        for instruction in (rule.decode)(bytes, start) {
            if let Some(kind) = instruction.kind {
                all.push(Listed {
                    offset: instruction.address,
                    length: instruction.length,
                    name: instruction.name,
                    text: instruction.text,
                    kind: rule.kinds[kind].name,
                    function: function.to_owned(),
                });
            }
        }
    }
    Ok(all)
}

pub(super) fn in_their_places(subject: &Subject<'_>, finding: &mut Finding) {
    let rule = &subject.file.arch.instructions;
    if subject.is_ours() && subject.tool().is_none() {
        match ours(subject) {
            Ok(code) => judge(rule, &[code], finding, |kind, function| {
                kind.places.iter().any(|place| function.contains(place))
            }),
            Err(Unnamed::Absent(reason)) => finding.skipped(reason),
            Err(Unnamed::Other(reason)) => finding.doubtful(reason),
        }
    } else {
        let code = subject.code().map(|section| subject.file.code(section));
        match code.collect::<Result<Vec<_>, _>>() {
            // Consoles and the rest of the hardware are what it promises this tool.
            Ok(code) if subject.tool().is_some() => {
                judge(rule, &code, finding, |kind, _| kind.name != EXTENSION);
            }
            Ok(code) => judge(rule, &code, finding, |kind, _| !kind.is_banned),
            Err(error) => finding.skipped(error.to_string()),
        }
    }
}

/// Why functions have no names.
pub(super) enum Unnamed {
    Absent(String),
    Other(String),
}

/// Returns our code with the names that the blob itself does not carry.
pub(super) fn ours<'a>(subject: &Subject<'a>) -> Result<Code<'a>, Unnamed> {
    let Some(elf) = subject.linked else {
        let name = subject.file.arch.linked_name();
        let reason = format!("no names: give the linked program, {name}, with --elf");
        return Err(Unnamed::Absent(reason));
    };
    let code = Code::linked(elf)
        .map_err(|error| Unnamed::Other(format!("the linked program: {error}")))?;
    let start = subject.symbol("purgatory_start").map(|start| start.section);
    let section = start.map(|index| &subject.file.sections[usize::from(index.0)]);
    let bytes = section.and_then(|section| subject.file.data(section).ok());
    // The code only: the tables behind it may have been configured since.
    if bytes.is_some_and(|bytes| bytes.starts_with(code.bytes)) {
        Ok(code)
    } else {
        let reason = "the linked program is that of another build: its code differs";
        Err(Unnamed::Other(reason.into()))
    }
}

fn judge(
    rule: &Instructions,
    code: &[Code<'_>],
    finding: &mut Finding,
    allowed: impl Fn(&Kind, &str) -> bool,
) {
    let (mut total, mut listed) = (0_usize, 0_usize);
    for (function, start, bytes) in code.iter().flat_map(Code::functions) {
        let mut found = BTreeMap::<usize, Vec<String>>::new();
        for instruction in (rule.decode)(bytes, start) {
            total += 1;
            let Some(index) = instruction.kind else {
                continue;
            };
            listed += 1;
            let (kind, name) = (&rule.kinds[index], instruction.name);
            if !allowed(kind, function) {
                let (offset, kind) = (instruction.address - start, kind.name);
                finding.broken(format!("{name} in {function}+{offset:#x}: {kind}"));
            }
            let names = found.entry(index).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        for (kind, names) in found {
            let kind = rule.kinds[kind].name;
            finding.list(format!("{function}: {kind} ({})", names.join(", ")));
        }
    }
    finding.note(format!("{total}, of which {listed} need a reason"));
}
