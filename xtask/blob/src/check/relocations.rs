// SPDX-License-Identifier: MIT OR Apache-2.0
//! Promises about relocations, and about the symbols they need.

use std::collections::BTreeMap;

use object::elf;

use super::{Finding, Subject};
use crate::load::{Relocation, Section, Symbol};

/// Names that a compiler's option puts into the code, and that option.
const STRAYS: [(&str, &str); 20] = [
    ("__fentry__", "built with -pg"),
    ("mcount", "built with -pg"),
    ("__stack_chk_", "built with -fstack-protector"),
    ("__asan_", "built with -fsanitize=kernel-address"),
    ("__tsan_", "built with -fsanitize=thread"),
    ("__msan_", "built with -fsanitize=kernel-memory"),
    ("__ubsan_", "built with -fsanitize=undefined"),
    ("__sanitizer_cov_", "built with -fsanitize-coverage"),
    ("__gcov_", "built with -fprofile-arcs"),
    ("__llvm_", "built with -fprofile-generate"),
    (
        "ftrace_likely_update",
        "built without -DDISABLE_BRANCH_PROFILING",
    ),
    ("stackleak_", "built with the stackleak plugin"),
    ("__x86_indirect_thunk_", "built with retpolines"),
    (
        "__x86_return_thunk",
        "built with -mfunction-return=thunk-extern",
    ),
    ("_GLOBAL_OFFSET_TABLE_", "built to use a GOT"),
    ("_Unwind_", "built with unwinding: set panic=abort"),
    (
        "mem",
        "compilers call it on their own: define it in the blob",
    ),
    (
        "bcmp",
        "compilers call it on their own: define it in the blob",
    ),
    ("str", "not in the blob: add the object that defines it"),
    ("fortify_panic", "built with FORTIFY_SOURCE"),
];

pub(super) fn sections(subject: &Subject<'_>, finding: &mut Finding) {
    let sections = &subject.file.sections;
    for section in sections {
        let kind = section.kind;
        let applies = match kind {
            elf::SHT_RELA | elf::SHT_REL | elf::SHT_CREL => {
                if section.info >= sections.len() || section.link >= sections.len() {
                    finding.broken(format!("{section} names a section that does not exist"));
                    continue;
                }
                sections[section.info].is_alloc()
            }
            elf::SHT_RELR => true,
            _ => false,
        };
        if !applies || section.size == 0 {
            continue;
        }
        if kind != elf::SHT_RELA {
            finding.broken(format!("{section} is {kind:?}"));
            continue;
        }
        let (target, table) = (&sections[section.info], &sections[section.link]);
        if target.is_nobits() {
            finding.broken(format!("{section} relocates {target}, which has no bytes"));
        }
        if table.kind != elf::SHT_SYMTAB || table.link >= sections.len() {
            finding.broken(format!(
                "{section} links to {table}, no complete symbol table"
            ));
        }
    }
}

pub(super) fn types(subject: &Subject<'_>, finding: &mut Finding) {
    let uses = subject.uses();
    let known = &subject.file.arch.relocations;
    for found in &uses {
        let (kind, place) = (found.relocation.kind, found.place());
        let name = match (known.name)(kind) {
            Some(name) => name.to_owned(),
            None => format!("relocation type {kind}"),
        };
        match (known.effect)(kind) {
            None => finding.broken(format!("{name} at {place} is not accepted")),
            Some(effect) if effect.width == 4 && !effect.is_relative => {
                finding.doubtful(format!("{name} at {place} reaches 2 or 4 GiB only"));
            }
            Some(_) => {}
        }
    }
    finding.note(format!("{} in all", uses.len()));
}

pub(super) fn operands(subject: &Subject<'_>, finding: &mut Finding) {
    let sections = &subject.file.sections;
    for found in subject.uses() {
        let place = found.place();
        let effect = (subject.file.arch.relocations.effect)(found.relocation.kind);
        let width = effect.map_or(0, |effect| effect.width);
        let end = found.relocation.offset.checked_add(width as u64);
        if end.is_none_or(|end| end > found.target.size) {
            finding.broken(format!("{place} is beyond the section"));
        }
        let Some(symbol) = found.symbol else {
            let index = found.relocation.symbol;
            finding.broken(format!("{place} uses symbol {index}, beyond its table"));
            continue;
        };
        let label = symbol.label();
        let relative = effect.is_some_and(|effect| effect.is_relative);
        match symbol.section {
            // Another row's subject.
            elf::SHN_UNDEF | elf::SHN_COMMON => {}
            elf::SHN_ABS if symbol.name == Some("") => finding.broken(format!(
                "{place} uses a nameless absolute symbol: its name is looked up \
                 beyond the headers"
            )),
            elf::SHN_ABS if relative => finding.broken(format!(
                "{place} reaches the absolute {label} from wherever it is loaded: cut off in silence"
            )),
            elf::SHN_ABS => {}
            index => match sections.get(usize::from(index.0)) {
                None => finding.broken(format!("{place} uses {label} in section {}", index.0)),
                Some(section) if !section.is_alloc() => finding.broken(format!(
                    "{place} uses {label} in {section}, which is not loaded"
                )),
                Some(_) => {}
            },
        }
    }
}

pub(super) fn undefined(subject: &Subject<'_>, finding: &mut Finding) {
    let mut places: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for found in subject.uses() {
        let key = (found.table, found.relocation.symbol);
        places.entry(key).or_default().push(found.place());
    }
    for table in subject.file.symbol_tables() {
        for symbol in subject.file.symbols(table).into_iter().flatten() {
            let kind = match symbol.section {
                elf::SHN_UNDEF if symbol.binding == elf::STB_WEAK => "weak undefined symbol",
                elf::SHN_UNDEF => "undefined symbol",
                elf::SHN_COMMON => "common symbol",
                _ => continue,
            };
            let label = symbol.label();
            let hint = STRAYS.iter().find(|(prefix, _)| label.starts_with(prefix));
            let hint = hint.map_or(String::new(), |(_, hint)| format!(" ({hint})"));
            match places.get(&(table.index, symbol.index)) {
                Some(places) => {
                    let rest = places.len() - 1;
                    let more = match rest {
                        0 => String::new(),
                        _ => format!(" and {rest} more"),
                    };
                    let place = &places[0];
                    finding.broken(format!(
                        "{kind}: {label}, referenced from {place}{more}{hint}"
                    ));
                }
                // Entry 0 of every table is undefined by definition.
                None if symbol.index == 0 => {}
                None => finding.doubtful(format!("{kind}: {label}, never referenced{hint}")),
            }
        }
    }
}

/// A relocation that the kernel applies, and what it refers to. (It would take
/// any bytes as symbols; a link to no symbol table is another row's subject.)
struct Use<'data> {
    relocation: Relocation,
    target: Section<'data>,
    table: usize,
    symbol: Option<Symbol<'data>>,
}

impl Use<'_> {
    fn place(&self) -> String {
        let name = self.target.name.unwrap_or("?");
        format!("{name}+{:#x}", self.relocation.offset)
    }
}

impl<'data> Subject<'data> {
    fn uses(&self) -> Vec<Use<'data>> {
        let sections = &self.file.sections;
        let mut uses = Vec::new();
        for section in sections
            .iter()
            .filter(|section| section.kind == elf::SHT_RELA)
        {
            let (Some(target), Some(table)) =
                (sections.get(section.info), sections.get(section.link))
            else {
                continue;
            };
            if !target.is_alloc() || table.kind != elf::SHT_SYMTAB {
                continue;
            }
            let symbols: Vec<_> = self.file.symbols(table).into_iter().flatten().collect();
            for relocation in self.file.relocations(section).into_iter().flatten() {
                uses.push(Use {
                    relocation,
                    target: *target,
                    table: table.index,
                    symbol: symbols.get(relocation.symbol).copied(),
                });
            }
        }
        uses
    }
}
