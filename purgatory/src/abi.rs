// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the loader and the blob agree on: layouts, names and the exported tables.
//!
//! Nothing here is ours to change: sizes and names are compared to the letter by
//! `kexec_purgatory_get_set_symbol()` (Linux, `kernel/kexec_file.c`). The C view
//! of the same facts is `include/purgatory.h`; a test holds the two together.
#![expect(
    unsafe_code,
    reason = "the loader writes these statics behind the compiler's back"
)]

use core::cell::UnsafeCell;

/// How many regions the table has: `KEXEC_SEGMENT_MAX` in `uapi/linux/kexec.h`.
pub const REGION_COUNT: usize = 16;

/// One entry of the region table: `struct kexec_sha_region`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// First byte, a physical address.
    pub start: u64,
    /// Length in bytes; 0 marks an unused entry, whose start means nothing.
    pub len: u64,
}

impl Region {
    /// Tells whether a byte lies in it; one that wraps goes on at 0.
    #[must_use]
    pub const fn holds(&self, address: u64) -> bool {
        address.wrapping_sub(self.start) < self.len
    }

    /// Tells whether the two, of which none is empty, share a byte.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.holds(other.start) || other.holds(self.start)
    }
}

/// What the whole table says, in segment order.
pub type Regions = [Region; REGION_COUNT];

/// The table itself.
pub type Table = [Imported<Region>; REGION_COUNT];

/// A SHA-256 digest: its 32 bytes as they lie in memory, in words, because the
/// compiler copies what is volatile element by element.
pub type Digest = [u64; 4];

/// What the loader may set beyond the kernel's contract: `purgatory_config`.
///
/// Kernels leave it alone; a tool writes it into a finished blob. Damaged like
/// any other memory, it must not decide anything: see [`crate::config`].
#[repr(C)]
pub struct Config {
    /// [`Config::MAGIC`], its bytes as they lie in memory.
    pub magic: Imported<u64>,
    /// [`Config::VERSION`].
    pub version: Imported<u32>,
    /// Size of this structure in bytes.
    pub size: Imported<u32>,
    /// Where to speak, a sum of the `CONSOLE_` flags.
    pub consoles: Imported<u32>,
    /// 0 speaks only to refuse; 1 also at entry, during long checks and at the end.
    pub verbosity: Imported<u32>,
    /// What follows a refusal: [`Config::HALT`] or [`Config::RESET`].
    pub on_refusal: Imported<u32>,
    /// Seconds to wait before that reset.
    pub refusal_delay: Imported<u32>,
    /// What follows an exception, likewise.
    pub on_exception: Imported<u32>,
    /// Seconds to wait before that reset.
    pub exception_delay: Imported<u32>,
    /// The only backend to try before the portable one, by its number; 0 tries all.
    pub backend: Imported<u32>,
    /// Seconds, roughly, that a report may wait for UARTs in all.
    pub patience: Imported<u32>,
    /// First I/O port of the 8250 UART of [`Config::CONSOLE_PORT`].
    pub uart_port: Imported<u16>,
    /// Divisor of the clock of either UART, 115,200 baud with the usual 1.8432 MHz;
    /// 0 keeps what the firmware set.
    pub uart_divisor: Imported<u16>,
    /// Zero.
    pub reserved: Imported<u32>,
    /// Physical address of the 8250 UART of [`Config::CONSOLE_MMIO`], 32-bit registers.
    pub uart_mmio: Imported<u64>,
}

impl Config {
    /// The first bytes of the structure.
    pub const MAGIC: [u8; 8] = *b"PURGCONF";
    /// The layout described here.
    pub const VERSION: u32 = 2;
    /// Its size in bytes.
    pub const SIZE: u32 = 64;
    /// An 8250 UART behind I/O ports.
    pub const CONSOLE_PORT: u32 = 1;
    /// An 8250 UART in memory, registers 4 bytes apart.
    pub const CONSOLE_MMIO: u32 = 2;
    /// The debug port 0xE9 of QEMU and Bochs; riscv64: the firmware, else the 8250 of the
    /// device tree.
    pub const CONSOLE_DEBUG: u32 = 4;
    /// VGA text memory at 0xb8000.
    pub const CONSOLE_VGA: u32 = 8;
    /// Stay, for whoever looks.
    pub const HALT: u32 = 0;
    /// Give the machine back, after the delay.
    pub const RESET: u32 = 1;

    /// What a blob is built with.
    ///
    /// A refusal halts, as the stock purgatory does; an exception gives the machine
    /// back, as it did up to Linux 6.12 by a triple fault, but not without a word.
    #[must_use]
    pub const fn new(consoles: u32) -> Self {
        Self {
            magic: Imported::new(u64::from_ne_bytes(Self::MAGIC)),
            version: Imported::new(Self::VERSION),
            size: Imported::new(Self::SIZE),
            consoles: Imported::new(consoles),
            verbosity: Imported::new(0),
            on_refusal: Imported::new(Self::HALT),
            refusal_delay: Imported::new(0),
            on_exception: Imported::new(Self::RESET),
            exception_delay: Imported::new(10),
            backend: Imported::new(0),
            patience: Imported::new(30),
            uart_port: Imported::new(0x3f8),
            uart_divisor: Imported::new(0),
            reserved: Imported::new(0),
            uart_mmio: Imported::new(0),
        }
    }
}

/// Where the register image leads.
#[derive(Clone, Copy, Debug)]
pub struct Handoff {
    /// Where the next kernel is entered.
    pub entry: u64,
    /// The address that it is handed, 0 for none.
    pub argument: u64,
}

/// Who computes the compression function of SHA-256; the number is part of the ABI.
/// 2 was an AVX2 backend and is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Backend {
    /// `sha2`'s plain integer code; runs everywhere, and judges the others.
    Portable = 1,
    /// x86's own SHA-256 instructions.
    ShaNi = 3,
    /// SSE2 message schedule, scalar rounds.
    Sse2,
    /// RISC-V's scalar SHA-256 instructions.
    Zknh,
    /// RISC-V's vector SHA-256 instructions.
    Zvknh,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Portable,
        Self::ShaNi,
        Self::Sse2,
        Self::Zknh,
        Self::Zvknh,
    ];

    /// Returns the one behind an ABI number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.number() == number)
    }

    /// Returns its name, as reports and tools spell it: at most eight letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::ShaNi => "sha-ni",
            Self::Sse2 => "sse2",
            Self::Zknh => "zknh",
            Self::Zvknh => "zvknh",
        }
    }

    /// Returns the ABI number.
    #[expect(clippy::as_conversions, reason = "the discriminant is that number")]
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// A static that is read and written here, and read from outside: by a debugger,
/// a monitor, a dump tool. Every access is volatile, so no store is dropped
/// because nobody here reads it.
#[repr(transparent)]
pub struct Exported<T>(UnsafeCell<T>);

// SAFETY: values are plain data; they are written by this crate only, which runs
// on one CPU between two kernels, or in `purgatory_verify`, whose caller promises
// that nothing else uses them meanwhile.
unsafe impl<T: Copy + Send> Sync for Exported<T> {}

impl<T: Copy> Exported<T> {
    /// Wraps the first value.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Copies out what stands there now.
    pub fn read(&self) -> T {
        // SAFETY: the pointer comes from a live cell of the same type.
        unsafe { self.0.get().read_volatile() }
    }

    /// Replaces what stands there, and returns it.
    pub(crate) fn replace(&self, value: T) -> T {
        let old = self.read();
        self.write(value);
        old
    }

    /// Replaces what stands there.
    pub(crate) fn write(&self, value: T) {
        // SAFETY: the pointer comes from a live cell of the same type.
        unsafe { self.0.get().write_volatile(value) }
    }
}

impl Exported<Digest> {
    /// Copies a digest out, as [`Exported::read`] does: in one place, because that is
    /// done word by word, and often.
    #[inline(never)]
    pub(crate) fn load(&self) -> Digest {
        self.read()
    }

    /// Replaces a digest, likewise.
    #[inline(never)]
    pub(crate) fn store(&self, digest: &Digest) {
        self.write(*digest);
    }
}

impl Imported<Digest> {
    /// Copies a digest out.
    pub(crate) fn load(&self) -> Digest {
        self.0.load()
    }
}

/// A static that is written before the program runs, by the loader or a tool, and
/// only read here: the compiler cannot assume the value that the file holds.
#[repr(transparent)]
pub struct Imported<T>(Exported<T>);

impl<T: Copy> Imported<T> {
    /// Wraps the value that the file holds.
    pub const fn new(value: T) -> Self {
        Self(Exported::new(value))
    }

    /// Copies out what was written there.
    pub fn read(&self) -> T {
        self.0.read()
    }
}

/// Written by `kexec_calculate_store_digests()`.
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_sha_regions"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".exported.regions"))]
#[used]
pub static REGIONS: Table = [const { Imported::new(Region { start: 0, len: 0 }) }; REGION_COUNT];

/// Written by `kexec_calculate_store_digests()`.
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_sha256_digest"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".exported.digest"))]
#[used]
pub static EXPECTED_DIGEST: Imported<Digest> = Imported::new([0; 4]);

/// What [`checksum`] makes of everything in front of it; the build writes it.
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_checksum"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".exported.checksum"))]
#[used]
pub static CHECKSUM: Imported<u64> = Imported::new(0);

/// See [`checksum`]; odd, so that multiplying by it can be undone.
pub const CHECKSUM_FACTOR: u64 = 0x1e37_79b1;
/// See [`checksum`].
pub const CHECKSUM_ROTATION: u32 = 23;

/// Sums up words so that a change of one of them, and nearly every other change,
/// makes another sum. The entry code does the same in assembly; this is for the build.
#[must_use]
pub fn checksum(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0, |sum, word| {
        (sum ^ word)
            .rotate_left(CHECKSUM_ROTATION)
            .wrapping_mul(CHECKSUM_FACTOR)
    })
}

const _: () = {
    assert!(size_of::<Region>() == 16);
    assert!(size_of::<Table>() == 256);
    assert!(size_of::<Digest>() == 32);
    assert!(size_of::<Config>() == 64 && Config::SIZE == 64);
};
