//! One row an architecture: everything that xtask knows about it.

pub mod x86_64;

use object::elf;

/// An architecture that the purgatory is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
}

impl Arch {
    /// Its name in file names and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
        }
    }

    /// The target that freestanding code is compiled for.
    pub const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-none",
        }
    }

    /// `e_machine` of its files.
    pub const fn machine(self) -> elf::Machine {
        match self {
            Self::X86_64 => elf::EM_X86_64,
        }
    }

    /// Name of the linked program, beside the file for the kernel.
    pub fn linked_name(self) -> String {
        format!("purgatory-{}.elf", self.name())
    }
}
