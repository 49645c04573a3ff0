// SPDX-License-Identifier: MIT OR Apache-2.0
//! Golden text: what a purgatory must say, to the letter.
//!
//! `{name}` stands for what the host knows under that name, or else for any
//! digits; `{more}` in front of a line for one or more lines like it.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

/// What the host knows of a boot, by name.
pub(crate) type Facts = BTreeMap<String, String>;

/// Compares what was said with the golden text.
pub(super) fn compare(golden: &str, facts: &Facts, said: &str) -> Result<()> {
    let mut lines = said.split_inclusive('\n').peekable();
    for wanted in golden.split_inclusive('\n') {
        let (wanted, repeats) = match wanted.strip_prefix("{more}") {
            Some(wanted) => (wanted, true),
            None => (wanted, false),
        };
        let found = lines.next().unwrap_or("(nothing more)\n");
        ensure!(
            matches(wanted, facts, found),
            "it said\n  {found}where it should have said\n  {}",
            filled(wanted, facts)
        );
        while repeats && lines.next_if(|line| matches(wanted, facts, line)).is_some() {}
    }
    if let Some(line) = lines.next() {
        bail!("it should have said no more, but said\n  {line}");
    }
    Ok(())
}

/// Puts in what is known.
fn filled(wanted: &str, facts: &Facts) -> String {
    facts.iter().fold(wanted.to_owned(), |line, (name, value)| {
        line.replace(&format!("{{{name}}}"), value)
    })
}

/// Compares one line; what is not known is one or more hexadecimal digits.
fn matches(wanted: &str, facts: &Facts, found: &str) -> bool {
    let wanted = filled(wanted, facts);
    let mut pieces = wanted.split(['{', '}']);
    let mut rest = found;
    loop {
        let (Some(literal), name) = (pieces.next(), pieces.next()) else {
            return rest.is_empty();
        };
        let Some(behind) = rest.strip_prefix(literal) else {
            return false;
        };
        if name.is_none() {
            return behind.is_empty();
        }
        let hexadecimal = behind.strip_prefix("0x").unwrap_or(behind);
        rest = hexadecimal.trim_start_matches(|digit: char| digit.is_ascii_hexdigit());
        if rest.len() == hexadecimal.len() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(golden: &str, said: &str) -> bool {
        let facts = Facts::from([("known".to_owned(), "17".to_owned())]);
        compare(golden, &facts, said).is_ok()
    }

    #[test]
    fn compares_to_the_letter() {
        assert!(agrees("", ""));
        assert!(agrees("a {known} b\n", "a 17 b\n"));
        assert!(!agrees("a {known} b\n", "a 18 b\n"));
        assert!(agrees("at {x}, {y}\n", "at 0x12, ff\n"));
        assert!(!agrees("at {x}, {y}\n", "at , ff\n"));
        assert!(!agrees("a\n", "a"));
        assert!(!agrees("a\n", "a\nb\n"));
        assert!(!agrees("a\nb\n", "a\n"));
        assert!(!agrees("", "a\n"));
    }

    #[test]
    fn repeats_lines_once_or_more() {
        assert!(agrees("{more}n {x}\nend\n", "n 1\nend\n"));
        assert!(agrees("{more}n {x}\nend\n", "n 1\nn 2\nend\n"));
        assert!(!agrees("{more}n {x}\nend\n", "end\n"));
    }
}
