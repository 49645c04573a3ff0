// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Kconfig file as a list of entries, each with its line and where it ends.
//!
//! Help texts are prose: what looks like an entry in one is none.

/// An entry that defines a symbol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    /// The byte behind its last line that is not empty.
    pub(super) end: usize,
}

/// What begins a statement of its own.
const STATEMENTS: [&str; 12] = [
    "config",
    "menuconfig",
    "choice",
    "endchoice",
    "comment",
    "menu",
    "endmenu",
    "if",
    "endif",
    "source",
    "mainmenu",
    "rsource",
];

/// Lists the entries of a file.
pub(super) fn entries(source: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    // Whether a line would belong to the last entry.
    let mut open = false;
    let mut help = Help::None;
    let mut at = 0;
    for (index, line) in source.split_inclusive('\n').enumerate() {
        at += line.len();
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let prose = help.holds(indent(line));
        if !prose && text.starts_with('#') {
            continue;
        }
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        if !prose && STATEMENTS.contains(&first) {
            open = ["config", "menuconfig"].contains(&first);
            if open {
                entries.push(Entry {
                    name: words.next().unwrap_or_default(),
                    line: index + 1,
                    end: at,
                });
            }
        } else if !prose && ["help", "---help---"].contains(&first) && words.next().is_none() {
            help = Help::Begins;
        }
        if open && let Some(entry) = entries.last_mut() {
            entry.end = at;
        }
    }
    entries
}

/// A help text ends where a line is indented less than its first one.
enum Help {
    None,
    Begins,
    Indented(usize),
}

impl Help {
    /// Tells whether a line with that indentation is part of it.
    const fn holds(&mut self, indent: usize) -> bool {
        match *self {
            // One that is not indented at all is empty.
            Self::Begins if indent > 0 => *self = Self::Indented(indent),
            Self::Indented(first) if indent >= first => {}
            _ => *self = Self::None,
        }
        matches!(self, Self::Indented(_))
    }
}

/// Counts columns, as Kconfig does: a tab goes to the next multiple of eight.
fn indent(line: &str) -> usize {
    let blank = line
        .chars()
        .take_while(|letter| [' ', '\t'].contains(letter));
    blank.fold(0, |column, letter| match letter {
        '\t' => column / 8 * 8 + 8,
        _ => column + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_where_help_texts_are_not() {
        let source = "# config NONE\nmenu \"config NO\"\n\nconfig A\n\tbool \"a\"\n\thelp\n\
                      \x20\x20\x20\x20\x20\x20\x20\x20  config NO\n\n\t  more\n\tdepends on B\n\n\
                      # about B\nmenuconfig B\n\tbool\n\n\nif A\nconfig C\n\tdef_bool y\nendif\n\
                      config D\n\thelp\nconfig E";
        let entries = entries(source);
        let names: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name, entry.line))
            .collect();
        assert_eq!(
            names,
            [("A", 4), ("B", 13), ("C", 18), ("D", 21), ("E", 23)]
        );
        assert!(source[..entries[0].end].ends_with("depends on B\n"));
        assert!(source[..entries[1].end].ends_with("menuconfig B\n\tbool\n"));
        assert!(source[..entries[2].end].ends_with("def_bool y\n"));
        assert_eq!(entries[4].end, source.len());
    }
}
