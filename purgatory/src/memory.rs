//! The only place where an address becomes a slice.
//!
//! A region is a claim by the first kernel until it is checked here: it must not
//! wrap, must lie where the machine can have memory, and must not start at 0.
#![expect(unsafe_code, reason = "turns physical addresses into slices")]

use core::{ptr, slice};

use crate::{
    abi::{Region, Regions},
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
pub struct Image(Regions);

impl Image {
    /// Takes the region table as the description of this machine's memory.
    ///
    /// # Safety
    /// For as long as the value lives, every region that passes the checks of
    /// [`Image::slices`] is initialised memory that nobody writes; where one is
    /// not mapped, the access ends in the exception handler and does not return.
    #[must_use]
    pub const unsafe fn new(regions: Regions) -> Self {
        Self(regions)
    }

    /// Walks the regions in table order; an entry of length 0 is an empty slice,
    /// whatever its start.
    pub fn slices(&self) -> impl Iterator<Item = Result<&[u8], Flaw>> {
        self.0.iter().map(|region| {
            let len = length(region)?;
            if len == 0 {
                return Ok(&[][..]);
            }
            let start = ptr::with_exposed_provenance(usize::try_from(region.start).unwrap_or(0));
            // SAFETY: `length` has checked that the region is not null and does
            // not wrap; that it is readable is the promise made to `new`.
            Ok(unsafe { slice::from_raw_parts(start, len) })
        })
    }
}

/// Returns the length of a plausible region.
fn length(region: &Region) -> Result<usize, Flaw> {
    if region.len == 0 {
        return Ok(0);
    }
    if region.start == 0 {
        return Err(Flaw::StartsAtZero);
    }
    let end = region.start.checked_add(region.len).ok_or(Flaw::Wraps)?;
    if end > arch::ADDRESS_LIMIT {
        return Err(Flaw::TooHigh);
    }
    usize::try_from(region.len).map_err(|_| Flaw::TooHigh)
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
