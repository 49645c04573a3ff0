// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of the flips: a file of a byte each.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What comes of a flip; 0 in a file of results is one that was not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// The image was refused.
    Refused = 1,
    /// An exception, which the purgatory reports.
    Reported,
    /// A reset without a word.
    Reset,
    /// No end, and no word.
    Hung,
    /// Nothing reads that bit: it ran on, and all was right.
    Unused,
    /// The next kernel was started with what nobody vouches for.
    Escaped,
    /// Refused by the checksum; the check alone would have let a damaged image pass.
    RefusedBySum,
    /// Nothing in user space reads it.
    Unread,
}

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::Refused,
        Self::Reported,
        Self::Reset,
        Self::Hung,
        Self::Unused,
        Self::Escaped,
        Self::RefusedBySum,
        Self::Unread,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reported => "reported",
            Self::Reset => "reset",
            Self::Hung => "hung",
            Self::Unused => "harmless: unused",
            Self::Escaped => "escaped",
            Self::RefusedBySum => "refused, by the checksum alone",
            Self::Unread => "not read in user space",
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| *one as u8 == number)
    }
}

/// The file, which whoever makes a flip writes.
pub(crate) struct Results {
    file: File,
    flips: u64,
}

impl Results {
    /// Opens those of so many flips; what is known of more stays.
    pub(crate) fn open(path: &Path, flips: u64) -> Result<Self> {
        let open = || {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            let file = options.open(path)?;
            if file.metadata()?.len() < flips {
                file.set_len(flips)?;
            }
            io::Result::Ok(Self { file, flips })
        };
        open().with_context(|| format!("cannot use {}", path.display()))
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Result<Vec<u8>> {
        let mut all = vec![0; usize::try_from(self.flips)?];
        self.file.read_exact_at(&mut all, 0)?;
        Ok(all)
    }

    /// Notes what came of a flip.
    pub(crate) fn note(&self, number: u64, outcome: Outcome) -> io::Result<()> {
        self.file.write_all_at(&[outcome as u8], number)
    }

    /// Returns the first flip of a range that was not made yet, else the range's end.
    pub(super) fn first_left(&self, range: Range<u64>) -> io::Result<u64> {
        let mut piece = [0; 4096];
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(piece.len() as u64) as usize;
            self.file.read_exact_at(&mut piece[..len], at)?;
            let is_left = |result: &u8| Outcome::from_number(*result).is_none();
            if let Some(index) = piece[..len].iter().position(is_left) {
                return Ok(at + index as u64);
            }
            at += len as u64;
        }
        Ok(range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_left_and_keeps_what_is_known() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let results = Results::open(file.path(), 10_000).unwrap();
        for number in (0..5000).chain(5001..9999) {
            results.note(number, Outcome::Refused).unwrap();
        }
        assert_eq!(results.first_left(0..10_000).unwrap(), 5000);
        assert_eq!(results.first_left(5001..10_000).unwrap(), 9999);
        assert_eq!(results.first_left(5001..9999).unwrap(), 9999);
        // Fewer are asked for, then as many as before.
        let fewer = Results::open(file.path(), 10).unwrap();
        assert_eq!(fewer.all().unwrap(), [Outcome::Refused as u8; 10]);
        assert_eq!(results.all().unwrap()[9998], Outcome::Refused as u8);
    }
}
