// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what somebody typed from a photo of a screen: a line that is nearly the first
//! line of a report is taken for it.

use purgatory::texts::TEXTS;

/// Returns the line as the purgatory says it, if it is not, but nearly, such a line.
pub(super) fn mended(line: &str) -> Option<String> {
    if line.contains("purgatory: ") {
        return None;
    }
    let seen = folded(line);
    let near = |said: &String| (distance(&seen, &folded(said)), said.clone());
    let (wrong, said) = firsts().iter().map(near).min()?;
    // A letter in six.
    (wrong * 6 <= seen.len().min(folded(&said).len())).then(|| {
        let mut numbers = line.split_whitespace().filter_map(value);
        let words = said.split(' ').map(|word| match word {
            "%u" | "0x%x" => numbers.next().unwrap_or_else(|| "0".to_owned()),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    })
}

/// First lines of reports: a verdict each, with the places of its numbers.
fn firsts() -> Vec<String> {
    let texts = || TEXTS.iter().map(|text| text.trim_end_matches('\n'));
    let bad: Vec<_> = texts().filter(|text| text.ends_with("memory: ")).collect();
    let reasons = texts().flat_map(|text| {
        let whole = text.starts_with("purgatory: refused: its");
        let plain = ["sha256 mismatch", "region table"]
            .iter()
            .any(|begin| text.starts_with(begin));
        let astray = text.ends_with(" is in no region");
        let flaw = ["it ", "start +"]
            .iter()
            .any(|begin| text.starts_with(begin));
        let refused = |reason: &str| format!("purgatory: refused: {reason}");
        match () {
            () if whole => vec![text.to_owned()],
            () if plain || astray => vec![refused(text)],
            () if flaw => bad
                .iter()
                .map(|bad| refused(&format!("{bad}{text}")))
                .collect(),
            () => Vec::new(),
        }
    });
    reasons.collect()
}

/// Returns a number as it is to be read, of digits that look like others.
fn value(word: &str) -> Option<String> {
    let plain = word.trim_end_matches([',', ':', '.', ';']);
    let digits: String = plain.chars().map(digit).collect::<Option<_>>()?;
    let first = plain.chars().next()?;
    (first.is_ascii_digit() || "oO".contains(first)).then(|| match digits.strip_prefix("0x") {
        Some(digits) => format!("0x{digits}"),
        None => digits,
    })
}

const fn digit(letter: char) -> Option<char> {
    Some(match letter {
        '0'..='9' | 'a'..='f' | 'x' => letter,
        'A' | 'C'..='F' | 'X' => letter.to_ascii_lowercase(),
        'o' | 'O' | 'Q' => '0',
        'l' | 'I' | 'i' | '|' => '1',
        'z' | 'Z' => '2',
        's' | 'S' => '5',
        'B' => '8',
        'g' | 'q' => '9',
        _ => return None,
    })
}

/// Leaves letters of which none looks like another one, and no number.
fn folded(line: &str) -> Vec<u8> {
    let words = line
        .split_whitespace()
        .filter(|word| !word.contains('%') && value(word).is_none());
    let letters = words
        .flat_map(str::chars)
        .filter(|letter| letter.is_alphanumeric());
    letters
        .map(|letter| match letter.to_ascii_lowercase() {
            '0' => b'o',
            '1' | 'i' | '|' => b'l',
            '2' => b'z',
            '5' => b's',
            '8' => b'b',
            '9' | 'q' => b'g',
            other => u8::try_from(other).unwrap_or(b'?'),
        })
        .collect()
}

/// Counts the letters that are to be changed, left out or put in.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.iter().enumerate() {
        let mut corner = line;
        row[0] = line + 1;
        for (column, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != b);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_known_by_what_they_look_like() {
        let cases = [
            ("purgatory refused sha256 mismatch", "sha256 mismatch"),
            ("PURGATORY; REFUSED; SHAZ56 MISMATCH", "sha256 mismatch"),
            ("purgatorg: refuscd: sha2S6 misrnatch", "sha256 mismatch"),
            ("purgatory:refused:reglon tab1e wiped", "region table wiped"),
            (
                "purqatory. refused. its own c0de is darnaged",
                "its own code is damaged",
            ),
            (
                "purgatory refused the next kernels entry 0xl00000 is in no region",
                "the next kernel's entry 0x100000 is in no region",
            ),
            (
                "purgatory - refused - region 3 cannot be memory - it starts at O",
                "region 3 cannot be memory: it starts at 0",
            ),
        ];
        for (typed, said) in cases {
            assert_eq!(
                mended(typed),
                Some(format!("purgatory: refused: {said}\n")),
                "{typed}"
            );
        }
        for other in [
            "",
            "purgatory: refused: sha256 mismatch",
            "Linux version 6.1.0",
            "systemd[1]: Starting purge-old-kernels",
            "  region 0 0x70000 0x2000",
            "kernel: sha256 checksum mismatch",
        ] {
            assert_eq!(mended(other), None, "{other}");
        }
    }
}
