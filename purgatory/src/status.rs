//! The record left behind: `purgatory_status`.
//!
//! A debugger, a QEMU monitor or a dump tool finds it by its magic and reads how
//! far the purgatory came, even where no console was.

use crate::{
    abi::{Digest, Exported},
    sha256::Backend,
    verify::{Outcome, Refusal},
};

/// How far the trip came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The entry code ran.
    Entered,
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
    /// Returns the number in the record.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Entered => 1,
            Self::Verifying => 2,
            Self::Leaving => 3,
            Self::Refused => 4,
            Self::Faulted => 5,
        }
    }
}

/// Version 1 of the record. Every field is a cell of its own: it is read from
/// outside at any moment, so each value lands as soon as it is known.
#[repr(C)]
pub struct Status {
    /// [`Status::MAGIC`].
    pub magic: Exported<[u8; 8]>,
    /// [`Status::VERSION`].
    pub version: Exported<u32>,
    /// Size of this structure in bytes.
    pub size: Exported<u32>,
    /// A [`Phase`] number.
    pub phase: Exported<u32>,
    /// 0 none yet, 1 match, 2 nothing to check, 3 mismatch, 4 table wiped,
    /// 5 bad region, 6 exception, 7 stack overflow.
    pub verdict: Exported<u32>,
    /// A [`Backend`] number, 0 before one was chosen.
    pub backend: Exported<u32>,
    /// Index of the bad region.
    pub region: Exported<u32>,
    /// Bytes hashed so far.
    pub bytes: Exported<u64>,
    /// Time-stamp counter ticks spent hashing so far.
    pub cycles: Exported<u64>,
    /// Non-maskable interrupts seen and returned from.
    pub nmis: Exported<u64>,
    /// Vector of the exception that ended the trip.
    pub vector: Exported<u64>,
    /// Its error code.
    pub error: Exported<u64>,
    /// Where it happened.
    pub rip: Exported<u64>,
    /// The address it was about.
    pub cr2: Exported<u64>,
    /// The digest computed.
    pub digest: Exported<Digest>,
}

impl Status {
    /// The first bytes of the record.
    pub const MAGIC: [u8; 8] = *b"PURGSTAT";
    /// The layout described here.
    pub const VERSION: u32 = 1;

    /// Begins the record: it is one as soon as it has the magic, which goes last.
    #[inline(never)]
    pub fn open(&self) {
        self.version.write(Self::VERSION);
        self.size.write(120);
        self.enter(Phase::Entered);
        self.magic.write(Self::MAGIC);
    }

    /// Notes how far the trip came.
    pub fn enter(&self, phase: Phase) {
        self.phase.write(phase.number());
    }

    /// Notes the start of a check.
    pub fn begin(&self, backend: Backend) {
        self.enter(Phase::Verifying);
        self.backend.write(backend.number());
        self.verdict.write(0);
        self.bytes.write(0);
        self.cycles.write(0);
        self.region.write(0);
    }

    /// Notes that our own stack ran over: nothing computed on it can be trusted.
    pub fn overflowed(&self) {
        self.enter(Phase::Refused);
        self.verdict.write(7);
    }

    /// Notes the exception that ends the trip.
    pub fn faulted(&self, vector: u64, error: u64, rip: u64, cr2: u64) {
        self.vector.write(vector);
        self.error.write(error);
        self.rip.write(rip);
        self.cr2.write(cr2);
        self.verdict.write(6);
        self.enter(Phase::Faulted);
    }

    /// Notes how a check ended.
    pub fn conclude(&self, outcome: &Outcome) {
        self.digest.write(outcome.computed);
        if outcome.verdict.is_err() {
            self.enter(Phase::Refused);
        }
        self.verdict.write(match outcome.verdict {
            Ok(()) if outcome.bytes > 0 => 1,
            Ok(()) => 2,
            Err(Refusal::Mismatch) => 3,
            Err(Refusal::TableWiped) => 4,
            Err(Refusal::BadRegion { index, .. }) => {
                self.region.write(index);
                5
            }
        });
    }
}

const _: () = assert!(size_of::<Status>() == 120);

/// The record itself: zeros in memory until [`Status::open`], and not in the file.
#[cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "found by name from outside")
)]
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_status"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".bss.exported.status"))]
#[used]
pub static STATUS: Status = Status {
    magic: Exported::new([0; 8]),
    version: Exported::new(0),
    size: Exported::new(0),
    phase: Exported::new(0),
    verdict: Exported::new(0),
    backend: Exported::new(0),
    region: Exported::new(0),
    bytes: Exported::new(0),
    cycles: Exported::new(0),
    nmis: Exported::new(0),
    vector: Exported::new(0),
    error: Exported::new(0),
    rip: Exported::new(0),
    cr2: Exported::new(0),
    digest: Exported::new([0; 4]),
};
