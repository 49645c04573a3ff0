//! A printer for all consoles: text, hexadecimal, decimal.
//!
//! Not `core::fmt`: its vtables hold absolute addresses, and it costs more than
//! everything here. Nothing here can panic or allocate.

use crate::arch::console_byte;

/// Prints text as it is.
#[inline(never)]
pub fn text(text: &str) {
    for byte in text.bytes() {
        console_byte(byte);
    }
}

/// Prints the last `digits` hexadecimal digits of a number.
#[inline(never)]
pub fn hex_digits(value: u64, digits: u32) {
    for place in (0..digits).rev() {
        let [digit, ..] = (value.wrapping_shr(place.wrapping_mul(4)) & 0xf).to_le_bytes();
        console_byte(match digit {
            0..=9 => digit.wrapping_add(b'0'),
            _ => digit.wrapping_add(b'a' - 10),
        });
    }
}

/// Prints a number with 0x in front and no more digits than it needs.
#[inline(never)]
pub fn hex(value: u64) {
    text("0x");
    let bits = 64_u32.wrapping_sub(value.leading_zeros());
    hex_digits(value, bits.div_ceil(4).max(1));
}

/// Prints a number in decimal.
#[inline(never)]
pub fn decimal(value: u64) {
    let mut digits = [0; 20];
    let mut rest = value;
    for slot in &mut digits {
        [*slot, ..] = (rest % 10).to_le_bytes();
        rest /= 10;
    }
    let mut leading = true;
    for (place, digit) in digits.iter().enumerate().rev() {
        leading &= *digit == 0 && place != 0;
        if !leading {
            console_byte(digit.wrapping_add(b'0'));
        }
    }
}

/// Prints bytes in hexadecimal.
#[inline(never)]
pub fn bytes(bytes: &[u8]) {
    for byte in bytes {
        hex_digits(u64::from(*byte), 2);
    }
}
