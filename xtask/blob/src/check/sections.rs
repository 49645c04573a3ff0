// SPDX-License-Identifier: MIT OR Apache-2.0
//! Promises about the ELF header and the section headers.

use object::elf;

use super::{Finding, Subject};
use crate::load::{Section, Series, entry as entry_by_rule};
use crate::number::PAGE;

pub(super) fn header(subject: &Subject<'_>, finding: &mut Finding) {
    let file = &subject.file;
    if file.kind != elf::ET_REL {
        finding.broken(format!("e_type is {:?}, not ET_REL", file.kind));
    }
    match file.sections.get(file.names) {
        Some(names) if names.kind == elf::SHT_STRTAB => {}
        Some(names) => finding.broken(format!("e_shstrndx: {names} is no string table")),
        None => finding.broken(format!("e_shstrndx {} is no section", file.names)),
    }
    finding.note(format!("{} sections", file.sections.len()));
}

pub(super) fn bounds(subject: &Subject<'_>, finding: &mut Finding) {
    let file = &subject.file;
    for section in &file.sections[1..] {
        if section.name.is_none() {
            finding.broken(format!(
                "the name of {section} is no printable string in the file"
            ));
        }
        if section.is_nobits() {
            continue;
        }
        if let Err(error) = file.data(section) {
            finding.broken(error.to_string());
        }
    }
    for table in file
        .sections
        .iter()
        .filter(|table| table.kind == elf::SHT_SYMTAB)
    {
        if table.link >= file.sections.len() {
            finding.broken(format!("{table} has no string table"));
            continue;
        }
        for symbol in file.symbols(table).into_iter().flatten() {
            if symbol.name.is_none() {
                let index = symbol.index;
                finding.broken(format!(
                    "the name of symbol {index} is no printable string in the file"
                ));
            }
        }
    }
    finding.note(format!("{} bytes", subject.bytes.len()));
}

pub(super) fn alignments(subject: &Subject<'_>, finding: &mut Finding) {
    for section in subject.file.loaded_sections() {
        // To kexec-tools, 0 is 1.
        let is_none = section.align == 0 && subject.tool().is_some();
        if !is_none && !section.align.is_power_of_two() {
            finding.broken(format!("{section} has sh_addralign {:#x}", section.align));
        } else if section.align > PAGE {
            finding.doubtful(format!(
                "{section} has sh_addralign {:#x}: more than a page wastes memory",
                section.align
            ));
        }
    }
}

pub(super) fn addresses(subject: &Subject<'_>, finding: &mut Finding) {
    for section in subject.file.loaded_sections() {
        if section.addr != 0 {
            finding.broken(format!("{section} has sh_addr {:#x}", section.addr));
        }
    }
}

pub(super) fn one_executable(subject: &Subject<'_>, finding: &mut Finding) {
    let code: Vec<_> = subject.code().collect();
    let entered: Vec<_> = code
        .iter()
        .filter(|section| section.entry_offset(subject.file.entry).is_some())
        .map(ToString::to_string)
        .collect();
    let by_entry_only = |kernel: &&Series| !kernel.entry_by_symbol;
    match code[..] {
        [] => finding.broken("no loaded section is executable"),
        [only] => finding.note(only.to_string()),
        _ => {
            if entered.len() > 1
                && let Some(kernel) = subject.kernels.iter().find(by_entry_only)
            {
                finding.broken(format!(
                    "e_entry {:#x} matches {}: {kernel} warns and enters the first",
                    subject.file.entry,
                    entered.join(" and ")
                ));
            } else {
                finding.doubtful(format!(
                    "{} sections are executable: {}",
                    code.len(),
                    code.iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
        }
    }
}

pub(super) fn entry(subject: &Subject<'_>, finding: &mut Finding) {
    let Ok(layout) = &subject.layout else {
        return finding.skipped("the sections cannot be laid out");
    };
    let Some(start) = subject.symbol("purgatory_start") else {
        return finding.broken(subject.missing("purgatory_start"));
    };
    let section = subject.file.sections[usize::from(start.section.0)];
    if !subject.code().any(|code| code.index == section.index) || start.value >= section.size {
        return finding.broken(format!(
            "purgatory_start is at {section}+{:#x}: no loaded code",
            start.value
        ));
    }
    let multiple = subject.file.arch.entry_alignment;
    if !start.value.is_multiple_of(multiple) {
        finding.broken(format!(
            "purgatory_start is at {:#x} of its section, not at a multiple of {multiple}",
            start.value
        ));
    }
    if subject.file.entry != start.value {
        finding.broken(format!(
            "e_entry is {:#x}, purgatory_start is at {:#x} of its section",
            subject.file.entry, start.value
        ));
    }
    let wanted = layout.offset(&section).map(|offset| offset + start.value);
    for &kernel in &subject.kernels {
        match entry_by_rule(&subject.file, layout, 0, kernel) {
            Ok(entry) if Some(entry) == wanted => {}
            Ok(entry) => finding.broken(format!(
                "{kernel} enters at +{entry:#x}, purgatory_start is at +{:#x}",
                wanted.unwrap_or_default()
            )),
            Err(error) => finding.broken(format!("{kernel}: {error}")),
        }
    }
    finding.note(format!("{section}+{:#x}", start.value));
}

pub(super) fn nobits(subject: &Subject<'_>, finding: &mut Finding) {
    let stack = subject.symbol("stack_end").map(|symbol| symbol.section.0);
    let dirty: Vec<_> = subject
        .kernels
        .iter()
        .filter(|kernel| kernel.dirty_nobits)
        .map(ToString::to_string)
        .collect();
    if dirty.is_empty() {
        return finding.note("these kernels clear it");
    }
    for section in subject.used().filter(|section| section.is_nobits()) {
        if stack.map(usize::from) == Some(section.index) {
            finding.note(format!("{section} holds the stack"));
        } else {
            finding.doubtful(format!(
                "{section} of {:#x} bytes may hold anything in {}",
                section.size,
                dirty.join(", ")
            ));
        }
    }
}

pub(super) fn ballast(subject: &Subject<'_>, finding: &mut Finding) {
    for section in &subject.file.sections {
        let name = section.name.unwrap_or_default();
        if section.is_alloc() && name.starts_with(".eh_frame") {
            finding.broken(format!("{section} is loaded: built with unwind tables"));
        }
        if name.starts_with(".debug_") || name.starts_with(".zdebug_") {
            finding.broken(format!("{section}: built with -g"));
        }
    }
}

impl<'data> Subject<'data> {
    /// Returns the loaded sections that are not empty; assemblers leave an
    /// empty `.text`, `.data` and `.bss` in every object.
    pub(super) fn used(&self) -> impl Iterator<Item = &Section<'data>> {
        self.file
            .loaded_sections()
            .filter(|section| section.size > 0)
    }

    /// Returns the sections that can be entered.
    pub(super) fn code(&self) -> impl Iterator<Item = &Section<'data>> {
        self.used()
            .filter(|section| section.is_executable() && !section.is_nobits())
    }
}
