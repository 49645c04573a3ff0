//! The records that the blob carries, as bytes: little-endian, by field.
//!
//! Offsets come from `offset_of!` on the blob's own types, so a layout is
//! written down once. What a value means is the caller's business.

/// Returns the bytes of a field; the number's own type says how many.
///
/// # Panics
/// If the field leaves the record: both come from one type.
pub fn field<const SIZE: usize>(record: &[u8], offset: usize) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes.copy_from_slice(&record[offset..offset + SIZE]);
    bytes
}

/// Replaces the bytes of a field.
///
/// # Panics
/// As [`field`] does.
pub fn set_field(record: &mut [u8], offset: usize, bytes: &[u8]) {
    record[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Reads a number as C writes it: decimal, or hexadecimal behind `0x`.
pub fn number(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|error| format!("{error}: write 4096 or 0x1000, up to 64 bits"))
}
