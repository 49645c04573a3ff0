// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the first kernel is to do, and the second one to find.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How a guest ends QEMU, by the architecture's `exit_with`.
pub mod exit {
    /// The payload ran and every check held.
    pub const PASSED: u32 = 0x31;
    /// The payload ran and a check did not hold.
    pub const FAILED: u32 = 0x21;
    /// The harness could not carry out its plan.
    pub const NO_PLAN: u32 = 0x11;
    /// An exception reached the first kernel's own handler.
    pub const STRAY: u32 = 0x19;
}

/// What a canary page is filled with.
pub const CANARY: u64 = 0xc0de_cafe_f00d_d00d;

/// The first bytes of a plan.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PURGPLAN");

/// The [flag](Plan::flags) to fill what a kernel may leave filled: vector registers,
/// the direction flag, a breakpoint. The others belong to the architectures.
pub const DIRTY: u64 = 4;

/// The pattern that [`DIRTY`] leaves in every 64-bit lane of vector register `number`.
#[must_use]
pub const fn vector_pattern(number: u64) -> u64 {
    0x5eed_0000_0000_0000 | number << 32 | 0xa5a5_0000 | number
}

/// Words for registers, more than any architecture has.
pub const REGISTERS: usize = 33;
/// Words for the state of a processor.
pub const STATE: usize = 8;

/// `len` bytes from `start`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Length in bytes; 0 is an unused entry.
    pub len: u64,
}

impl Range {
    /// Returns the first byte behind it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start + self.len
    }

    /// Tells whether the two share a byte.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// A mapping that is not the identity.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Mapping {
    /// Virtual addresses, in whole pages.
    pub virt: Range,
    /// Physical address of the first page.
    pub phys: u64,
}

/// A segment to put in place.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Move {
    /// Offset of its bytes from the start of the plan.
    pub from: u64,
    /// How many bytes there are; the rest of the segment is zero.
    pub filled: u64,
    /// Where it goes (virtual).
    pub to: Range,
}

/// Damage to be done once everything is in place.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Flip {
    /// The byte (virtual).
    pub at: u64,
    /// The bits to invert; 0 is an unused entry.
    pub mask: u64,
}

/// Everything that the guests need to know, in the first bytes of the image that
/// QEMU hands over as the initial RAM disk.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Plan {
    /// [`MAGIC`].
    pub magic: u64,
    /// How to leave the machine: a sum of flags.
    pub flags: u64,
    /// Where the purgatory is entered.
    pub entry: u64,
    /// Its segment; the page on either side is a canary when `canaries` is 1.
    pub purgatory: Range,
    /// Whether there are canary pages.
    pub canaries: u64,
    /// Memory to map identically.
    pub ram: [Range; 4],
    /// More mappings.
    pub mappings: [Mapping; 4],
    /// Segments to put in place.
    pub moves: [Move; 20],
    /// Damage.
    pub flips: [Flip; 2],
    /// The register image, as the loader fills it.
    pub registers: [u64; REGISTERS],
    /// What was hashed.
    pub regions: [Range; 16],
    /// Its digest.
    pub digest: [u8; 32],
    /// Written by the harness: the processor right before the jump.
    pub state: [u64; STATE],
    /// Written by the payload's entry code: the registers in which it was entered.
    pub arrived: [u64; REGISTERS],
}

impl Plan {
    /// A plan of nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            magic: MAGIC,
            ..Self::read_from_bytes(&[0; size_of::<Self>()]).unwrap_or_else(|_| unreachable!())
        }
    }
}
