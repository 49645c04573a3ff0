// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record left behind: `purgatory_status`.
//!
//! A debugger, a QEMU monitor or a dump tool finds it by its magic and reads how
//! far the purgatory came, even where no console was.

use crate::abi::{Backend, Digest, Exported};

/// How far the trip came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// The entry code ran.
    Entered = 1,
    /// Regions are being hashed.
    Verifying,
    /// The image was verified; the jump is next.
    Leaving,
    /// The image was refused.
    Refused,
    /// An exception ended the trip.
    Faulted,
}

impl Phase {
    /// All of them, in the order of the trip.
    pub const ALL: [Self; 5] = [
        Self::Entered,
        Self::Verifying,
        Self::Leaving,
        Self::Refused,
        Self::Faulted,
    ];

    /// Returns the number in the record.
    #[expect(clippy::as_conversions, reason = "the discriminant is that number")]
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Verdict {
    /// Nothing yet.
    None,
    /// The image is what was loaded.
    Match,
    /// The table is empty, and the digest is that of nothing.
    Nothing,
    /// It hashes to something else.
    Mismatch,
    /// The table is empty, but the digest is another one.
    TableWiped,
    /// A region cannot be what is to be verified.
    BadRegion,
    /// An exception.
    Exception,
    /// Our own stack ran over.
    StackOverflow,
    /// The register image leads out of what was verified.
    Astray,
    /// Our own bytes are not those that were built.
    Damaged,
}

impl Verdict {
    /// All of them, by their numbers.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Match,
        Self::Nothing,
        Self::Mismatch,
        Self::TableWiped,
        Self::BadRegion,
        Self::Exception,
        Self::StackOverflow,
        Self::Astray,
        Self::Damaged,
    ];

    /// Returns the number in the record.
    #[expect(clippy::as_conversions, reason = "the discriminant is that number")]
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Returns what a number in the record means; nothing yet, if there is no such.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        let known = Self::ALL.into_iter().find(|known| known.number() == number);
        known.unwrap_or(Self::None)
    }

    /// Says it as tools do; reports have words of their own.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Match => "match",
            Self::Nothing => "nothing to check",
            Self::Mismatch => "sha256 mismatch",
            Self::TableWiped => "region table wiped",
            Self::BadRegion => "bad region",
            Self::Exception => "exception",
            Self::StackOverflow => "stack overflow",
            Self::Astray => "register image leads out of what was verified",
            Self::Damaged => "its own code is damaged",
        }
    }
}

/// Version 2 of the record. Every field is a cell of its own: it is read from
/// outside at any moment, so each value lands as soon as it is known.
#[repr(C)]
pub struct Status {
    /// [`Status::MAGIC`], its bytes as they lie in memory.
    pub magic: Exported<u64>,
    /// [`Status::VERSION`].
    pub version: Exported<u32>,
    /// Size of this structure in bytes.
    pub size: Exported<u32>,
    /// A [`Phase`] number.
    pub phase: Exported<u32>,
    /// A [`Verdict`] number.
    pub verdict: Exported<u32>,
    /// A [`Backend`] number, 0 before one was chosen.
    pub backend: Exported<u32>,
    /// Index of the bad region.
    pub region: Exported<u32>,
    /// Backends that were caught: bit N is set if number N gave a wrong answer or
    /// ended in an exception while it hashed.
    pub suspects: Exported<u32>,
    /// The backend whose word was not taken, because it spoke against the image or
    /// ended in an exception; 0 if there was none.
    pub doubted: Exported<u32>,
    /// Bytes hashed so far.
    pub bytes: Exported<u64>,
    /// Ticks of [`crate::arch::cycles`] spent hashing so far; 0 without a counter.
    pub cycles: Exported<u64>,
    /// Non-maskable interrupts seen and returned from.
    pub nmis: Exported<u64>,
    /// What the exception was that ended the trip: its vector.
    pub cause: Exported<u64>,
    /// Its error code.
    pub code: Exported<u64>,
    /// Where it happened.
    pub at: Exported<u64>,
    /// The address it was about.
    pub address: Exported<u64>,
    /// The digest computed.
    pub digest: Exported<Digest>,
    /// The one that [`Status::doubted`] computed, zeros if it did not come to one.
    pub doubted_digest: Exported<Digest>,
}

impl Status {
    /// The first bytes of the record.
    pub const MAGIC: [u8; 8] = *b"PURGSTAT";
    /// The layout described here.
    pub const VERSION: u32 = 2;
    /// Its size in bytes.
    pub const SIZE: u32 = 160;

    /// Begins the record: it is one as soon as it has the magic, which goes last.
    #[inline(never)]
    pub(crate) fn open(&self) {
        self.version.write(Self::VERSION);
        self.size.write(Self::SIZE);
        self.enter(Phase::Entered);
        self.magic.write(u64::from_ne_bytes(Self::MAGIC));
    }

    /// Notes how far the trip came.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.write(phase.number());
    }

    /// Notes the start of a check.
    pub(crate) fn begin(&self, backend: Backend) {
        self.enter(Phase::Verifying);
        self.backend.write(backend.number());
        self.verdict.write(Verdict::None.number());
        self.bytes.write(0);
        self.cycles.write(0);
        self.region.write(0);
        self.digest.store(&[0; 4]);
    }

    /// Notes what was found out; all but the good news is a refusal.
    pub(crate) fn conclude(&self, verdict: Verdict) {
        if !matches!(verdict, Verdict::Match | Verdict::Nothing) {
            self.enter(Phase::Refused);
        }
        self.verdict.write(verdict.number());
    }

    /// Notes that a backend was caught.
    pub(crate) fn suspect(&self, number: u32) {
        let bit = 1_u32.wrapping_shl(number);
        self.suspects.write(self.suspects.read() | bit);
    }

    /// Notes that the last check is to be done again, by another backend.
    pub(crate) fn doubt(&self) {
        self.doubted.write(self.backend.read());
        self.doubted_digest.store(&self.digest.load());
    }

    /// Notes the exception that ends the trip.
    pub(crate) fn faulted(&self, cause: u64, code: u64, at: u64, address: u64) {
        self.cause.write(cause);
        self.code.write(code);
        self.at.write(at);
        self.address.write(address);
        self.verdict.write(Verdict::Exception.number());
        self.enter(Phase::Faulted);
    }
}

const _: () = assert!(size_of::<Status>() == 160 && Status::SIZE == 160);

/// The record itself: zeros in memory until [`Status::open`], and not in the file.
#[cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "found by name from outside")
)]
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_status"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".bss.exported.status"))]
#[used]
pub static STATUS: Status = Status {
    magic: Exported::new(0),
    version: Exported::new(0),
    size: Exported::new(0),
    phase: Exported::new(0),
    verdict: Exported::new(0),
    backend: Exported::new(0),
    region: Exported::new(0),
    suspects: Exported::new(0),
    doubted: Exported::new(0),
    bytes: Exported::new(0),
    cycles: Exported::new(0),
    nmis: Exported::new(0),
    cause: Exported::new(0),
    code: Exported::new(0),
    at: Exported::new(0),
    address: Exported::new(0),
    digest: Exported::new([0; 4]),
    doubted_digest: Exported::new([0; 4]),
};

#[cfg(test)]
mod tests {
    use super::*;

    const fn status() -> Status {
        Status {
            magic: Exported::new(0),
            version: Exported::new(0),
            size: Exported::new(0),
            phase: Exported::new(0),
            verdict: Exported::new(7),
            backend: Exported::new(0),
            region: Exported::new(7),
            suspects: Exported::new(0),
            doubted: Exported::new(0),
            bytes: Exported::new(7),
            cycles: Exported::new(7),
            nmis: Exported::new(0),
            cause: Exported::new(0),
            code: Exported::new(0),
            at: Exported::new(0),
            address: Exported::new(0),
            digest: Exported::new([7; 4]),
            doubted_digest: Exported::new([0; 4]),
        }
    }

    #[test]
    fn a_check_begins_with_nothing_of_the_last_one() {
        let status = status();
        status.begin(Backend::ShaNi);
        let words = [&status.verdict, &status.region].map(Exported::read);
        let longs = [&status.bytes, &status.cycles].map(Exported::read);
        assert_eq!(
            (words, longs, status.digest.read()),
            ([0; 2], [0; 2], [0; 4])
        );
        assert_eq!(status.phase.read(), Phase::Verifying.number());
        assert_eq!(status.backend.read(), Backend::ShaNi.number());
    }

    #[test]
    fn tells_what_ended_the_trip() {
        let status = status();
        let ended = || (status.phase.read(), status.verdict.read());
        status.faulted(14, 2, 0x1234, 0x7000);
        let about = [&status.cause, &status.code, &status.at, &status.address];
        assert_eq!(about.map(Exported::read), [14, 2, 0x1234, 0x7000]);
        assert_eq!(ended(), (5, 6));
        for verdict in Verdict::ALL {
            status.enter(Phase::Verifying);
            status.conclude(verdict);
            let fine = matches!(verdict, Verdict::Match | Verdict::Nothing);
            let phase = if fine {
                Phase::Verifying
            } else {
                Phase::Refused
            };
            assert_eq!(ended(), (phase.number(), verdict.number()));
        }
    }

    #[test]
    fn keeps_what_a_doubted_backend_found() {
        let status = status();
        status.begin(Backend::ShaNi);
        status.digest.write([1, 2, 3, 4]);
        status.doubt();
        status.begin(Backend::Portable);
        status.suspect(status.doubted.read());
        status.suspect(Backend::Sse2.number());
        assert_eq!(status.doubted.read(), 3);
        assert_eq!(status.doubted_digest.read(), [1, 2, 3, 4]);
        assert_eq!(status.suspects.read(), 1 << 3 | 1 << 4);
    }
}
