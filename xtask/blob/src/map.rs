// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went into a linked program: each symbol, whose it is, and whether its name says
//! which one is meant.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use rustc_demangle::try_demangle;

/// A symbol that something defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Defined {
    /// The crate, as far as the name tells: link-time optimization leaves one object.
    pub owner: String,
    /// Its name as the linker knows it.
    pub name: String,
    /// Where it is.
    pub address: u64,
    /// How many bytes it says that it has.
    pub size: u64,
    /// Its section.
    pub section: String,
    /// Which one of its name it is, from 1 on, and of how many.
    pub place: (usize, usize),
}

/// The owner of what bears no crate's name: assembly, what is exported, the linker script.
const NOBODY: &str = "-";

/// Lists what a linked program defines, by owner, name and address.
pub fn defined(linked: &[u8]) -> Result<Vec<Defined>> {
    let file = object::File::parse(linked)?;
    let mut all = Vec::new();
    for symbol in file.symbols() {
        let name = symbol.name()?;
        let is_named = !name.is_empty() && symbol.kind() != SymbolKind::File;
        let section = match symbol.section_index() {
            Some(index) if is_named && symbol.is_definition() => file.section_by_index(index)?,
            _ => continue,
        };
        let readable = try_demangle(name).map(|name| format!("{name:#}"));
        let owner = readable.ok().and_then(|readable| {
            let words = readable.trim_start_matches(['<', '&', '*', '[']);
            Some(words.split_once("::")?.0.to_owned())
        });
        all.push(Defined {
            owner: owner.unwrap_or_else(|| NOBODY.to_owned()),
            name: name.to_owned(),
            address: symbol.address(),
            size: symbol.size(),
            section: section.name()?.to_owned(),
            place: (1, 1),
        });
    }
    all.sort();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in &mut all {
        let count = counts.entry(one.name.clone()).or_default();
        *count += 1;
        one.place.0 = *count;
    }
    for one in &mut all {
        one.place.1 = counts[&one.name];
    }
    Ok(all)
}

/// Formats the list: a line for an owner, then one for each of its symbols.
#[must_use]
pub fn listing(all: &[Defined]) -> String {
    let mut text = "purgatory-symbol-data.1\n".to_owned();
    let mut owner = "";
    for one in all {
        if one.owner != owner {
            owner = &one.owner;
            let _ = writeln!(text, "*{owner}");
        }
        let unique = match one.place {
            (_, 1) => "unique".to_owned(),
            (number, _) => format!("dup({number})"),
        };
        let (name, size, section) = (&one.name, one.size, &one.section);
        let _ = writeln!(text, "{name} {size} {section} {unique}");
    }
    text
}

/// Finds who defines a name, as the linker or as Rust writes it; `NAME,2` is the second.
pub fn who<'a>(all: &'a [Defined], asked: &str) -> Result<&'a Defined> {
    let named = |name: &str| -> Vec<&'a Defined> {
        let is_it = |one: &&Defined| {
            one.name == name || try_demangle(&one.name).is_ok_and(|one| format!("{one:#}") == name)
        };
        all.iter().filter(is_it).collect()
    };
    let numbered = asked.rsplit_once(',').and_then(|(name, number)| {
        let number = number.parse::<usize>().ok()?.checked_sub(1)?;
        named(name).get(number).copied()
    });
    match (named(asked).as_slice(), numbered) {
        ([], Some(one)) => Ok(one),
        ([one], _) => Ok(*one),
        ([], None) => None.with_context(|| {
            format!("nothing defines {asked}: either nobody calls it, or it was inlined")
        }),
        (several, _) => {
            let choices = (1..).zip(several).map(|(number, one)| {
                format!(
                    "\n  {asked},{number}  *{}, {:#x} in {}",
                    one.owner, one.address, one.section
                )
            });
            bail!(
                "{asked} is ambiguous: ask for one of{}",
                choices.collect::<String>()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::program;

    const SOURCE: &str = "
        .globl purgatory_start
        .section .text.a, \"ax\"
        purgatory_start: jmp twice
        twice: ret
        .size purgatory_start, 2
        .section .text.b, \"ax\"
        _RNvC1a1b: nop
        .section .data, \"aw\"
        .long 1
";

    #[test]
    fn what_nobody_calls_is_gone() {
        let names = |flags: &[&str]| listing(&defined(&program(&[SOURCE], flags)).unwrap());
        assert!(
            names(&[]).contains("*a\n_RNvC1a1b 0 .text unique\n"),
            "{}",
            names(&[])
        );
        let kept = names(&["--gc-sections"]);
        assert!(!kept.contains("_RNvC1a1b"), "{kept}");
        assert!(kept.starts_with("purgatory-symbol-data.1\n*-\n"), "{kept}");
        assert!(
            kept.contains("\npurgatory_start 2 .text unique\n"),
            "{kept}"
        );
        assert_eq!(kept, names(&["--gc-sections"]));
    }

    #[test]
    fn an_ambiguous_name_lists_its_choices() {
        let other = ".section .text.c, \"ax\"\n twice: nop\n .globl other\n other: jmp twice\n";
        let all = defined(&program(&[SOURCE, other], &[])).unwrap();
        assert!(listing(&all).contains("\ntwice 0 .text dup(2)\n"));
        let error = who(&all, "twice").unwrap_err().to_string();
        assert!(
            error.contains("ambiguous") && error.contains("\n  twice,2  *-, 0x"),
            "{error}"
        );
        assert_eq!(who(&all, "twice,2").unwrap().place, (2, 2));
        assert_eq!(who(&all, "a::b").unwrap().name, "_RNvC1a1b");
        let error = who(&all, "twice,3").unwrap_err().to_string();
        assert!(error.contains("nothing defines twice,3"), "{error}");
    }
}
