// SPDX-License-Identifier: MIT OR Apache-2.0
//! Insertions into a text: made, taken back, and shown as a unified diff.
//!
//! Nothing is ever replaced, so that what was there before is what is left without
//! them.

use std::{fmt::Write as _, ops::Range};

use serde::{Deserialize, Serialize};

/// Lines of text that go in front of a byte of the old one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Insertion {
    pub(super) at: usize,
    pub(super) text: String,
}

/// How many lines around a change are shown.
const CONTEXT: usize = 3;

/// Makes insertions, which are in the order of their places.
pub(super) fn insert(old: &str, insertions: &[Insertion]) -> String {
    let mut new = old.to_owned();
    for insertion in insertions.iter().rev() {
        new.insert_str(insertion.at, &insertion.text);
    }
    new
}

/// Takes them out again; `None` if they are not there.
pub(super) fn remove(new: &str, insertions: &[Insertion]) -> Option<String> {
    let mut old = String::new();
    let mut rest = new;
    for insertion in insertions {
        let (kept, tail) = rest.split_at_checked(insertion.at.checked_sub(old.len())?)?;
        old += kept;
        rest = tail.strip_prefix(&*insertion.text)?;
    }
    Some(old + rest)
}

/// Which way a diff leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Insert,
    Remove,
}

/// A line of the longer text, and whether it is one of those inserted.
type Line<'a> = (bool, &'a str);

/// Shows insertions of whole lines as `patch -p1` takes them.
pub(super) fn diff(path: &str, old: &str, insertions: &[Insertion], way: Way) -> String {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut at = 0;
    for insertion in insertions {
        lines.extend(
            old[at..insertion.at]
                .split_inclusive('\n')
                .map(|line| (false, line)),
        );
        lines.extend(
            insertion
                .text
                .split_inclusive('\n')
                .map(|line| (true, line)),
        );
        at = insertion.at;
    }
    lines.extend(old[at..].split_inclusive('\n').map(|line| (false, line)));

    let mut text = format!("--- a/{path}\n+++ b/{path}\n");
    for hunk in hunks(&lines) {
        let before = |lines: &[Line<'_>]| lines.iter().filter(|(inserted, _)| !inserted).count();
        let (start, length) = (before(&lines[..hunk.start]), before(&lines[hunk.clone()]));
        let short = (start, length);
        let long = (hunk.start, hunk.len());
        let (sign, from, to) = match way {
            Way::Insert => ('+', short, long),
            Way::Remove => ('-', long, short),
        };
        let range = |(start, length): (usize, usize)| {
            // An empty range is named by the line in front of it.
            format!("{},{length}", start + usize::from(length > 0))
        };
        let _ = writeln!(text, "@@ -{} +{} @@", range(from), range(to));
        for (inserted, line) in &lines[hunk] {
            let sign = if *inserted { sign } else { ' ' };
            let _ = writeln!(text, "{sign}{}", line.trim_end_matches('\n'));
            if !line.ends_with('\n') {
                text += "\\ No newline at end of file\n";
            }
        }
    }
    text
}

/// Groups changes whose surroundings meet.
fn hunks(lines: &[Line<'_>]) -> Vec<Range<usize>> {
    let mut hunks: Vec<Range<usize>> = Vec::new();
    for (index, _) in lines
        .iter()
        .enumerate()
        .filter(|(_, (inserted, _))| *inserted)
    {
        let end = (index + 1 + CONTEXT).min(lines.len());
        let start = index.saturating_sub(CONTEXT);
        match hunks.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => hunks.push(start..end),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insertion(at: usize, text: &str) -> Insertion {
        let text = text.to_owned();
        Insertion { at, text }
    }

    #[test]
    fn what_went_in_comes_out() {
        let old = "one\ntwo\nthree\n";
        let insertions = [
            insertion(0, "zero\n"),
            insertion(8, "2.5\n"),
            insertion(14, "four\n"),
        ];
        let new = insert(old, &insertions);
        assert_eq!(new, "zero\none\ntwo\n2.5\nthree\nfour\n");
        assert_eq!(remove(&new, &insertions).as_deref(), Some(old));
        for other in ["", old, "zero\none\ntwo\n2,5\nthree\nfour\n", "zero\non"] {
            assert_eq!(remove(other, &insertions), None, "{other:?}");
        }
    }

    #[test]
    fn diffs_are_those_of_diff() {
        let old: String = (1..=20).map(|number| format!("{number}\n")).collect();
        let at = |line: &str| old.find(line).unwrap();
        let insertions = [
            insertion(at("5\n"), "a\nb\n"),
            insertion(at("9\n"), "c\n"),
            insertion(at("20\n"), "d\n"),
        ];
        // `diff -u` of the same two texts.
        let expected = "--- a/x\n+++ b/x\n@@ -2,10 +2,13 @@\n 2\n 3\n 4\n+a\n+b\n 5\n 6\n 7\n 8\n+c\n 9\n 10\n 11\n\
                        @@ -17,4 +20,5 @@\n 17\n 18\n 19\n+d\n 20\n";
        assert_eq!(diff("x", &old, &insertions, Way::Insert), expected);
        let back = diff("x", &old, &insertions, Way::Remove);
        assert!(
            back.contains("@@ -2,13 +2,10 @@\n 2\n 3\n 4\n-a\n-b\n 5\n"),
            "{back}"
        );
        assert!(back.contains("@@ -20,5 +17,4 @@\n"), "{back}");
    }

    #[test]
    fn a_text_without_a_last_newline_is_told() {
        let text = diff("x", "a", &[insertion(0, "b\n")], Way::Insert);
        assert!(
            text.ends_with("+b\n a\n\\ No newline at end of file\n"),
            "{text}"
        );
    }
}
