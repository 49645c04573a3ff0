// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot cases: each row is a boot of the shipped blob, in one or both of the
//! states in which kernels leave the CPU.
//!
//! A row says what is prepared, what is done, and all that must come of it.

mod images;
pub(crate) mod own;
pub(crate) mod rows;

use crate::plan::Range;

pub use purgatory::status::Verdict;

/// Where the purgatory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the kernel places it: as high in RAM as it fits.
    Top,
    /// From this address on.
    At(u64),
    /// Right below this address.
    Below(u64),
    /// From this virtual address on, in some RAM that is mapped there.
    Mapped(u64),
}

/// What the region table describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Boot parameters, the second kernel, a RAM disk: what a loader records.
    Three,
    /// All sixteen entries, of odd sizes and at odd addresses.
    Sixteen,
    /// Empty entries, with start 0, before, between and behind three used ones.
    Gaps,
    /// Three entries of which two share bytes.
    Overlap,
    /// Nothing.
    Empty,
    /// As [`Regions::Three`], and so many MiB of zeros.
    Large(u64),
    /// As [`Regions::Three`], with a RAM disk of two pages: what is stopped at every
    /// step hashes slowly.
    Small,
}

/// First, middle or last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The first one.
    First,
    /// The one in the middle.
    Middle,
    /// The last one.
    Last,
}

/// What is broken after the loader was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// One bit of one byte of one used region.
    Flip {
        /// Which region.
        region: Pick,
        /// Which byte of it.
        byte: Pick,
    },
    /// One bit of the digest.
    Digest,
    /// The last used entry of the table gets a length that wraps around 2^64.
    Wrap,
    /// The last used entry of the table gets the start 0.
    StartsAtZero,
    /// The last used entry of the table gets a start above any memory.
    TooHigh,
    /// The first entry of the table gets [`unmapped`](crate::arch::MemoryMap::unmapped) as its start, and the
    /// last used one ends there.
    Unmapped,
    /// The last used entry of the table gets a start in the purgatory.
    Ours(Part),
    /// One bit of a register of the image.
    Register(&'static str, u32),
    /// One bit of the byte so far before the end of the checksum, which is 8 bytes long.
    Own(usize),
    /// One bit of a function of the purgatory's that no boot calls.
    Code,
    /// One bit of that byte of the configuration, and one of the digest.
    Config(usize),
}

/// A part of the purgatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first byte of its code.
    Code,
    /// The first byte of its record.
    Record,
    /// The last byte of its memory.
    End,
}

/// For [`Config::memory`]: where the canary of the purgatory's stack lies.
pub const CANARY: u64 = u64::MAX;

/// A console of the purgatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// An 8250 behind ports.
    Ports,
    /// An 8250 in memory.
    Memory,
    /// Port 0xE9.
    Debug,
    /// VGA text.
    Screen,
    /// A linear frame buffer.
    Framebuffer,
    /// A zone of ramoops.
    Ramoops,
}

/// What the boot parameters say of a frame buffer (`struct screen_info`).
#[derive(Clone, Copy, Debug)]
pub struct ScreenInfo {
    /// `orig_video_isVGA`: 0x70 is EFI's, 0x23 VESA's.
    pub kind: u8,
    /// `lfb_base` and `ext_lfb_base`.
    pub base: u64,
    /// `lfb_width`
    pub width: u16,
    /// `lfb_height`
    pub height: u16,
    /// `lfb_linelength`
    pub stride: u16,
    /// `lfb_depth`
    pub depth: u16,
}

impl ScreenInfo {
    /// Returns its size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.height as u64 * self.stride as u64
    }
}

/// What is written into the blob's `purgatory_config`.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Where to speak.
    pub consoles: &'static [Console],
    /// Whether to speak on the good path.
    pub verbose: bool,
    /// Reset so many seconds after a refusal; else halt.
    pub on_refusal: Option<u32>,
    /// Reset so many seconds after an exception; else halt.
    pub on_exception: Option<u32>,
    /// The only backend to try, by its number; 0 tries all.
    pub backend: u32,
    /// Seconds that a report may wait for UARTs.
    pub patience: u32,
    /// First port of the 8250 behind ports.
    pub port: u16,
    /// Divisor of either 8250.
    pub divisor: u16,
    /// Address of the 8250 in memory.
    pub memory: u64,
    /// The zone of ramoops.
    pub ramoops: Range,
}

impl Config {
    /// Seconds from the end of a report to a reset, if that is how it ends.
    #[must_use]
    pub const fn reset_after(&self, exception: bool) -> Option<u32> {
        if exception {
            self.on_exception
        } else {
            self.on_refusal
        }
    }
}

/// How a machine can be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Port 0xCF9.
    Chipset,
    /// Port 0x64.
    Keyboard,
    /// Three exceptions at once.
    TripleFault,
    /// The firmware was asked to.
    Firmware,
}

/// When something is done to the purgatory from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as the purgatory says that it runs.
    Entered,
    /// Once bytes are hashed.
    Hashing,
    /// Once an exception is on record.
    Faulted,
    /// Once a report looks up its consoles.
    Opening,
    /// Once the word of a backend is not taken.
    Doubting,
}

/// What is done to it.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A non-maskable interrupt.
    Nmi,
    /// A command of QEMU's own monitor.
    Monitor(&'static str),
    /// One bit of one byte of a used region.
    Flip(Pick, Pick),
    /// One bit of the answer that every backend has to know.
    Answer,
    /// This code runs instead of what comes next.
    Run(&'static [u8]),
}

/// How the boot must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The second kernel runs and finds everything in order.
    Boots,
    /// The purgatory refuses with this verdict on record, and the
    /// second kernel does not run: the machine halts.
    Refuses(Verdict),
    /// Likewise, but the machine is reset.
    Resets(Verdict, Reset),
}

impl Expect {
    /// Returns the verdict of a boot that does not reach the second kernel.
    #[must_use]
    pub const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Boots => None,
            Self::Refuses(verdict) | Self::Resets(verdict, _) => Some(verdict),
        }
    }
}

/// Number of the backend that every CPU runs.
pub const PORTABLE: u32 = 1;

/// One boot.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Says what behaviour is shown.
    pub name: &'static str,
    /// QEMU's machine type; empty is the usual one.
    pub machine: &'static str,
    /// More arguments of QEMU.
    pub devices: &'static [&'static str],
    /// QEMU's CPU model; empty is the one that can do most.
    pub cpu: &'static str,
    /// The backend that must have hashed; empty where it does not matter.
    pub backend: &'static str,
    /// MiB of RAM.
    pub memory: u64,
    /// How the machine is left: flags of the architecture's.
    pub flags: u64,
    /// Whether, at entry, all is filled that a kernel may leave filled, and garbage lies
    /// behind the file's bytes.
    pub dirty: bool,
    /// Whether there is a boot for each state in which kernels leave the processor,
    /// or for the first only.
    pub every_state: bool,
    /// Where the purgatory is.
    pub place: Place,
    /// What is to be verified.
    pub regions: Regions,
    /// What is broken.
    pub damage: Damage,
    /// What the purgatory is told; `None` leaves it as it was built.
    pub config: Option<Config>,
    /// The frame buffer that the boot parameters describe.
    pub screen: Option<ScreenInfo>,
    /// What begins [`zone`](crate::arch::MemoryMap::zone).
    pub zone: Option<&'static [u8]>,
    /// Line status of an 8250 played by [`uart`](crate::arch::MemoryMap::uart).
    pub uart: Option<u8>,
    /// Non-maskable interrupts that it finds waiting.
    pub nmis: u64,
    /// Backends that must have been caught, bit N for number N.
    pub suspects: u32,
    /// What is done to the purgatory, in this order.
    pub acts: &'static [(When, Act)],
    /// Exactly what it says; `{name}` stands for what the host knows, or else
    /// for any digits, and `{more}` in front for one or more such lines.
    pub says: &'static str,
    /// The consoles that carry it, or else those that the blob is built with; all
    /// others are silent.
    pub heard: Option<&'static [Console]>,
    /// Seconds from the jump into it until it comes to rest, at most.
    pub seconds: u64,
    /// How it ends.
    pub expect: Expect,
}

impl Case {
    /// Returns the configuration that acts, if these are the blob's defaults.
    #[must_use]
    pub const fn acting<'a>(&'a self, defaults: &'a Config) -> &'a Config {
        match (&self.config, self.damage) {
            (Some(config), damage) if !matches!(damage, Damage::Config(_)) => config,
            _ => defaults,
        }
    }
}

/// What every blob is built with, but for its consoles.
pub const DEFAULTS: Config = Config {
    consoles: &[Console::Debug],
    verbose: false,
    on_refusal: None,
    on_exception: Some(10),
    backend: 0,
    patience: 30,
    port: 0x3f8,
    divisor: 0,
    memory: 0,
    ramoops: Range { start: 0, len: 0 },
};

/// What most cases have in common.
pub const INTACT: Case = Case {
    name: "intact",
    machine: "",
    devices: &[],
    cpu: "",
    backend: "",
    memory: 512,
    flags: 0,
    dirty: false,
    every_state: false,
    place: Place::Top,
    regions: Regions::Three,
    damage: Damage::None,
    config: None,
    screen: None,
    zone: None,
    uart: None,
    nmis: 0,
    suspects: 0,
    acts: &[],
    says: "",
    heard: None,
    seconds: 30,
    expect: Expect::Boots,
};

/// A refusal of the three regions.
pub const MISMATCH: Case = Case {
    name: "refuses-wrong-digest",
    every_state: true,
    damage: Damage::Digest,
    says: include_str!("../../golden/mismatch.txt"),
    expect: Expect::Refuses(Verdict::Mismatch),
    ..INTACT
};

/// What every architecture boots.
pub use images::CASES;
