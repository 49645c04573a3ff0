//! The first kernel's side of `kexec_file_load(2)`: what its generic loader
//! does with a purgatory blob, played on the host.
//!
//! The rules and their order are those of `kernel/kexec_file.c` and of
//! `arch_kexec_apply_relocations_add` in `arch/x86/kernel/machine_kexec_64.c`.
//! The kernel checks next to nothing of what it reads; where it would touch
//! memory that is not its own, this loader refuses and says where.

mod digest;
mod file;
mod relocate;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::record;

pub use digest::{Segment, fill_digest};
pub use file::{File, Relocation, Section, Symbol};

/// `PAGE_SIZE`, the granularity of every segment.
pub const PAGE: u64 = 4096;

/// Physical addresses have at most 52 bits (AMD64 manual volume 2, section 5.1).
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// Reads an address where a loader could place a segment, as C writes numbers.
pub fn place(text: &str) -> Result<u64, String> {
    let address = record::number(text)?;
    if address == 0 || !address.is_multiple_of(PAGE) {
        return Err("a loader places segments at whole pages, and not at 0: \
                    give a multiple of 0x1000"
            .to_owned());
    }
    if address >= ADDRESS_LIMIT {
        return Err("no processor has memory there: addresses have 52 bits".to_owned());
    }
    Ok(address)
}

/// A limit of ours on the buffer, far above any purgatory: the kernel would
/// ask `vzalloc` for whatever a hostile file adds up to.
const BUFFER_MAX: u64 = 64 << 20;

/// A kernel series whose loader rules are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    V5_10,
    V6_1,
    V6_12,
    V7_2,
    V7_3,
}

/// What differs between the series.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Looks up `purgatory_start` before it falls back on `e_entry` (480e1d5c64bb).
    pub entry_by_symbol: bool,
    /// May leave the purgatory's NOBITS bytes as they were
    /// (`kimage_load_cma_segment`).
    pub dirty_nobits: bool,
    /// Bytes of the stock blob in Debian's image: the room that a blob has
    /// which is written over it.
    pub slot: Option<usize>,
}

impl Kernel {
    /// Every series, oldest first.
    pub const ALL: [Self; 5] = [Self::V5_10, Self::V6_1, Self::V6_12, Self::V7_2, Self::V7_3];

    /// Its number, as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_2 => "7.2",
            Self::V7_3 => "7.3",
        }
    }

    pub const fn rules(self) -> Rules {
        let (entry_by_symbol, dirty_nobits, slot) = match self {
            Self::V5_10 => (false, false, Some(25_272)),
            Self::V6_1 => (true, false, Some(21_248)),
            Self::V6_12 => (true, false, Some(21_904)),
            Self::V7_2 => (true, true, Some(17_032)),
            Self::V7_3 => (true, true, None),
        };
        Rules {
            entry_by_symbol,
            dirty_nobits,
            slot,
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why a blob cannot be loaded, or must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The kernel refuses and logs this line.
    Refused { log: String, meaning: String },
    /// The kernel refuses with no more than an error number.
    Silent { errno: &'static str, reason: String },
    /// The kernel does not notice: it reads, writes or jumps where it must not.
    Unchecked(String),
    /// The caller asked for a placement that the kernel would not choose.
    Misplaced(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { log, meaning } => {
                write!(formatter, "{log} (kernel log; {meaning})")
            }
            Self::Silent { errno, reason } => {
                write!(formatter, "{reason} ({errno}, and no kernel log)")
            }
            Self::Unchecked(reason) => write!(formatter, "{reason} (no kernel checks this)"),
            Self::Misplaced(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for LoadError {}

/// Where each section goes, relative to the start of the purgatory's memory.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Memory that the blob takes, whole pages.
    pub memsz: u64,
    /// Alignment that its start needs, a page at least.
    pub align: u64,
    bufsz: u64,
    /// One entry per section of the file; `None` is not loaded.
    offsets: Vec<Option<u64>>,
}

impl Layout {
    /// Lays a blob out as `kexec_purgatory_setup_kbuf` does: the sections with
    /// bytes in table order, and after them those without.
    pub fn of(file: &File<'_>) -> Result<Self, LoadError> {
        let mut buffer = Extent::default();
        let mut zeros = Extent::default();
        let mut offsets = vec![None; file.sections.len()];
        for section in file.loaded_sections() {
            let extent = if section.is_nobits() {
                &mut zeros
            } else {
                &mut buffer
            };
            offsets[section.index] = Some(extent.append(section)?);
        }
        let too_big = || LoadError::Silent {
            errno: "ENOMEM",
            reason: "the sections add up to more memory than there can be".into(),
        };
        let bufsz = buffer.size.checked_next_multiple_of(zeros.align);
        let bufsz = bufsz
            .filter(|&size| size <= BUFFER_MAX)
            .ok_or_else(too_big)?;
        if bufsz == 0 {
            return Err(LoadError::Silent {
                errno: "ENOMEM",
                reason: "no section has bytes to load".into(),
            });
        }
        let memsz = bufsz
            .checked_add(zeros.size)
            .and_then(|size| size.checked_next_multiple_of(PAGE))
            .ok_or_else(too_big)?;
        for section in file.loaded_sections().filter(|section| section.is_nobits()) {
            offsets[section.index] = offsets[section.index].map(|offset| bufsz + offset);
        }
        Ok(Self {
            memsz,
            align: buffer.align.max(zeros.align).max(PAGE),
            bufsz,
            offsets,
        })
    }

    /// Returns a section's offset from the start of the purgatory's memory.
    pub fn offset(&self, section: &Section<'_>) -> Option<u64> {
        self.offsets[section.index]
    }

    fn accept(&self, mem: u64) -> Result<(), LoadError> {
        if mem == 0 || !mem.is_multiple_of(self.align) {
            return Err(LoadError::Misplaced(format!(
                "{mem:#x} is no multiple of {:#x}, the alignment of this blob",
                self.align
            )));
        }
        if mem.checked_add(self.memsz).is_none() {
            return Err(LoadError::Misplaced(format!(
                "{:#x} bytes at {mem:#x} wrap around",
                self.memsz
            )));
        }
        Ok(())
    }
}

/// A run of sections, one after the other.
struct Extent {
    size: u64,
    align: u64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { size: 0, align: 1 }
    }
}

impl Extent {
    fn append(&mut self, section: &Section<'_>) -> Result<u64, LoadError> {
        if !section.align.is_power_of_two() {
            // ALIGN(offset, 0) is 0: the section lands on the first one, and
            // the buffer is sized from there on, too small for those before.
            return Err(LoadError::Unchecked(format!(
                "{section} has alignment {}, which is no power of two: its place \
                 is nonsense, and the copy overruns the kernel's buffer",
                section.align
            )));
        }
        let end = self
            .size
            .checked_next_multiple_of(section.align)
            .and_then(|offset| Some((offset, offset.checked_add(section.size)?)));
        let Some((offset, end)) = end else {
            return Err(LoadError::Unchecked(format!(
                "{section} of {:#x} bytes wraps the size of the buffer",
                section.size
            )));
        };
        self.align = self.align.max(section.align);
        self.size = end;
        Ok(offset)
    }
}

/// A blob in place: relocated, its entry known, its symbols ready to be set.
#[derive(Clone, Debug)]
pub struct Loaded<'data> {
    pub mem: u64,
    /// The bytes to copy to `mem`; the rest up to `memsz` has none.
    pub buf: Vec<u8>,
    pub memsz: u64,
    pub entry: u64,
    file: File<'data>,
    layout: Layout,
}

impl<'data> Loaded<'data> {
    /// Loads a blob as `kexec_load_purgatory` does, at the address `mem`.
    pub fn place(blob: &'data [u8], mem: u64, kernel: Kernel) -> Result<Self, LoadError> {
        let file = File::parse(blob)?;
        let layout = Layout::of(&file)?;
        layout.accept(mem)?;
        let mut buf = vec![0; layout.bufsz as usize];
        for section in file
            .loaded_sections()
            .filter(|section| !section.is_nobits())
        {
            let data = file.data(section)?;
            let start = layout.offsets[section.index].expect("it is loaded") as usize;
            buf[start..][..data.len()].copy_from_slice(data);
        }
        let entry = entry(&file, &layout, mem, kernel)?;
        let mut loaded = Self {
            mem,
            buf,
            memsz: layout.memsz,
            entry,
            file,
            layout,
        };
        loaded.relocate()?;
        Ok(loaded)
    }

    /// Returns the value of a symbol of that exact size.
    pub fn get_symbol(&self, name: &str, size: u64) -> Result<&[u8], LoadError> {
        let range = self.symbol_range(name, size, "get")?;
        Ok(&self.buf[range])
    }

    /// Sets the value of a symbol of exactly that many bytes.
    pub fn set_symbol(&mut self, name: &str, value: &[u8]) -> Result<(), LoadError> {
        let range = self.symbol_range(name, value.len() as u64, "set")?;
        self.buf[range].copy_from_slice(value);
        Ok(())
    }

    /// Returns the run-time address of a symbol, whatever its size.
    pub fn symbol_address(&self, name: &str) -> Result<u64, LoadError> {
        let symbol = self
            .file
            .find_symbol(name)?
            .ok_or_else(|| LoadError::Refused {
                log: format!("Could not find address of symbol {name}"),
                meaning: "no global symbol of that name is defined".into(),
            })?;
        let section = &self.file.sections[usize::from(symbol.section.0)];
        match self.layout.offset(section) {
            Some(offset) if symbol.value <= section.size => Ok(self.mem + offset + symbol.value),
            Some(_) => Err(outside(&symbol, 0, section)),
            None => Err(LoadError::Unchecked(format!(
                "{name} is in {section}, which is not loaded"
            ))),
        }
    }

    /// Checks as `kexec_purgatory_get_set_symbol` does, and in its order.
    fn symbol_range(
        &self,
        name: &str,
        size: u64,
        verb: &str,
    ) -> Result<std::ops::Range<usize>, LoadError> {
        let symbol = self
            .file
            .find_symbol(name)?
            .ok_or_else(|| LoadError::Silent {
                errno: "EINVAL",
                reason: format!("there is no global symbol {name}"),
            })?;
        if symbol.size != size {
            return Err(LoadError::Refused {
                log: format!(
                    "symbol {name} size mismatch: expected {} actual {size}",
                    symbol.size
                ),
                meaning: "st_size must be what the loader writes".into(),
            });
        }
        let section = &self.file.sections[usize::from(symbol.section.0)];
        if section.is_nobits() {
            return Err(LoadError::Refused {
                log: format!("symbol {name} is in a bss section. Cannot {verb}"),
                meaning: "it needs bytes in the file, in a PROGBITS section".into(),
            });
        }
        let Some(offset) = self.layout.offset(section) else {
            return Err(LoadError::Unchecked(format!(
                "{name} is in {section}, which is not loaded: its file offset \
                 would be written to in the buffer"
            )));
        };
        let end = symbol.value.checked_add(size);
        if end.is_none_or(|end| end > section.size) {
            return Err(outside(&symbol, size, section));
        }
        let start = (offset + symbol.value) as usize;
        Ok(start..start + size as usize)
    }
}

/// Computes `image->start` as `kexec_purgatory_setup_sechdrs` does: the first
/// executable section that either rule accepts decides.
pub fn entry(file: &File<'_>, layout: &Layout, mem: u64, kernel: Kernel) -> Result<u64, LoadError> {
    let symbol = if kernel.rules().entry_by_symbol {
        file.find_symbol("purgatory_start")?
    } else {
        None
    };
    let code = file
        .loaded_sections()
        .filter(|section| section.is_executable() && !section.is_nobits());
    for section in code {
        let base = mem + layout.offset(section).expect("it is loaded");
        if let Some(symbol) = symbol
            && usize::from(symbol.section.0) == section.index
            && symbol.value < section.size
        {
            return Ok(base + symbol.value);
        }
        if let Some(offset) = section.entry_offset(file.entry) {
            return Ok(base + offset);
        }
    }
    Err(LoadError::Unchecked(format!(
        "no executable section holds e_entry {:#x}: the kernel jumps there as it stands",
        file.entry
    )))
}

fn outside(symbol: &Symbol<'_>, size: u64, section: &Section<'_>) -> LoadError {
    LoadError::Unchecked(format!(
        "{} ({size} bytes at {:#x}) reaches beyond {section} of {:#x} bytes",
        symbol.label(),
        symbol.value,
        section.size
    ))
}
