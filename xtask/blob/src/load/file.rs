//! A purgatory blob as the kernel's loader sees it: an array of section
//! headers and bytes that they point to.
//!
//! `object`'s reader refuses or repairs what the kernel takes as it stands
//! (any `sh_type` as symbol table, several symbol tables, `ET_EXEC`), so only
//! its raw structures are used here. It refuses to read a byte outside the
//! file: each accessor says what points there instead.

use std::fmt;

use object::elf::{
    self, FileHeader64, FileType, Rela64, RelocationType, SectionFlags, SectionHeader64,
    SectionType, Sym64, SymbolBind, SymbolSection,
};
use object::{LittleEndian, pod};

use super::LoadError;

const LE: LittleEndian = LittleEndian;

/// An `ELF64` little-endian file whose section header table is in the file.
#[derive(Clone, Debug)]
pub struct File<'data> {
    bytes: &'data [u8],
    pub entry: u64,
    pub kind: FileType,
    pub names: usize,
    pub sections: Vec<Section<'data>>,
}

/// A section header. The name is `None` when it is not a terminated, printable
/// string inside the file.
#[derive(Clone, Copy, Debug)]
pub struct Section<'data> {
    pub index: usize,
    pub name: Option<&'data str>,
    pub kind: SectionType,
    flags: SectionFlags,
    pub addr: u64,
    pub offset: u64,
    pub size: u64,
    pub link: usize,
    pub info: usize,
    pub align: u64,
}

/// A symbol table entry; `index` counts within its own table.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'data> {
    pub index: usize,
    pub name: Option<&'data str>,
    pub binding: SymbolBind,
    pub section: SymbolSection,
    pub value: u64,
    pub size: u64,
}

/// A `RELA` entry.
#[derive(Clone, Copy, Debug)]
pub struct Relocation {
    pub offset: u64,
    pub kind: RelocationType,
    pub symbol: usize,
    pub addend: i64,
}

impl<'data> File<'data> {
    /// Reads the headers, and refuses what no other check could be made on.
    ///
    /// The kernel refuses nothing here: it would use these bytes as offsets.
    pub fn parse(bytes: &'data [u8]) -> Result<Self, LoadError> {
        let wrong = |what: String| Err(LoadError::Unchecked(what));
        let Ok((header, _)) = pod::from_bytes::<FileHeader64<LittleEndian>>(bytes) else {
            return wrong(format!(
                "the file has {} bytes, less than an ELF header",
                bytes.len()
            ));
        };
        let ident = &header.e_ident;
        if ident.magic != elf::ELFMAG {
            return wrong("the file does not start with the ELF magic".into());
        }
        if ident.class != elf::ELFCLASS64 || ident.data != elf::ELFDATA2LSB {
            return wrong("the file is not a 64-bit little-endian ELF".into());
        }
        let machine = header.e_machine.get(LE);
        if machine != elf::EM_X86_64 {
            return wrong(format!("e_machine is {}, not 62 (x86-64)", machine.0));
        }
        let (stride, count) = (header.e_shentsize.get(LE), header.e_shnum.get(LE));
        if usize::from(stride) != size_of::<SectionHeader64<LittleEndian>>() {
            return wrong(format!("e_shentsize is {stride}, the kernel takes 64"));
        }
        if count == 0 || count >= elf::SHN_LORESERVE {
            return wrong(format!("e_shnum is {count}: not 1 to 0xfeff"));
        }
        let start = header.e_shoff.get(LE);
        let Some(headers) = slice::<SectionHeader64<LittleEndian>>(bytes, start, count.into())
        else {
            return wrong(format!(
                "the section headers ({count} at {start:#x}) reach beyond the file's {} bytes",
                bytes.len()
            ));
        };
        let names = usize::from(header.e_shstrndx.get(LE).0);
        let mut file = Self {
            bytes,
            entry: header.e_entry.get(LE),
            kind: header.e_type.get(LE),
            names,
            sections: headers.iter().enumerate().map(Section::new).collect(),
        };
        for (index, header) in headers.iter().enumerate() {
            file.sections[index].name = file.string(names, header.sh_name.get(LE));
        }
        Ok(file)
    }

    /// Returns a section's bytes in the file.
    pub fn data(&self, section: &Section<'_>) -> Result<&'data [u8], LoadError> {
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
    pub fn loaded_sections(&self) -> impl Iterator<Item = &Section<'data>> {
        self.sections.iter().filter(|section| section.is_alloc())
    }

    /// Returns the entries of a symbol table. The kernel takes any section
    /// that a relocation section links to.
    pub fn symbols(
        &self,
        table: &Section<'data>,
    ) -> Result<impl ExactSizeIterator<Item = Symbol<'data>>, LoadError> {
        let entries: &[Sym64<LittleEndian>] = entries(self.data(table)?);
        let strings = table.link;
        Ok(entries
            .iter()
            .enumerate()
            .map(move |(index, entry)| Symbol {
                index,
                name: self.string(strings, entry.st_name.get(LE)),
                binding: entry.st_bind(),
                section: entry.st_shndx.get(LE),
                value: entry.st_value.get(LE),
                size: entry.st_size.get(LE),
            }))
    }

    /// Returns the entries of a `RELA` section.
    pub fn relocations(
        &self,
        section: &Section<'data>,
    ) -> Result<impl Iterator<Item = Relocation> + use<'data>, LoadError> {
        let entries: &[Rela64<LittleEndian>] = entries(self.data(section)?);
        Ok(entries.iter().map(|entry| Relocation {
            offset: entry.r_offset.get(LE),
            kind: entry.r_type(LE, false),
            symbol: entry.r_sym(LE, false) as usize,
            addend: entry.r_addend.get(LE),
        }))
    }

    /// Returns the symbol tables that the kernel's lookup walks.
    pub fn symbol_tables(&self) -> impl Iterator<Item = &Section<'data>> {
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
    fn new((index, header): (usize, &SectionHeader64<LittleEndian>)) -> Self {
        Self {
            index,
            name: None,
            kind: header.sh_type.get(LE),
            flags: header.sh_flags.get(LE),
            addr: header.sh_addr.get(LE),
            offset: header.sh_offset.get(LE),
            size: header.sh_size.get(LE),
            link: header.sh_link.get(LE) as usize,
            info: header.sh_info.get(LE) as usize,
            align: header.sh_addralign.get(LE),
        }
    }

    pub fn is_alloc(&self) -> bool {
        self.flags.contains(elf::SHF_ALLOC)
    }

    pub fn is_executable(&self) -> bool {
        self.flags.contains(elf::SHF_EXECINSTR)
    }

    pub fn is_nobits(&self) -> bool {
        self.kind == elf::SHT_NOBITS
    }

    /// Returns how far into the section `e_entry` points, if it does.
    pub fn entry_offset(&self, entry: u64) -> Option<u64> {
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
    pub fn label(&self) -> &str {
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
