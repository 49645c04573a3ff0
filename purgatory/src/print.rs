// SPDX-License-Identifier: MIT OR Apache-2.0
//! A printer for all consoles: text with numbers in it.
//!
//! Not `core::fmt`: its vtables hold absolute addresses, and it costs more than
//! everything here. Nothing here can panic or allocate.
//!
//! What is printed is packed while it is compiled: a byte for each place of a number,
//! and for each text or word that is part of another.

use core::{num::NonZero, slice};

use crate::{
    abi::Backend,
    arch::{BACKENDS, CAUSES, REGISTERS},
    console,
    memory::wide,
    texts::{TEXTS, Text, WORDS},
};

/// Prints one of the [`TEXTS`], in which each `%` and the letter behind it stand for a
/// number:
///
/// | | the number |
/// |---|---|
/// | `%u` | in decimal |
/// | `%x` | in hexadecimal, no more digits than it needs |
/// | `%w` | in hexadecimal, all sixteen digits |
/// | `%s` | as the name that [`backend`], [`cause`] or [`register`] returned |
macro_rules! say {
    ($text:ident) => {{
        const { assert!($crate::print::places($crate::texts::Text::$text) == 0, "a number for each %") }
        $crate::print::text($crate::texts::Text::$text);
    }};
    ($text:ident $(, $number:expr)+) => {{
        const {
            let numbers: &[&str] = &[$(stringify!($number)),+];
            assert!($crate::print::places($crate::texts::Text::$text) == numbers.len(), "a number for each %");
        }
        say!(@ $text $($number),+)
    }};
    (@ $text:ident $number:expr) => {
        $crate::print::with($crate::texts::Text::$text, $number)
    };
    (@ $text:ident $($number:expr),+) => {
        $crate::print::print($crate::texts::Text::$text, &[$($number),+])
    };
}
pub(crate) use say;

/// Prints a text without numbers.
#[inline(never)]
pub(crate) fn text(text: Text) {
    print(text, &[]);
}

/// Prints a text with one number; through [`say`].
// Called in many places; that they make no array saves 0.1 KB.
#[inline(never)]
pub(crate) fn with(text: Text, number: u64) {
    print(text, &[number]);
}

/// Prints a text with numbers; through [`say`], which counts them.
#[inline(never)]
#[expect(clippy::as_conversions, reason = "the discriminant is its place")]
pub(crate) fn print(text: Text, numbers: &[u64]) {
    unpack(text as u8, &mut numbers.iter());
}

/// What a byte of packed text stands for if it is none of these: a character. From
/// [`ENTRY`] on, another entry of the table.
const ENTRY: u8 = 0x80;
/// The end of an entry.
const END: u8 = 0;
/// The places of numbers.
const DECIMAL: u8 = 1;
const HEXADECIMAL: u8 = 2;
const DIGITS: u8 = 3;
const NAME: u8 = 4;

fn unpack(entry: u8, numbers: &mut slice::Iter<'_, u64>) {
    let mut before = entry;
    for &byte in &PACKED {
        if before > 0 {
            before = before.wrapping_sub(u8::from(byte == END));
        } else if byte >= ENTRY {
            unpack(byte & !ENTRY, numbers);
        } else if byte > NAME {
            console::byte(byte);
        } else if byte == END {
            break;
        } else {
            let value = numbers.next().copied().unwrap_or_default();
            if byte == NAME {
                let [name, ..] = value.to_le_bytes();
                unpack(name, numbers);
            } else {
                let base = if byte == DECIMAL { TEN } else { SIXTEEN };
                number(value, base, if byte == DIGITS { 16 } else { 1 });
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

/// Returns the name of a backend, by its number; `portable` if it has none.
#[inline(never)]
pub(crate) fn backend(number: u32) -> u64 {
    let place = BACKENDS.iter().position(|known| known.number() == number);
    wide(place.map_or(PORTABLE, |place| NAMES.wrapping_add(place)))
}

/// Returns the name of an exception.
pub(crate) fn cause(number: u64) -> u64 {
    const FIRST: u64 = wide(CAUSES_AT);
    const LAST: u64 = wide(REGISTERS_AT - 1);
    FIRST.saturating_add(number).min(LAST)
}

/// Returns the name of the register at this place of a frame.
pub(crate) const fn register(place: usize) -> u64 {
    wide(REGISTERS_AT.wrapping_add(place))
}

/// The entries behind the texts and the words: names.
const NAMES: usize = TEXTS.len() + WORDS.len();
const CAUSES_AT: usize = NAMES + BACKENDS.len();
/// It comes last (below).
const PORTABLE: usize = CAUSES_AT - 1;
const REGISTERS_AT: usize = CAUSES_AT + CAUSES.len();
const ENTRIES: usize = REGISTERS_AT + REGISTERS.len();

const _: () = assert!(matches!(BACKENDS, [.., Backend::Portable]));
const _: () = assert!(ENTRIES <= 256 && NAMES <= 128);

/// All entries, packed, each with its [`END`].
static PACKED: [u8; pack(&mut [])] = {
    let mut packed = [END; pack(&mut [])];
    pack(&mut packed);
    packed
};

/// Packs all entries, while it is compiled, unless `packed` is empty; returns how many
/// bytes they take.
#[expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "only while it is compiled"
)]
const fn pack(packed: &mut [u8]) -> usize {
    let mut size = 0;
    let mut entry = 0;
    while entry < ENTRIES {
        let text = entry_text(entry);
        let mut rest = text;
        while let [byte, tail @ ..] = rest {
            let mut code = *byte;
            let mut length = 1;
            if let Some(other) = longest(entry, rest) {
                length = entry_text(other).len();
                code = ENTRY | other as u8;
            }
            if code == b'%' {
                length = 2;
                code = match tail {
                    [b'u', ..] => DECIMAL,
                    [b'x', ..] => HEXADECIMAL,
                    [b'w', ..] => DIGITS,
                    _ => NAME,
                };
            }
            if !packed.is_empty() {
                packed[size] = code;
            }
            size += 1;
            (_, rest) = rest.split_at(length);
        }
        size += 1;
        entry += 1;
    }
    size
}

/// Returns the longest text or word that `rest` of an entry begins with, and that is
/// shorter than the entry; a name, which nothing refers to, may have any.
#[expect(clippy::arithmetic_side_effects, reason = "only while it is compiled")]
const fn longest(entry: usize, rest: &[u8]) -> Option<usize> {
    let mut longest = None;
    let mut length = 1;
    let mut other = 0;
    while other < NAMES {
        let word = entry_text(other);
        let may = entry >= NAMES || word.len() < entry_text(entry).len();
        if may && word.len() > length && begins(rest, word) {
            longest = Some(other);
            length = word.len();
        }
        other += 1;
    }
    longest
}

/// How deep entries are in entries, and a name with a word in the deepest: so often
/// [`unpack`] is within itself, as xtask's check of the stack knows, too.
const DEEPEST: usize = 6;

const _: () = {
    let mut entry = 0;
    while entry < ENTRIES {
        let within_a_text = if entry < NAMES { 2 } else { 0 };
        assert!(
            depth(entry) + within_a_text <= DEEPEST,
            "an entry is too deep"
        );
        entry += 1;
    }
};

#[expect(clippy::arithmetic_side_effects, reason = "only while it is compiled")]
const fn depth(entry: usize) -> usize {
    let mut deepest = 0;
    let mut rest = entry_text(entry);
    while !rest.is_empty() {
        let mut length = 1;
        if let Some(other) = longest(entry, rest) {
            length = entry_text(other).len();
            let within = depth(other);
            if within > deepest {
                deepest = within;
            }
        }
        (_, rest) = rest.split_at(length);
    }
    deepest + 1
}

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "only while it is compiled"
)]
const fn entry_text(entry: usize) -> &'static [u8] {
    if entry < TEXTS.len() {
        TEXTS[entry].as_bytes()
    } else if entry < NAMES {
        WORDS[entry - TEXTS.len()].as_bytes()
    } else if entry < CAUSES_AT {
        BACKENDS[entry - NAMES].name().as_bytes()
    } else if entry < REGISTERS_AT {
        CAUSES[entry - CAUSES_AT].as_bytes()
    } else {
        REGISTERS[entry - REGISTERS_AT].as_bytes()
    }
}

/// Tells whether `text` begins with `word`.
const fn begins(mut text: &[u8], mut word: &[u8]) -> bool {
    while let [wanted, more @ ..] = word {
        match text {
            [found, tail @ ..] if *found == *wanted => text = tail,
            _ => return false,
        }
        word = more;
    }
    true
}

/// Counts the numbers that a text wants, while it is compiled.
#[expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "only while it is compiled"
)]
pub(crate) const fn places(text: Text) -> usize {
    let mut places: usize = 0;
    let mut rest = TEXTS[text as usize].as_bytes();
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
