//! A printer for all consoles: text with numbers in it.
//!
//! Not `core::fmt`: its vtables hold absolute addresses, and it costs more than
//! everything here. Nothing here can panic or allocate.
//!
//! What is printed is packed while it is compiled: a byte for each place of a number,
//! and for each of the words that reports repeat.

use core::{num::NonZero, slice};

use crate::console;

/// Prints text in which each `%` and the letter behind it stand for a number:
///
/// | | the number |
/// |---|---|
/// | `%u` | in decimal |
/// | `%x` | in hexadecimal, no more digits than it needs |
/// | `%w` | in hexadecimal, all sixteen digits |
/// | `%s` | as the [`letters`] packed into it |
macro_rules! say {
    ($text:literal) => {{
        const { assert!($crate::print::places($text) == 0, "a number for each %") }
        $crate::print::text($crate::print::packed!($text));
    }};
    ($format:literal $(, $number:expr)+) => {{
        const {
            let numbers: &[&str] = &[$(stringify!($number)),+];
            assert!($crate::print::places($format) == numbers.len(), "a number for each %");
        }
        $crate::print::print($crate::print::packed!($format), &[$($number),+]);
    }};
}
pub(crate) use say;

/// Packs a literal, for [`print`].
macro_rules! packed {
    ($text:literal) => {{
        const SIZE: usize = $crate::print::packed_size($text);
        const PACKED: &[u8] = &$crate::print::pack::<SIZE>($text);
        PACKED
    }};
}
pub(crate) use packed;

/// Prints packed text without numbers.
#[inline(never)]
pub(crate) fn text(packed: &[u8]) {
    print(packed, &[]);
}

/// Prints packed text with numbers; through [`say`], which counts them.
#[inline(never)]
pub(crate) fn print(packed: &[u8], numbers: &[u64]) {
    unpack(packed, &mut numbers.iter());
}

/// What a byte of packed text stands for if it is none of these: a character. From
/// [`WORD`] on, the word at so many bytes of [`WORDS`].
const WORD: u8 = 0x80;
/// The end of a word.
const END: u8 = 0;
/// The places of numbers.
const DECIMAL: u8 = 1;
const HEXADECIMAL: u8 = 2;
const DIGITS: u8 = 3;
const LETTERS: u8 = 4;

fn unpack(packed: &[u8], numbers: &mut slice::Iter<'_, u64>) {
    for &byte in packed {
        if byte >= WORD {
            if let Some(word) = WORDS.get(usize::from(byte & !WORD)..) {
                unpack(word, numbers);
            }
        } else if byte > LETTERS {
            console::byte(byte);
        } else if byte == END {
            break;
        } else {
            let mut value = numbers.next().copied().unwrap_or_default();
            if byte < LETTERS {
                let base = if byte == DECIMAL { TEN } else { SIXTEEN };
                number(value, base, if byte == DIGITS { 16 } else { 1 });
                continue;
            }
            while value != 0 {
                let [letter, ..] = value.to_le_bytes();
                console::byte(letter);
                value >>= 8;
            }
        }
    }
}

/// The base of everyday numbers.
const TEN: NonZero<u64> = NonZero::new(10).unwrap();
/// The base of addresses and digests.
pub(crate) const SIXTEEN: NonZero<u64> = NonZero::new(16).unwrap();

/// Prints a number with at least `least` digits.
#[inline(never)]
pub(crate) fn number(value: u64, base: NonZero<u64>, least: u32) {
    let rest = value / base;
    if rest > 0 || least > 1 {
        number(rest, base, least.saturating_sub(1));
    }
    let [digit, ..] = (value % base).to_le_bytes();
    console::byte(match digit {
        0..=9 => digit.wrapping_add(b'0'),
        _ => digit.wrapping_add(b'a' - 10),
    });
}

/// Packs up to eight letters into a number, the first one lowest.
#[must_use]
pub(crate) const fn letters(text: &str) -> u64 {
    let mut letters = 0;
    let mut rest = text.as_bytes();
    while let [head @ .., last] = rest {
        letters = letters << 8 | u64::from_le_bytes([*last, 0, 0, 0, 0, 0, 0, 0]);
        rest = head;
    }
    letters
}

/// What reports say more than once, for [`WORDS`]. What comes first is tried first, and
/// may have what follows in it.
const REPEATED: &[&str] = &[
    "purgatory: refused: ",
    "purgatory: resetting",
    "purgatory: ",
    "purgatory",
    "ted %w%w%w%w",
    "exception",
    "verified",
    "its own ",
    " address",
    "region",
    " 0x%x",
    "\n  ",
    " %u ",
];

/// The words, packed, each with its [`END`].
static WORDS: [u8; word_at(REPEATED.len())] = {
    let mut words = [END; word_at(REPEATED.len())];
    let mut word = 0;
    while word < REPEATED.len() {
        pack_into(&mut words, word_at(word), REPEATED[word], word + 1);
        word += 1;
    }
    words
};

/// Returns where a word begins in [`WORDS`].
#[expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "only while it is compiled"
)]
const fn word_at(word: usize) -> usize {
    let mut at = 0;
    let mut before = 0;
    while before < word {
        at += pack_into(&mut [], 0, REPEATED[before], before + 1) + 1;
        before += 1;
    }
    at
}

/// Returns the size of packed text.
pub(crate) const fn packed_size(text: &str) -> usize {
    pack_into(&mut [], 0, text, 0)
}

/// Packs text, while it is compiled.
pub(crate) const fn pack<const SIZE: usize>(text: &str) -> [u8; SIZE] {
    let mut packed = [0; SIZE];
    pack_into(&mut packed, 0, text, 0);
    packed
}

/// Packs text with the words from `first` on into `packed`, from `at` on, unless that is
/// empty; returns how many bytes it takes.
#[expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "only while it is compiled"
)]
const fn pack_into(packed: &mut [u8], at: usize, text: &str, first: usize) -> usize {
    let mut rest = text.as_bytes();
    let mut size = 0;
    while let [byte, tail @ ..] = rest {
        let mut packed_byte = *byte;
        let mut after = tail;
        let mut word = first;
        while word < REPEATED.len() {
            if let Some(behind) = behind(rest, REPEATED[word].as_bytes()) {
                // Where it is cannot be told before all sizes are known.
                if !packed.is_empty() {
                    packed_byte = WORD + word_at(word) as u8;
                }
                after = behind;
                break;
            }
            word += 1;
        }
        if packed_byte == b'%' {
            packed_byte = match tail {
                [b'u', ..] => DECIMAL,
                [b'x', ..] => HEXADECIMAL,
                [b'w', ..] => DIGITS,
                _ => LETTERS,
            };
            (_, after) = tail.split_at(1);
        }
        if !packed.is_empty() {
            packed[at + size] = packed_byte;
        }
        size += 1;
        rest = after;
    }
    size
}

/// Returns what follows `start`, if it is how `text` begins.
const fn behind<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    let mut left = start;
    while let [wanted, more @ ..] = left {
        match rest {
            [found, tail @ ..] if *found == *wanted => rest = tail,
            _ => return None,
        }
        left = more;
    }
    Some(rest)
}

/// Counts the numbers that a format wants, while it is compiled.
pub(crate) const fn places(format: &str) -> usize {
    let mut places: usize = 0;
    let mut rest = format.as_bytes();
    while let [byte, tail @ ..] = rest {
        if *byte == b'%' {
            assert!(
                matches!(tail, [b'u' | b'x' | b'w' | b's', ..]),
                "no such place"
            );
            places = places.wrapping_add(1);
        }
        rest = tail;
    }
    places
}
