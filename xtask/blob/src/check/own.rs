// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this project's blob promises beyond the loader's contract.

use object::elf;

use super::{Finding, Subject};
use crate::load::{Loaded, Section, Symbol};
use crate::number::PAGE;
use crate::wrap;
use crate::wrap::{CHECKSUM, OWN};

pub(super) fn one_section(subject: &Subject<'_>, finding: &mut Finding) {
    let (stack, bytes): (Vec<&Section<'_>>, Vec<_>) =
        subject.used().partition(|section| section.is_nobits());
    if bytes.len() != 1 || stack.len() > 1 {
        finding.broken(format!(
            "{} sections with bytes, {} without",
            bytes.len(),
            stack.len()
        ));
    }
}

pub(super) fn no_relocations(subject: &Subject<'_>, finding: &mut Finding) {
    for section in &subject.file.sections {
        let kinds = [elf::SHT_RELA, elf::SHT_REL, elf::SHT_RELR, elf::SHT_CREL];
        if kinds.contains(&section.kind) && section.size > 0 {
            finding.broken(format!("{section} has {:#x} bytes", section.size));
        }
    }
}

pub(super) fn first_byte(subject: &Subject<'_>, finding: &mut Finding) {
    let Some(start) = subject.symbol("purgatory_start") else {
        return finding.skipped("there is no purgatory_start");
    };
    if start.value != 0 || subject.file.entry != 0 {
        finding.broken(format!(
            "purgatory_start is at {:#x}, e_entry is {:#x}",
            start.value, subject.file.entry
        ));
    }
}

pub(super) fn stack_place(subject: &Subject<'_>, finding: &mut Finding) {
    let first = |nobits| subject.used().find(|section| section.is_nobits() == nobits);
    let (Ok(layout), Some(code), Some(stack)) = (&subject.layout, first(false), first(true)) else {
        return finding.skipped("there are no two sections with a place in memory");
    };
    let linked = code.size.checked_next_multiple_of(PAGE);
    let loaded = layout.offset(stack);
    // Only some loaders look it up.
    let end = subject.symbol("stack_end");
    let is_inside = |end: &Symbol<'_>| {
        usize::from(end.section.0) == stack.index && (PAGE..=stack.size).contains(&end.value)
    };
    if let Some(end) = end.filter(|end| !is_inside(end)) {
        finding.broken(format!(
            "stack_end is at {:#x} of {}, not a page or more into a NOBITS section",
            end.value,
            subject.file.sections[usize::from(end.section.0)]
        ));
    } else if loaded != linked {
        finding.broken(format!(
            "{stack} is loaded at +{:#x}, linked at +{:#x}",
            loaded.unwrap_or_default(),
            linked.unwrap_or_default()
        ));
    } else {
        finding.note(format!(
            "+{:#x}, {:#x} bytes",
            loaded.unwrap_or_default(),
            stack.size
        ));
    }
}

pub(super) fn symbols(subject: &Subject<'_>, finding: &mut Finding) {
    for name in OWN {
        let Some(symbol) = subject.symbol(name) else {
            finding.broken(subject.missing(name));
            continue;
        };
        let section = &subject.file.sections[usize::from(symbol.section.0)];
        let written = name == "purgatory_status";
        if !section.is_alloc() || section.is_nobits() != written {
            finding.broken(format!(
                "{name} is in {section}, {}",
                if written {
                    "whose pages hold code: writing there is slow"
                } else {
                    "which has no loaded bytes"
                }
            ));
        } else if symbol.size == 0 || !subject.holds(&symbol, symbol.size) {
            finding.broken(format!(
                "{name} ({} bytes at {:#x}) is not inside {section}",
                symbol.size, symbol.value
            ));
        }
        if let Some(duplicate) = subject.duplicate(name) {
            finding.broken(duplicate);
        }
    }
}

pub(super) fn checksum(subject: &Subject<'_>, finding: &mut Finding) {
    let Some(symbol) = subject.symbol(CHECKSUM) else {
        return finding.skipped(subject.missing(CHECKSUM));
    };
    let section = &subject.file.sections[usize::from(symbol.section.0)];
    let bytes = subject.file.data(section).unwrap_or_default();
    let parts = usize::try_from(symbol.value)
        .ok()
        .and_then(|place| bytes.split_at_checked(place));
    let Some((front, Some(written))) = parts.map(|(front, rest)| (front, rest.first_chunk()))
    else {
        return finding.broken(format!("{CHECKSUM} is not inside {section}"));
    };
    let (written, sum) = (u64::from_le_bytes(*written), wrap::checksum(front));
    if written == sum {
        finding.note(format!("{sum:#018x} of {} bytes", front.len()));
    } else {
        finding.broken(format!(
            "{CHECKSUM} is {written:#018x}, the {} bytes in front of it make {sum:#018x}",
            front.len()
        ));
    }
}

pub(super) fn slot(subject: &Subject<'_>, finding: &mut Finding) {
    let bytes = subject.bytes.len();
    for (kernel, slot) in subject.file.arch.slots {
        let is_asked = subject.kernels.iter().any(|series| series.name == *kernel);
        if is_asked && bytes > *slot {
            finding.broken(format!("{bytes} bytes; Debian's {kernel} has {slot}"));
        }
    }
    finding.note(format!("{bytes} bytes"));
}

pub(super) fn same_bytes(subject: &Subject<'_>, finding: &mut Finding) {
    let load = |&mem| Loaded::place(subject.bytes, mem, subject.kernels[0]).ok();
    let images: Vec<_> = subject.addresses.iter().filter_map(load).collect();
    let Some((first, others)) = images.split_first() else {
        return finding.skipped("it loads nowhere");
    };
    for other in others {
        let differ = first.buf.iter().zip(&other.buf).filter(|(a, b)| a != b);
        let differ = differ.count();
        if differ > 0 || first.entry - first.mem != other.entry - other.mem {
            finding.broken(format!(
                "{differ} bytes differ between {:#x} and {:#x}, entered at +{:#x} and +{:#x}",
                first.mem,
                other.mem,
                first.entry - first.mem,
                other.entry - other.mem
            ));
        }
    }
    finding.note(format!("{} addresses", images.len()));
}

pub(super) fn no_panic(subject: &Subject<'_>, finding: &mut Finding) {
    for table in subject.file.symbol_tables() {
        for symbol in subject.file.symbols(table).into_iter().flatten() {
            // Both manglings keep the module's name, with its length.
            if symbol.label().contains("9panicking") {
                finding.broken(format!("symbol {}", symbol.label()));
            }
        }
    }
    // A stripped blob still has the source files that a panic would name.
    for section in subject.used().filter(|section| !section.is_nobits()) {
        let data = subject.file.data(section).unwrap_or_default();
        for (offset, _) in data
            .windows(4)
            .enumerate()
            .filter(|(_, word)| word == b"src/")
        {
            let path: Vec<_> = data[offset..]
                .iter()
                .take_while(|&&byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte))
                .copied()
                .collect();
            let path = String::from_utf8_lossy(&path);
            if path.contains(".rs") {
                finding.broken(format!("{section}+{offset:#x} names {path}"));
            }
        }
    }
}
