//! The records that the blob carries, as bytes, by field.
//!
//! Offset and width of a field come from the blob's own type, so a layout is
//! written down once. What a value means is the caller's business.

use purgatory::abi::Exported;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Reads a field: `get!(bytes, Status.phase)`.
#[macro_export]
macro_rules! get {
    ($record:expr, $type:ident.$field:ident) => {
        $crate::record::read(
            &$record[..],
            std::mem::offset_of!($type, $field),
            |record: &$type| &record.$field,
        )
    };
}

/// Replaces a field: `set!(bytes, Config.delay, 30)`.
#[macro_export]
macro_rules! set {
    ($record:expr, $type:ident.$field:ident, $value:expr) => {
        $crate::record::write(
            &mut $record[..],
            std::mem::offset_of!($type, $field),
            |record: &$type| &record.$field,
            $value,
        )
    };
}

/// Reads what [`get!`] names.
///
/// # Panics
/// If the field leaves the record: both come from one type.
#[must_use]
pub fn read<R, F: Copy + FromBytes>(record: &[u8], offset: usize, _: fn(&R) -> &Exported<F>) -> F {
    let (value, _) = F::read_from_prefix(&record[offset..]).expect("the record holds its fields");
    value
}

/// Replaces what [`set!`] names.
///
/// # Panics
/// As [`read`] does.
pub fn write<R, F: Copy + IntoBytes + Immutable>(
    record: &mut [u8],
    offset: usize,
    _: fn(&R) -> &Exported<F>,
    value: F,
) {
    let field = &mut record[offset..offset + size_of::<F>()];
    field.copy_from_slice(value.as_bytes());
}

// Host and blob are both little-endian.
const _: () = assert!(cfg!(target_endian = "little"));
