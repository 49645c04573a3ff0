// SPDX-License-Identifier: MIT OR Apache-2.0
//! The architectures: a row each, with everything about them that bytes can tell.

mod riscv64;
mod x86_64;

use std::fmt;
use std::ops::Deref;

use object::{Endianness, elf};
use purgatory::abi::Backend;

use crate::symbols::Code;

/// Finds, in code at an address, what is loaded from an image: names and offsets.
pub(crate) type FindLoads = fn(&[u8], u64, u64) -> Vec<(String, u64)>;

/// Finds what lies on the stack at its deepest.
pub(crate) type FindParts = fn(&Code<'_>) -> Result<Vec<Part>, String>;

/// Something that lies on a stack, perhaps several times.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) what: &'static str,
    pub(crate) times: u64,
    /// Whether it may begin on the stack of a double fault, too.
    pub(crate) is_exception: bool,
    pub(crate) deepest: Deepest,
}

/// The deepest stack of a function.
#[derive(Clone, Debug)]
pub(crate) struct Deepest {
    pub(crate) bytes: u64,
    /// The functions that lead there, by their offsets.
    pub(crate) path: Vec<u64>,
}

/// An architecture that the purgatory is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Arch {
    /// All of them; the first is meant where none is named.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Riscv64];

    /// Returns what finds the instructions that load the register image, where that
    /// is known.
    pub(crate) fn register_loads(self) -> Option<FindLoads> {
        (self == Self::X86_64).then_some(x86_64::loads)
    }

    /// Returns what finds the deepest stack of a blob of ours, where that is known.
    pub(crate) fn stack_parts(self) -> Option<FindParts> {
        (self == Self::X86_64).then_some(x86_64::parts)
    }

    /// Name of the linked program, beside the file for the kernel.
    #[must_use]
    pub fn linked_name(self) -> String {
        format!("purgatory-{}.elf", self.name)
    }
}

/// An architecture for which only the library is there, and no boot yet.
#[derive(Clone, Copy, Debug)]
pub struct CoreOnly {
    /// Its name on command lines.
    pub name: &'static str,
    /// The target of programs for its Linux.
    pub linux_target: &'static str,
    /// What Debian calls it.
    pub debian: &'static str,
    /// QEMU's program for its user space.
    pub emulator: &'static str,
}

/// All of them; of either order of bytes.
pub const CORE_ONLY: [CoreOnly; 3] = [
    CoreOnly {
        name: "aarch64",
        linux_target: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        emulator: "qemu-aarch64",
    },
    CoreOnly {
        name: "s390x",
        linux_target: "s390x-unknown-linux-gnu",
        debian: "s390x",
        emulator: "qemu-s390x",
    },
    CoreOnly {
        name: "powerpc64le",
        linux_target: "powerpc64le-unknown-linux-gnu",
        debian: "ppc64el",
        emulator: "qemu-ppc64le",
    },
];

impl fmt::Display for Arch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// The one place where an architecture is told from another.
impl Deref for Arch {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        match self {
            Self::X86_64 => &x86_64::FACTS,
            Self::Riscv64 => &riscv64::FACTS,
        }
    }
}

/// What is known about an architecture.
#[derive(Debug)]
pub struct Facts {
    /// Its name in file names and on command lines.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The target that freestanding code is compiled for.
    pub target: &'static str,
    /// What its code generator has to be told besides.
    pub rustc_flags: &'static [&'static str],
    /// The target of programs for its Linux.
    pub linux_target: &'static str,
    /// What Debian calls it.
    pub debian: &'static str,
    /// `e_machine` of its files.
    pub machine: elf::Machine,
    /// The order of bytes in all of them.
    pub endianness: Endianness,
    /// No memory lies at or above this physical address.
    pub address_limit: u64,
    /// What the address of the entry is a multiple of.
    pub entry_alignment: u64,
    /// What its loader looks up by name; without a size it is only an address.
    pub symbols: &'static [(&'static str, Option<u64>)],
    /// Bytes of the stock blob in Debian's kernels, by their series: the room that a
    /// blob has which is written over it.
    pub slots: &'static [(&'static str, usize)],
    /// What the next kernel finds in its registers.
    pub registers: Registers,
    /// What its loader relocates.
    pub relocations: Relocations,
    /// The kinds of consoles that it has, a sum of `Config::CONSOLE_` flags; and what the
    /// debug console is.
    pub consoles: u32,
    /// See [`Facts::consoles`].
    pub debug_console: &'static str,
    /// What its blob hashes with.
    pub backends: &'static [Backend],
    /// Describes an exception.
    pub cause: fn(u64) -> Cause,
    /// What may be executed where.
    pub instructions: Instructions,
}

/// The register image: 64-bit words that the loader fills and the purgatory loads.
#[derive(Debug)]
pub struct Registers {
    /// The symbol that it lies at.
    pub symbol: &'static str,
    /// The registers in their order.
    pub names: &'static [&'static str],
    /// The one that holds where the next kernel is entered.
    pub entry: &'static str,
    /// The one that holds what it is handed, if the image does.
    pub parameters: Option<&'static str>,
}

impl Registers {
    /// Returns its size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        8 * self.names.len() as u64
    }

    /// Returns a register's index in the image.
    ///
    /// # Panics
    /// If the architecture has no such register.
    #[must_use]
    pub fn index(&self, name: &str) -> usize {
        let index = self.names.iter().position(|one| *one == name);
        index.unwrap_or_else(|| panic!("no register {name}"))
    }
}

/// The relocations of an architecture.
#[derive(Debug)]
pub struct Relocations {
    /// Returns what one does to the bytes, if the loader takes it.
    pub effect: fn(elf::RelocationType) -> Option<Effect>,
    /// Those that it takes, for people.
    pub known: &'static str,
    /// Returns the name that readers of the ABI know.
    pub name: fn(elf::RelocationType) -> Option<&'static str>,
}

/// What a relocation does.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// Bytes that it changes: the low ones of the value.
    pub width: usize,
    /// Whether the value counts from the place itself.
    pub is_relative: bool,
    /// Tells whether the loader takes the value.
    pub fits: fn(u64) -> bool,
}

/// An exception in words.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// Its short name, as reports have it.
    pub mnemonic: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What to look for.
    pub hint: &'static str,
    /// Says what was tried, by the error code, where it is about an address.
    pub access: Option<fn(u64) -> &'static str>,
}

/// The rule for instructions.
#[derive(Debug)]
pub struct Instructions {
    /// Why one is looked at, and where it may be.
    pub kinds: &'static [Kind],
    /// Disassembles code that lies at an address.
    pub decode: fn(&[u8], u64) -> Vec<Instruction>,
}

/// Why an instruction is looked at.
#[derive(Debug)]
pub struct Kind {
    /// For people.
    pub name: &'static str,
    /// The functions of our own blob that may have it; a part of a demangled name
    /// is enough.
    pub places: &'static [&'static str],
    /// Whether no purgatory may have it, whoever wrote it.
    pub is_banned: bool,
}

/// One instruction.
#[derive(Debug)]
pub struct Instruction {
    /// Where it is.
    pub address: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its mnemonic, in lower case.
    pub name: String,
    /// Mnemonic and operands, if it has a kind.
    pub text: String,
    /// The index of its kind, if it has to be in its place.
    pub kind: Option<usize>,
}
