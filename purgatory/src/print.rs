// SPDX-License-Identifier: MIT OR Apache-2.0
//! A printer for all consoles: text with numbers in it.
//!
//! Not `core::fmt`: its vtables hold absolute addresses, and it costs more than
//! everything here. Nothing here can panic or allocate.

use core::num::NonZero;

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
    ($format:literal $(, $number:expr)*) => {{
        const {
            let numbers: &[&str] = &[$(stringify!($number)),*];
            assert!($crate::print::places($format) == numbers.len(), "a number for each %");
        }
        $crate::print::print($format, &[$($number),*]);
    }};
}
pub(crate) use say;

/// Prints text as it is.
#[inline(never)]
pub(crate) fn text(text: &str) {
    print(text, &[]);
}

/// Prints text with numbers; through [`say`], which counts them.
#[inline(never)]
pub(crate) fn print(format: &str, numbers: &[u64]) {
    let mut numbers = numbers.iter();
    let mut bytes = format.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            console::byte(byte);
            continue;
        }
        let value = numbers.next().copied().unwrap_or_default();
        match bytes.next() {
            Some(b'u') => number(value, DECIMAL, 1),
            Some(b'x') => number(value, HEXADECIMAL, 1),
            Some(b'w') => number(value, HEXADECIMAL, 16),
            _ => {
                let mut letters = value;
                while letters != 0 {
                    let [letter, ..] = letters.to_le_bytes();
                    console::byte(letter);
                    letters >>= 8;
                }
            }
        }
    }
}

/// The base of everyday numbers.
const DECIMAL: NonZero<u64> = NonZero::new(10).unwrap();
/// The base of addresses and digests.
pub(crate) const HEXADECIMAL: NonZero<u64> = NonZero::new(16).unwrap();

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
