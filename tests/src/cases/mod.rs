//! The boot cases: each row is a boot of the shipped blob, in one or both of the
//! states in which kernels leave the CPU.
//!
//! A row says what is prepared, what is done, and all that must come of it.

mod actions;
mod consoles;
mod exceptions;
mod images;

pub use consoles::DEFAULTS;

/// What the first kernel leaves behind in GDTR and IDTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Both have limit 0: Linux 5.10 to 6.12.
    Legacy,
    /// A GDT, and an IDT of 16 gates: Linux 7.x.
    DebugIdt,
}

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
pub enum Layout {
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
    /// As [`Layout::Three`], and so many MiB of zeros.
    Large(u64),
    /// As [`Layout::Three`], with a RAM disk of two pages: what is stopped at every
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
    /// The first entry of the table gets [`UNMAPPED`] as its start, and the last used
    /// one ends there.
    Unmapped,
}

/// No page table of the harness leads here.
pub const UNMAPPED: u64 = 0x70_0000_0000;

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
}

/// A page of RAM that can play an 8250 in memory.
pub const UART_PAGE: u64 = 0x0280_0000;

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
}

/// When something is done to the purgatory from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once bytes are hashed.
    Hashing,
    /// Once an exception is on record.
    Faulted,
    /// Once a report looks up its consoles.
    Opening,
}

/// What is done to it.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A non-maskable interrupt.
    Nmi,
    /// An uncorrected machine check.
    MachineCheck,
    /// This code runs instead of what comes next.
    Run(&'static [u8]),
}

/// How the boot must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The second kernel runs and finds everything in order.
    Boots,
    /// The purgatory refuses with this verdict of its status record, and the
    /// second kernel does not run: the machine halts.
    Refuses(u32),
    /// Likewise, but the machine is reset.
    Resets(u32, Reset),
}

impl Expect {
    /// Returns the verdict of a boot that does not reach the second kernel.
    #[must_use]
    pub const fn verdict(self) -> Option<u32> {
        match self {
            Self::Boots => None,
            Self::Refuses(verdict) | Self::Resets(verdict, _) => Some(verdict),
        }
    }
}

/// One boot.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Says what behaviour is shown.
    pub name: &'static str,
    /// QEMU's machine type.
    pub machine: &'static str,
    /// More arguments of QEMU.
    pub devices: &'static [&'static str],
    /// QEMU's CPU model.
    pub cpu: &'static str,
    /// The backend that must have hashed; empty where it does not matter.
    pub backend: &'static str,
    /// MiB of RAM.
    pub memory: u64,
    /// Whether five levels of page tables are in use.
    pub five_levels: bool,
    /// Whether machine checks are caught at entry.
    pub machine_checks: bool,
    /// Whether, at entry, the direction flag is set, vector registers hold data, a
    /// breakpoint is armed, and garbage lies behind the file's bytes.
    pub dirty: bool,
    /// What stands in GDTR and IDTR at entry: a boot for each.
    pub profiles: &'static [Profile],
    /// Where the purgatory is.
    pub place: Place,
    /// What is to be verified.
    pub layout: Layout,
    /// What is broken.
    pub damage: Damage,
    /// What the purgatory is told; `None` leaves it as it was built.
    pub config: Option<Config>,
    /// Line status of an 8250 played by [`UART_PAGE`].
    pub uart: Option<u8>,
    /// What is done to the purgatory, in this order.
    pub acts: &'static [(When, Act)],
    /// Exactly what it says; `{name}` stands for what the host knows, or else
    /// for any digits, and `{more}` in front for one or more such lines.
    pub says: &'static str,
    /// The consoles that carry it; all others are silent.
    pub heard: &'static [Console],
    /// Seconds from the jump into it until it comes to rest, at most.
    pub seconds: u64,
    /// How it ends.
    pub expect: Expect,
}

/// What most cases have in common.
pub const INTACT: Case = Case {
    name: "intact",
    machine: "pc",
    devices: &[],
    cpu: "max",
    backend: "",
    memory: 512,
    five_levels: false,
    machine_checks: false,
    dirty: false,
    profiles: &[Profile::Legacy],
    place: Place::Top,
    layout: Layout::Three,
    damage: Damage::None,
    config: None,
    uart: None,
    acts: &[],
    says: "",
    heard: &[Console::Ports, Console::Debug],
    seconds: 30,
    expect: Expect::Boots,
};

/// Number of the backend that every CPU runs.
const PORTABLE: u32 = 1;

const BOTH: &[Profile] = &[Profile::Legacy, Profile::DebugIdt];

/// A refusal of the three regions.
const MISMATCH: Case = Case {
    name: "refuses-wrong-digest",
    profiles: BOTH,
    damage: Damage::Digest,
    says: include_str!("../../golden/mismatch.txt"),
    expect: Expect::Refuses(3),
    ..INTACT
};

/// Returns all of them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        images::CASES,
        consoles::CASES,
        actions::CASES,
        exceptions::CASES,
        exceptions::INTERRUPTS,
        exceptions::INTERRUPTS_WITHOUT_ERROR,
    ]
    .into_iter()
    .flatten()
}
