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

use crate::memory::Image;

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

/// What the whole table says, in segment order.
pub type Regions = [Region; REGION_COUNT];

/// The table itself.
pub type Table = [Exported<Region>; REGION_COUNT];

/// A SHA-256 digest: its 32 bytes as they lie in memory, in words, because the
/// compiler copies what is volatile element by element.
pub type Digest = [u64; 4];

/// What the loader may set beyond the kernel's contract: `purgatory_config`.
///
/// Kernels leave it alone; a tool writes it into a finished blob.
#[repr(C)]
pub struct Config {
    /// [`Config::MAGIC`].
    pub magic: Exported<[u8; 8]>,
    /// [`Config::VERSION`].
    pub version: Exported<u32>,
    /// Size of this structure in bytes.
    pub size: Exported<u32>,
    /// Where to speak, a sum of the `CONSOLE_` flags.
    pub consoles: Exported<u32>,
    /// 0 speaks only to refuse; 1 also at entry, during long checks and at the end.
    pub verbosity: Exported<u32>,
    /// What follows a refusal: [`Config::HALT`] or [`Config::RESET`].
    pub on_refusal: Exported<u32>,
    /// Seconds to wait before a reset.
    pub delay: Exported<u32>,
    /// First I/O port of the 8250 UART of [`Config::CONSOLE_PORT`].
    pub uart_port: Exported<u16>,
    /// Divisor of 115,200 baud for either UART; 0 keeps what the firmware set.
    pub uart_divisor: Exported<u16>,
    /// Zero.
    pub reserved: Exported<u32>,
    /// Physical address of the 8250 UART of [`Config::CONSOLE_MMIO`], 32-bit registers.
    pub uart_mmio: Exported<u64>,
}

impl Config {
    /// The first bytes of the structure.
    pub const MAGIC: [u8; 8] = *b"PURGCONF";
    /// The layout described here.
    pub const VERSION: u32 = 1;
    /// An 8250 UART behind I/O ports.
    pub const CONSOLE_PORT: u32 = 1;
    /// An 8250 UART in memory, registers 4 bytes apart.
    pub const CONSOLE_MMIO: u32 = 2;
    /// The debug port 0xE9 of QEMU and Bochs.
    pub const CONSOLE_DEBUG: u32 = 4;
    /// VGA text memory at 0xb8000.
    pub const CONSOLE_VGA: u32 = 8;
    /// [`Config::on_refusal`]: stay, for whoever looks.
    pub const HALT: u32 = 0;
    /// [`Config::on_refusal`]: give the machine back, after [`Config::delay`].
    pub const RESET: u32 = 1;

    /// Tells whether to speak when all is well, too.
    pub fn is_verbose(&self) -> bool {
        self.verbosity.read() != 0
    }

    /// Tells whether a refusal ends in a reset.
    pub fn resets(&self) -> bool {
        self.on_refusal.read() == Self::RESET
    }
}

/// A static that is written from outside the program: by the loader before we
/// run, by a debugger after. Every access is volatile, so the compiler can
/// neither assume the initial value nor drop a store that nobody here reads.
#[repr(transparent)]
pub struct Exported<T>(UnsafeCell<T>);

// SAFETY: one CPU runs between two kernels, and a hosted caller of the library
// uses it from one thread at a time; values are plain data.
unsafe impl<T: Copy + Send> Sync for Exported<T> {}

impl<T: Copy> Exported<T> {
    /// Wraps the value that the file holds.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Copies out what stands there now.
    pub fn read(&self) -> T {
        // SAFETY: the pointer comes from a live cell of the same type.
        unsafe { self.0.get().read_volatile() }
    }

    /// Replaces what stands there.
    pub fn write(&self, value: T) {
        // SAFETY: the pointer comes from a live cell of the same type.
        unsafe { self.0.get().write_volatile(value) }
    }
}

/// Written by `kexec_calculate_store_digests()`.
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_sha_regions"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".exported.regions"))]
#[used]
pub static REGIONS: Table = [const { Exported::new(Region { start: 0, len: 0 }) }; REGION_COUNT];

/// Written by `kexec_calculate_store_digests()`.
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_sha256_digest"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".exported.digest"))]
#[used]
pub static EXPECTED_DIGEST: Exported<Digest> = Exported::new([0; 4]);

/// Written into the file by a tool; the kernel leaves it alone.
#[cfg_attr(target_os = "none", unsafe(export_name = "purgatory_config"))]
#[cfg_attr(target_os = "none", unsafe(link_section = ".exported.config"))]
#[used]
pub static CONFIG: Config = Config {
    magic: Exported::new(Config::MAGIC),
    version: Exported::new(Config::VERSION),
    size: Exported::new(48),
    consoles: Exported::new(Config::CONSOLE_PORT | Config::CONSOLE_DEBUG),
    verbosity: Exported::new(0),
    on_refusal: Exported::new(Config::HALT),
    delay: Exported::new(0),
    uart_port: Exported::new(0x3f8),
    uart_divisor: Exported::new(0),
    reserved: Exported::new(0),
    uart_mmio: Exported::new(0),
};

/// Returns the image that the loader described.
#[must_use]
pub const fn loaded_image() -> Image<'static> {
    // SAFETY: the region table is filled only by a loader, which vouches for its
    // entries (README, assumption 1); an empty table claims nothing.
    unsafe { Image::new(&REGIONS) }
}

const _: () = {
    assert!(size_of::<Region>() == 16);
    assert!(size_of::<Table>() == 256);
    assert!(size_of::<Digest>() == 32);
    assert!(size_of::<Config>() == 48);
};
