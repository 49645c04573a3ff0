//! One row an architecture: everything that xtask knows about it.

use clap::ValueEnum;
use object::elf;

/// An architecture that the purgatory is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// 64-bit x86.
    #[value(name = "x86_64")]
    X86_64,
}

impl Arch {
    /// Its name in file names and on command lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
        }
    }

    /// The target that freestanding code is compiled for.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-none",
        }
    }

    /// `e_machine` of its files.
    pub(crate) const fn machine(self) -> elf::Machine {
        match self {
            Self::X86_64 => elf::EM_X86_64,
        }
    }
}
