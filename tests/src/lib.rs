//! What the two test kernels and the host agree on.
//!
//! The host plays the loader: it lays out every segment, computes the digest and
//! writes a [`Plan`]. The harness, the first kernel, carries the plan out and
//! jumps; the payload, the second kernel, checks what it finds against it.
#![no_std]

pub mod arch;
pub mod cases;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Port of QEMU's `isa-debugcon` that both guests speak on: not 0x402, where the
/// firmware speaks, and neither COM1 nor
/// 0xE9, which belong to the purgatory.
pub const TALK_PORT: u16 = 0x5e9;

/// Port of QEMU's `isa-debug-exit`.
pub const EXIT_PORT: u16 = 0xf4;

/// What a guest writes to [`EXIT_PORT`]. QEMU then ends with [`exit_code`].
pub mod exit {
    /// The payload ran and every check held.
    pub const PASSED: u32 = 0x31;
    /// The payload ran and a check did not hold.
    pub const FAILED: u32 = 0x21;
    /// The harness could not carry out its plan.
    pub const NO_PLAN: u32 = 0x11;
    /// An exception reached the first kernel's IDT.
    pub const STRAY: u32 = 0x19;
}

/// Returns the exit code of a QEMU whose guest wrote `value` to [`EXIT_PORT`].
#[must_use]
pub const fn exit_code(value: u32) -> u32 {
    value << 1 | 1
}

/// Memory of the harness: its program, its page tables, and what follows here.
pub const HARNESS: Range = Range {
    start: 0x10_0000,
    len: 0x50_0000,
};
/// Where the harness leaves the plan for the payload.
pub const PLAN_AT: u64 = 0x50_0000;
/// Where the harness builds the payload's `BootInfo`; the image's rdi points there.
pub const BOOT_INFO_AT: u64 = 0x51_0000;

/// What a canary page is filled with.
pub const CANARY: u64 = 0xc0de_cafe_f00d_d00d;

/// The first bytes of a plan.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PURGPLAN");

/// Run on five levels of page tables.
pub const FIVE_LEVELS: u64 = 1;
/// Leave a GDT and a 16-gate IDT behind, as Linux 7.x does.
pub const DEBUG_IDT: u64 = 2;
/// Catch machine checks (CR4.MCE), as kernels in TDX guests leave them.
pub const MACHINE_CHECKS: u64 = 8;
/// Set the direction flag, fill the vector registers and arm a breakpoint before the jump.
pub const DIRTY: u64 = 4;

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

/// What the harness saw right before it jumped.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Machine {
    /// CR0, CR3, CR4.
    pub control: [u64; 3],
    /// EFER.
    pub efer: u64,
    /// XCR0, 0 where the CPU has no XSAVE.
    pub xcr0: u64,
    /// IDTR: limit, base.
    pub idt: [u64; 2],
    /// Whether the CPU has AVX.
    pub avx: u64,
}

/// Everything that the guests need to know, in the first bytes of the image that
/// QEMU hands over as the initial RAM disk.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Plan {
    /// [`MAGIC`].
    pub magic: u64,
    /// The sum of the flags above.
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
    /// The register image: the sixteen in hardware order, then rip.
    pub registers: [u64; 17],
    /// What was hashed.
    pub regions: [Range; 16],
    /// Its digest.
    pub digest: [u8; 32],
    /// Written by the harness.
    pub machine: Machine,
    /// Written by the payload's entry code: the sixteen registers, then RFLAGS.
    pub arrived: [u64; 17],
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

/// The pattern that [`DIRTY`] leaves in every 64-bit lane of vector register `number`.
#[must_use]
pub const fn vector_pattern(number: u64) -> u64 {
    0x5eed_0000_0000_0000 | number << 32 | 0xa5a5_0000 | number
}
