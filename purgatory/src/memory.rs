//! The only place where an address becomes a slice.
//!
//! A region is a claim by the first kernel until it is checked here: it must not
//! wrap, must lie where the machine can have memory, and must not start at 0.
#![expect(unsafe_code, reason = "turns physical addresses into slices")]

use core::{marker::PhantomData, ptr, slice};

use crate::{
    abi::{Region, Table},
    arch,
};

/// Why a region cannot be memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It begins at address 0, below anything that a loader places.
    StartsAtZero,
    /// Start and length together are more than 64 bits hold.
    Wraps,
    /// Its end lies beyond what the architecture can address.
    TooHigh,
}

/// The memory image that waits for the next kernel, as its loader described it.
pub struct Image<'a>(&'a Table);

impl<'a> Image<'a> {
    /// Takes the region table as the description of this machine's memory.
    ///
    /// # Safety
    /// For as long as the value lives, nobody writes the table, and every region
    /// of it without a [`Claim::flaw`] is initialised memory that nobody writes;
    /// where one is not mapped, the access ends in the exception handler and does
    /// not return.
    #[must_use]
    pub const unsafe fn new(table: &'a Table) -> Self {
        Self(table)
    }

    /// Walks the entries in use in table order; one of length 0 is not, whatever
    /// its start. A closure (`for_each`, `find_map`) makes less code of it than `for`.
    pub fn claims(&self) -> impl Iterator<Item = Claim<'a>> {
        (0..).zip(self.0).filter_map(|(index, entry)| {
            let region = entry.read();
            (region.len != 0).then_some(Claim {
                index,
                region,
                memory: PhantomData,
            })
        })
    }
}

/// An entry of the region table that says where memory is.
pub struct Claim<'a> {
    /// Its place in the table.
    pub index: u32,
    /// What it says.
    region: Region,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> Claim<'a> {
    /// Returns what the loader wrote.
    #[must_use]
    pub const fn region(&self) -> Region {
        self.region
    }

    /// Says why no memory can be there.
    // Called in three places; inlined, it costs 0.2 KB.
    #[inline(never)]
    #[must_use]
    pub const fn flaw(&self) -> Option<Flaw> {
        let Region { start, len } = self.region;
        match start.checked_add(len) {
            _ if start == 0 => Some(Flaw::StartsAtZero),
            None => Some(Flaw::Wraps),
            Some(end) if end > arch::ADDRESS_LIMIT => Some(Flaw::TooHigh),
            Some(_) => None,
        }
    }

    /// Returns the memory, unless none can be there.
    #[must_use]
    pub fn memory(&self) -> Option<&'a [u8]> {
        if self.flaw().is_some() {
            return None;
        }
        let start = usize::try_from(self.region.start).ok()?;
        let len = usize::try_from(self.region.len).ok()?;
        // SAFETY: it is not null and does not wrap; that it is readable and stays
        // as it is was promised to `Image::new`, the only source of claims.
        Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(start), len) })
    }
}

/// Widens a size; `usize` is at most 64 bits wide wherever this runs.
#[expect(
    clippy::as_conversions,
    reason = "no lossless From<usize> for u64 exists"
)]
#[must_use]
pub const fn wide(size: usize) -> u64 {
    size as u64
}
