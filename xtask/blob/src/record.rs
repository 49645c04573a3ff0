// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records that the blob carries, as bytes, by field.
//!
//! Offset and width of a field come from the blob's own type, so a layout is
//! written down once. What a value means is the caller's business.

use purgatory::abi::{Exported, Imported};
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

/// Replaces a field: `set!(bytes, Config.patience, 30)`.
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

/// A field of a record.
pub trait Field {
    /// What it holds.
    type Value: Copy;
}

impl<F: Copy> Field for Exported<F> {
    type Value = F;
}

impl<F: Copy> Field for Imported<F> {
    type Value = F;
}

/// Reads what [`get!`] names.
///
/// # Panics
/// If the field leaves the record: both come from one type.
#[must_use]
pub fn read<R, F: Field<Value: FromBytes>>(
    record: &[u8],
    offset: usize,
    _: fn(&R) -> &F,
) -> F::Value {
    let (value, _) =
        F::Value::read_from_prefix(&record[offset..]).expect("the record holds its fields");
    value
}

/// Replaces what [`set!`] names.
///
/// # Panics
/// As [`read`] does.
pub fn write<R, F: Field<Value: IntoBytes + Immutable>>(
    record: &mut [u8],
    offset: usize,
    _: fn(&R) -> &F,
    value: F::Value,
) {
    let field = &mut record[offset..offset + size_of::<F::Value>()];
    field.copy_from_slice(value.as_bytes());
}

// Host and blob are both little-endian.
const _: () = assert!(cfg!(target_endian = "little"));
