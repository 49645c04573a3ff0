//! The blob's map: what lies where, and what made it. For people who hold a
//! dump, and for whoever wants to build the same bytes again.

use std::fmt::{Display, Write as _};

use anyhow::Result;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, elf};

/// Describes the linked program and the toolchain that it came from.
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
