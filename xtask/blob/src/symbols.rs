// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies where: machine code with the names of its functions, and the map.
//!
//! The blob itself carries the few symbols that loaders look up; the names of
//! everything else come from the linked program beside it. Knows no instruction.

use std::fmt::{Display, Write as _};

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind, elf};

/// A run of code and what is where in it.
#[derive(Clone, Debug)]
pub struct Code<'data> {
    /// Its bytes.
    pub bytes: &'data [u8],
    /// Offsets and names, ascending, one an offset.
    names: Vec<(u64, String)>,
}

impl<'data> Code<'data> {
    /// Returns the code of a linked blob, from `purgatory_start` to `text_end`:
    /// tables and constants follow.
    pub fn linked(elf: &'data [u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let section = file
            .section_by_name(".purgatory")
            .context("it has no section .purgatory")?;
        let start = section.address();
        let end = file
            .symbols()
            .find(|symbol| symbol.name() == Ok("text_end"))
            .context("it has no symbol text_end")?
            .address();
        let bytes = usize::try_from(end.wrapping_sub(start))
            .ok()
            .and_then(|len| section.data().ok()?.get(..len))
            .context("its text_end is not in .purgatory")?;
        let symbols = file
            .symbols()
            .filter(|symbol| symbol.section_index() == Some(section.index()))
            .filter(|symbol| (start..end).contains(&symbol.address()))
            .map(|symbol| {
                let is_function = symbol.kind() == SymbolKind::Text && symbol.size() > 0;
                let name = symbol.name().unwrap_or_default();
                (symbol.address() - start, !is_function, name)
            });
        Ok(Self::new(bytes, symbols.collect()))
    }

    /// Returns where a function begins.
    pub(crate) fn find(&self, name: &str) -> Option<u64> {
        let named = self.names.iter().find(|(_, known)| known == name);
        named.map(|(start, _)| *start)
    }

    /// Of several symbols at one offset the first in order names it. An assembler's own
    /// labels and marks name nothing.
    pub(crate) fn new(bytes: &'data [u8], mut symbols: Vec<(u64, bool, &str)>) -> Self {
        let is_name =
            |name: &str| !name.is_empty() && !name.starts_with('$') && !name.starts_with(".L");
        symbols.retain(|(.., name)| is_name(name));
        symbols.sort_unstable();
        symbols.dedup_by_key(|(offset, ..)| *offset);
        let names = symbols.into_iter().map(|(offset, _, name)| {
            // Without the hash, which differs from build to build.
            (offset, format!("{:#}", rustc_demangle::demangle(name)))
        });
        Self {
            bytes,
            names: names.collect(),
        }
    }

    /// Returns the function at `offset`, and how far into it that is.
    #[must_use]
    pub fn place(&self, offset: u64) -> Option<(&str, u64)> {
        let inside = offset < self.bytes.len() as u64;
        let after = self.names.partition_point(|(start, _)| *start <= offset);
        let (start, name) = self.names.get(after.checked_sub(1)?).filter(|_| inside)?;
        Some((name, offset - start))
    }

    /// Returns each function with its offset and bytes; what lies before the
    /// first symbol has no name.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&str, u64, &'data [u8])> {
        let end = self.bytes.len() as u64;
        let first = self.names.first().map_or(end, |(start, _)| *start);
        let starts = self
            .names
            .iter()
            .map(|(start, name)| (*start, name.as_str()));
        let ends = self
            .names
            .iter()
            .skip(1)
            .map(|(start, _)| *start)
            .chain([end]);
        [((0, "(nameless)"), first)]
            .into_iter()
            .chain(starts.zip(ends))
            .filter(|((start, _), end)| start < end)
            .map(|((start, name), end)| (name, start, &self.bytes[start as usize..end as usize]))
    }
}

/// Returns the address of a symbol, or of a section, of a linked program.
pub(crate) fn address(elf: &[u8], name: &str) -> Option<u64> {
    let file = object::File::parse(elf).ok()?;
    let symbol = file.symbol_by_name(name).map(|symbol| symbol.address());
    symbol.or_else(|| Some(file.section_by_name(name)?.address()))
}

/// Describes the linked program and the toolchain that it came from, for people who
/// hold a dump, and for whoever wants to build the same bytes again.
pub fn map(linked: &[u8], toolchain: impl Display) -> Result<String> {
    let file = object::File::parse(linked)?;
    let mut text = format!("toolchain\n{toolchain}\n\nsections\n");
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        if sh_flags.contains(elf::SHF_ALLOC) && section.size() > 0 {
            let (address, size) = (section.address(), section.size());
            writeln!(text, "  {address:#07x} {size:6} {}", section.name()?)?;
        }
    }
    text += "\nsymbols\n";
    let named = file.symbols().filter(|symbol| {
        symbol.is_definition() && symbol.name().is_ok_and(|name| !name.is_empty())
    });
    let mut symbols: Vec<_> = named.collect();
    symbols.sort_by_key(|symbol| (symbol.address(), symbol.size()));
    for symbol in symbols {
        let (address, size) = (symbol.address(), symbol.size());
        writeln!(text, "  {address:#07x} {size:6} {}", symbol.name()?)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_byte() {
        let bytes = [0; 10];
        let symbols = vec![
            (4, true, "alias"),
            (4, false, "f"),
            (2, false, "_RNvC1a1b"),
            (6, true, ""),
        ];
        let code = Code::new(&bytes, symbols);
        let places = [0, 2, 4, 9, 10].map(|offset| code.place(offset));
        assert_eq!(
            places,
            [
                None,
                Some(("a::b", 0)),
                Some(("f", 0)),
                Some(("f", 5)),
                None
            ]
        );
        let functions: Vec<_> = code
            .functions()
            .map(|(name, start, bytes)| (name, start, bytes.len()))
            .collect();
        assert_eq!(
            functions,
            [("(nameless)", 0, 2), ("a::b", 2, 2), ("f", 4, 6)]
        );
    }
}
