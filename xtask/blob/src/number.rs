// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers as people write them.

/// Physical addresses have at most 52 bits (AMD64 manual volume 2, section 5.1).
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// `PAGE_SIZE`, the granularity of every segment.
pub const PAGE: u64 = 4096;

/// Reads a number as C writes it: decimal, or hexadecimal behind `0x`.
pub fn number(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|error| format!("{error}: write 4096 or 0x1000, up to 64 bits"))
}

/// Reads an address where a loader could place a segment.
pub fn place(text: &str) -> Result<u64, String> {
    let address = number(text)?;
    if address == 0 || !address.is_multiple_of(PAGE) {
        return Err("a loader places segments at whole pages, and not at 0: \
                    give a multiple of 0x1000"
            .to_owned());
    }
    if address >= ADDRESS_LIMIT {
        return Err("no processor has memory there: addresses have 52 bits".to_owned());
    }
    Ok(address)
}
