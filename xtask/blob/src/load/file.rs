// SPDX-License-Identifier: MIT OR Apache-2.0
//! A purgatory blob as the kernel's loader sees it: an array of section
//! headers and bytes that they point to.
//!
//! `object`'s reader refuses or repairs what the kernel takes as it stands
//! (any `sh_type` as symbol table, several symbol tables, `ET_EXEC`), so only
//! its raw structures are used here. It refuses to read a byte outside the
//! file: each accessor says what points there instead.

use std::fmt;

use object::elf;
use object::elf::{
    FileHeader64, FileType, Rela64, RelocationType, SectionFlags, SectionHeader64, SectionType,
    Sym64, SymbolBind, SymbolSection,
};
use object::{Endianness, pod};

use super::LoadError;
use crate::arch::Arch;
use crate::symbols::Code;

/// An `ELF64` file whose section header table is in the file.
#[derive(Clone, Debug)]
pub struct File<'data> {
    bytes: &'data [u8],
    /// The architecture that it is for.
    pub arch: Arch,
    pub(crate) entry: u64,
    pub(crate) kind: FileType,
    pub(crate) names: usize,
    pub(crate) sections: Vec<Section<'data>>,
}

/// A section header. The name is `None` when it is not a terminated, printable
/// string inside the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'data> {
    pub(crate) index: usize,
    pub(crate) name: Option<&'data str>,
    pub(crate) kind: SectionType,
    flags: SectionFlags,
    pub(crate) addr: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: usize,
    pub(crate) info: usize,
    pub(crate) align: u64,
}

/// A symbol table entry; `index` counts within its own table.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'data> {
    pub(crate) index: usize,
    pub(crate) name: Option<&'data str>,
    pub(crate) binding: SymbolBind,
    pub(crate) is_untyped: bool,
    pub(crate) section: SymbolSection,
    pub(crate) value: u64,
    /// `st_size`.
    pub size: u64,
}

/// A `RELA` entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relocation {
    pub(crate) offset: u64,
    pub(crate) kind: RelocationType,
    pub(crate) symbol: usize,
    pub(crate) addend: i64,
}

impl<'data> File<'data> {
    /// Returns the code in a section, by the blob's own symbols.
    pub(crate) fn code(&self, section: &Section<'data>) -> Result<Code<'data>, LoadError> {
        let bytes = self.data(section)?;
        let mut symbols = Vec::new();
        for table in self.symbol_tables() {
            for symbol in self.symbols(table)? {
                if usize::from(symbol.section.0) == section.index && symbol.value < section.size {
                    let name = symbol.name.unwrap_or_default();
                    symbols.push((symbol.value, symbol.size == 0, name));
                }
            }
        }
        Ok(Code::new(bytes, symbols))
    }

    /// Reads the headers, and refuses what no other check could be made on.
    ///
    /// The kernel refuses nothing here: it would use these bytes as offsets.
    pub fn parse(bytes: &'data [u8]) -> Result<Self, LoadError> {
        let wrong = |what: String| Err(LoadError::Unchecked(what));
        let Ok((header, _)) = pod::from_bytes::<FileHeader64<Endianness>>(bytes) else {
            return wrong(format!(
                "the file has {} bytes, less than an ELF header",
                bytes.len()
            ));
        };
        let ident = &header.e_ident;
        if ident.magic != elf::ELFMAG {
            return wrong("the file does not start with the ELF magic".into());
        }
        let endian = match ident.data {
            elf::ELFDATA2LSB => Some(Endianness::Little),
            elf::ELFDATA2MSB => Some(Endianness::Big),
            _ => None,
        };
        let known = |endian: &Endianness| Arch::ALL.iter().any(|arch| arch.endianness == *endian);
        let Some(endian) = endian.filter(|endian| ident.class == elf::ELFCLASS64 && known(endian))
        else {
            return wrong("the file is not a 64-bit little-endian ELF".into());
        };
        let machine = header.e_machine.get(endian);
        let is_for = |arch: &Arch| (arch.machine, arch.endianness) == (machine, endian);
        let arch = Arch::ALL.into_iter().find(is_for);
        let Some(arch) = arch else {
            let known = Arch::ALL.map(|arch| format!("{} ({})", arch.machine.0, arch.title));
            let known = known.join(" or ");
            return wrong(format!("e_machine is {}, not {known}", machine.0));
        };
        let (stride, count) = (header.e_shentsize.get(endian), header.e_shnum.get(endian));
        if usize::from(stride) != size_of::<SectionHeader64<Endianness>>() {
            return wrong(format!("e_shentsize is {stride}, the kernel takes 64"));
        }
        if count == 0 || count >= elf::SHN_LORESERVE {
            return wrong(format!("e_shnum is {count}: not 1 to 0xfeff"));
        }
        let start = header.e_shoff.get(endian);
        let Some(headers) = slice::<SectionHeader64<Endianness>>(bytes, start, count.into()) else {
            return wrong(format!(
                "the section headers ({count} at {start:#x}) reach beyond the file's {} bytes",
                bytes.len()
            ));
        };
        let names = usize::from(header.e_shstrndx.get(endian).0);
        let mut file = Self {
            bytes,
            arch,
            entry: header.e_entry.get(endian),
            kind: header.e_type.get(endian),
            names,
            sections: headers
                .iter()
                .enumerate()
                .map(|(index, header)| Section::new(index, header, endian))
                .collect(),
        };
        for (index, header) in headers.iter().enumerate() {
            file.sections[index].name = file.string(names, header.sh_name.get(endian));
        }
        Ok(file)
    }

    /// Returns a section's bytes in the file.
    pub(crate) fn data(&self, section: &Section<'_>) -> Result<&'data [u8], LoadError> {
        slice(self.bytes, section.offset, section.size).ok_or_else(|| {
            LoadError::Unchecked(format!(
                "{section} ({:#x} bytes at {:#x}) reaches beyond the file's {:#x} bytes",
                section.size,
                section.offset,
                self.bytes.len()
            ))
        })
    }

    /// Returns the sections that get a place in memory, in table order.
    pub(crate) fn loaded_sections(&self) -> impl Iterator<Item = &Section<'data>> {
        self.sections.iter().filter(|section| section.is_alloc())
    }

    /// Returns the entries of a symbol table. The kernel takes any section
    /// that a relocation section links to.
    pub(crate) fn symbols(
        &self,
        table: &Section<'data>,
    ) -> Result<impl ExactSizeIterator<Item = Symbol<'data>>, LoadError> {
        let entries: &[Sym64<Endianness>] = entries(self.data(table)?);
        let endian = self.arch.endianness;
        let strings = table.link;
        Ok(entries
            .iter()
            .enumerate()
            .map(move |(index, entry)| Symbol {
                index,
                name: self.string(strings, entry.st_name.get(endian)),
                binding: entry.st_bind(),
                is_untyped: entry.st_type() == elf::STT_NOTYPE,
                section: entry.st_shndx.get(endian),
                value: entry.st_value.get(endian),
                size: entry.st_size.get(endian),
            }))
    }

    /// Returns the entries of a `RELA` section.
    pub(crate) fn relocations(
        &self,
        section: &Section<'data>,
    ) -> Result<impl Iterator<Item = Relocation> + use<'data>, LoadError> {
        let entries: &[Rela64<Endianness>] = entries(self.data(section)?);
        let endian = self.arch.endianness;
        Ok(entries.iter().map(move |entry| Relocation {
            offset: entry.r_offset.get(endian),
            kind: entry.r_type(endian, false),
            symbol: entry.r_sym(endian, false) as usize,
            addend: entry.r_addend.get(endian),
        }))
    }

    /// Returns the symbol tables that the kernel's lookup walks.
    pub(crate) fn symbol_tables(&self) -> impl Iterator<Item = &Section<'data>> {
        self.sections
            .iter()
            .filter(|table| table.kind == elf::SHT_SYMTAB && table.link < self.sections.len())
    }

    /// Finds a symbol as `kexec_purgatory_find_symbol` does: the first global
    /// of that name decides, type and visibility do not matter.
    pub fn find_symbol(&self, name: &str) -> Result<Option<Symbol<'data>>, LoadError> {
        for table in self.symbol_tables() {
            for symbol in self.symbols(table)? {
                if symbol.binding != elf::STB_GLOBAL {
                    continue;
                }
                let Some(found) = symbol.name else {
                    return Err(LoadError::Unchecked(format!(
                        "the name of symbol {} in {table} is no printable string in the file",
                        symbol.index
                    )));
                };
                if found == name {
                    let defined = symbol.section != elf::SHN_UNDEF
                        && usize::from(symbol.section.0) < self.sections.len();
                    return Ok(defined.then_some(symbol));
                }
            }
        }
        Ok(None)
    }

    /// Returns the terminated string at `offset` of the string table `table`.
    fn string(&self, table: usize, offset: u32) -> Option<&'data str> {
        let data = self.data(self.sections.get(table)?).ok()?;
        let tail = data.get(offset as usize..)?;
        let end = tail.iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&tail[..end]).ok()?;
        // A name is printed: it must not forge lines or drive a terminal.
        (!name.contains(char::is_control)).then_some(name)
    }
}

impl Section<'_> {
    fn new(index: usize, header: &SectionHeader64<Endianness>, endian: Endianness) -> Self {
        Self {
            index,
            name: None,
            kind: header.sh_type.get(endian),
            flags: header.sh_flags.get(endian),
            addr: header.sh_addr.get(endian),
            offset: header.sh_offset.get(endian),
            size: header.sh_size.get(endian),
            link: header.sh_link.get(endian) as usize,
            info: header.sh_info.get(endian) as usize,
            align: header.sh_addralign.get(endian),
        }
    }

    pub(crate) fn is_alloc(&self) -> bool {
        self.flags.contains(elf::SHF_ALLOC)
    }

    pub(crate) fn is_executable(&self) -> bool {
        self.flags.contains(elf::SHF_EXECINSTR)
    }

    pub(crate) fn is_nobits(&self) -> bool {
        self.kind == elf::SHT_NOBITS
    }

    /// Returns how far into the section `e_entry` points, if it does.
    pub(crate) fn entry_offset(&self, entry: u64) -> Option<u64> {
        entry
            .checked_sub(self.addr)
            .filter(|&offset| offset < self.size)
    }
}

impl fmt::Display for Section<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) if !name.is_empty() => write!(formatter, "{name} (section {})", self.index),
            _ => write!(formatter, "section {}", self.index),
        }
    }
}

impl Symbol<'_> {
    /// Returns the name to print.
    pub(crate) fn label(&self) -> &str {
        match self.name {
            Some("") | None => "(nameless)",
            Some(name) => name,
        }
    }
}

/// Returns `count` values at a byte offset, if all of them are in the file.
fn slice<T: pod::Pod>(bytes: &[u8], offset: u64, count: u64) -> Option<&[T]> {
    let tail = bytes.get(usize::try_from(offset).ok()?..)?;
    let (values, _) = pod::slice_from_bytes(tail, usize::try_from(count).ok()?).ok()?;
    Some(values)
}

/// Returns the whole entries in a table; like the kernel, drops a torn last one.
fn entries<T: pod::Pod>(data: &[u8]) -> &[T] {
    let (values, _) =
        pod::slice_from_bytes(data, data.len() / size_of::<T>()).expect("the count is what fits");
    values
}
