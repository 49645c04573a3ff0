// SPDX-License-Identifier: MIT OR Apache-2.0
//! Promises about the symbols that the loader reads and writes by name.

use object::elf;

use super::{Finding, Subject};
use crate::load::Symbol;

pub(super) fn defined(subject: &Subject<'_>, finding: &mut Finding) {
    for (name, _) in subject.looked_up() {
        if subject.symbol(name).is_none() {
            finding.broken(subject.missing(name));
        }
    }
}

pub(super) fn sizes(subject: &Subject<'_>, finding: &mut Finding) {
    subject.skip_missing(finding);
    for (symbol, name, size) in subject.loader_symbols() {
        if let Some(size) = size
            && symbol.size != size
        {
            finding.broken(format!("{name} has {} bytes, not {size}", symbol.size));
        }
    }
}

pub(super) fn places(subject: &Subject<'_>, finding: &mut Finding) {
    subject.skip_missing(finding);
    for (symbol, name, size) in subject.loader_symbols() {
        let section = &subject.file.sections[usize::from(symbol.section.0)];
        if !section.is_alloc() {
            finding.broken(format!("{name} is in {section}, which is not loaded"));
        } else if let Some(size) = size
            && section.is_nobits()
        {
            finding.broken(format!(
                "{name} ({size} bytes) is in {section}, which is NOBITS"
            ));
        }
    }
}

pub(super) fn bounds(subject: &Subject<'_>, finding: &mut Finding) {
    subject.skip_missing(finding);
    for (symbol, name, size) in subject.loader_symbols() {
        let written = size.map_or(0, |_| symbol.size);
        if !subject.holds(&symbol, written) {
            let section = &subject.file.sections[usize::from(symbol.section.0)];
            finding.broken(format!(
                "{name} ({written} bytes at {:#x}) leaves {section} of {:#x} bytes",
                symbol.value, section.size
            ));
        }
    }
}

pub(super) fn unique(subject: &Subject<'_>, finding: &mut Finding) {
    let names = subject.looked_up().iter().map(|(name, _)| *name);
    for name in names.chain(["purgatory_start"]) {
        if let Some(duplicate) = subject.duplicate(name) {
            finding.broken(duplicate);
        }
    }
}

pub(super) fn stack_alignment(subject: &Subject<'_>, finding: &mut Finding) {
    let Some(symbol) = subject.symbol("stack_end") else {
        return finding.skipped("there is no stack_end");
    };
    let section = &subject.file.sections[usize::from(symbol.section.0)];
    let offset = match &subject.layout {
        Ok(layout) => layout.offset(section),
        Err(_) => None,
    };
    // The start of the memory is on a page, so the offset decides.
    match offset.map(|offset| offset.wrapping_add(symbol.value)) {
        None => finding.skipped("its section has no place in memory"),
        Some(offset) if offset % 16 == 0 => finding.note(format!("+{offset:#x}")),
        Some(offset) => finding.broken(format!("stack_end is at +{offset:#x}")),
    }
}

impl<'data> Subject<'data> {
    /// Returns what its loader looks up by name.
    fn looked_up(&self) -> &'static [(&'static str, Option<u64>)] {
        let tool = self.tool().map(|tool| tool.symbols);
        tool.unwrap_or_else(|| self.file.arch.symbols)
    }

    /// Finds a symbol as the kernel does.
    pub(super) fn symbol(&self, name: &str) -> Option<Symbol<'data>> {
        self.file.find_symbol(name).ok().flatten()
    }

    /// Says why the kernel does not find a symbol.
    pub(super) fn missing(&self, name: &str) -> String {
        let mut named = self.symbols().filter(|symbol| symbol.name == Some(name));
        if let Err(error) = self.file.find_symbol(name) {
            return format!("{name} cannot be looked up: {error}");
        }
        match named.next() {
            None if self.tool().is_none()
                && self
                    .symbols()
                    .any(|symbol| symbol.name == Some("sha256_regions")) =>
            {
                format!("there is no {name}: this is a kexec-tools purgatory, of another contract")
            }
            None => format!("there is no {name}"),
            Some(symbol) if symbol.binding != elf::STB_GLOBAL => {
                format!("{name} is {:?}, not STB_GLOBAL", symbol.binding)
            }
            Some(symbol) => format!("{name} is in no section ({:?})", symbol.section),
        }
    }

    /// Says which symbols share a name, if more than one does.
    pub(super) fn duplicate(&self, name: &str) -> Option<String> {
        let named = self
            .symbols()
            .filter(|symbol| symbol.binding == elf::STB_GLOBAL && symbol.name == Some(name));
        let mut indices = named.map(|symbol| format!("#{}", symbol.index));
        let first = indices.next()?;
        let others = indices.collect::<Vec<_>>().join(", ");
        (!others.is_empty()).then(|| {
            format!("duplicate symbol {name}: the loader uses the first, {first}; also {others}")
        })
    }

    /// Tells whether `size` bytes at a symbol are in its section.
    pub(super) fn holds(&self, symbol: &Symbol<'_>, size: u64) -> bool {
        let section = &self.file.sections[usize::from(symbol.section.0)];
        let end = symbol.value.checked_add(size);
        end.is_some_and(|end| end <= section.size)
    }

    fn symbols(&self) -> impl Iterator<Item = Symbol<'data>> {
        let tables = self.file.symbol_tables();
        tables.flat_map(|table| self.file.symbols(table)).flatten()
    }

    /// A row that says nothing about a symbol must not look held.
    fn skip_missing(&self, finding: &mut Finding) {
        let names = self.looked_up().iter().map(|(name, _)| *name);
        let missing: Vec<_> = names.filter(|name| self.symbol(name).is_none()).collect();
        match missing[..] {
            [] => {}
            [first, _, _, _, _, ..] => {
                finding.skipped(format!("not found: {first} and {} more", missing.len() - 1));
            }
            _ => finding.skipped(format!("not found: {}", missing.join(", "))),
        }
    }

    fn loader_symbols(&self) -> impl Iterator<Item = (Symbol<'data>, &'static str, Option<u64>)> {
        let symbols = self.looked_up().iter();
        symbols.filter_map(|&(name, size)| Some((self.symbol(name)?, name, size)))
    }
}
