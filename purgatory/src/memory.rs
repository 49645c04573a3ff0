// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only place where an address becomes a slice.
//!
//! A region is a claim by the first kernel until it is checked here: it must not
//! wrap, must lie where the machine can have memory, must not start at 0, and must
//! not be ours, which changes while it is hashed.
#![expect(unsafe_code, reason = "turns physical addresses into slices")]

use core::{marker::PhantomData, ptr, slice};

use crate::{
    abi::{REGIONS, Region, Table},
    arch,
};

/// Why a region cannot be what is to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It begins at address 0, below anything that a loader places.
    StartsAtZero,
    /// Start and length together are more than 64 bits hold.
    Wraps,
    /// Its end lies beyond what the architecture can address.
    TooHigh,
    /// It shares bytes with the purgatory, its stack or its record.
    Ours,
}

/// The memory image that waits for the next kernel, as its loader described it.
pub struct Image<'a>(&'a Table);

/// Returns the image that the loader described.
#[must_use]
pub(crate) const fn loaded_image() -> Image<'static> {
    // SAFETY: nothing in the program can write the region table. It is filled only
    // by a loader, which vouches for its entries (README, assumption 1), or by a
    // caller of `purgatory_verify`, who promises the same.
    unsafe { Image::new(&REGIONS) }
}

/// Tells whether something shares bytes with a region, or with ourselves.
pub(crate) fn is_taken(place: &Region) -> bool {
    loaded_image()
        .claims()
        .any(|claim| claim.region.overlaps(place))
        || arch::own().overlaps(place)
}

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

    /// Tells whether something lies in a region.
    // Called in two places; inlined, it costs 0.1 KB.
    #[inline(never)]
    #[must_use]
    pub fn holds(&self, address: u64) -> bool {
        self.claims().any(|claim| claim.region.holds(address))
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

    /// Says why it cannot be what is to be verified.
    // Called in three places; inlined, it costs 0.2 KB.
    #[inline(never)]
    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        let Region { start, len } = self.region;
        match start.checked_add(len) {
            _ if start == 0 => Some(Flaw::StartsAtZero),
            None => Some(Flaw::Wraps),
            Some(end) if end > arch::ADDRESS_LIMIT => Some(Flaw::TooHigh),
            Some(_) if self.region.overlaps(&arch::own()) => Some(Flaw::Ours),
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

    /// Returns the memory if every page of it can be read: for a report, which must
    /// not end with the first region that is not mapped.
    pub(crate) fn readable(&self) -> Option<&'a [u8]> {
        const PAGE: u64 = 4096;
        if self.flaw().is_some() {
            return None;
        }
        let mut page = self.region.start;
        while self.region.holds(page) {
            if !arch::can_read(page) {
                return None;
            }
            page = (page | (PAGE - 1)).wrapping_add(1);
        }
        self.memory()
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
