// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first kernel's side of `kexec_file_load(2)`: what its generic loader
//! does with a purgatory blob, played on the host.
//!
//! The rules and their order are those of `kernel/kexec_file.c` and of
//! `arch_kexec_apply_relocations_add` in `arch/x86/kernel/machine_kexec_64.c`.
//! The kernel checks next to nothing of what it reads; where it would touch
//! memory that is not its own, this loader refuses and says where.

mod digest;
mod error;
mod file;
mod kexec_tools;
mod layout;
#[cfg(test)]
mod model;
mod relocate;
mod series;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use digest::{Segment, fill_digest};
pub use error::LoadError;
pub use file::File;
pub(crate) use file::{Relocation, Section, Symbol};
pub use kexec_tools::Tool;
pub(crate) use layout::Layout;
pub use series::Series;

/// Returns the memory that a blob takes, whole pages.
pub fn size(blob: &[u8]) -> Result<u64, LoadError> {
    Ok(Layout::of(&File::parse(blob)?, Series::V7_3)?.memsz)
}

/// A blob in place: relocated, its entry known, its symbols ready to be set.
#[derive(Clone, Debug)]
pub struct Loaded<'data> {
    /// Where it is.
    pub mem: u64,
    /// The bytes to copy to `mem`; the rest up to `memsz` has none.
    pub buf: Vec<u8>,
    /// Memory that it takes, whole pages.
    pub memsz: u64,
    /// Where it is entered.
    pub entry: u64,
    /// The file that it came from.
    pub file: File<'data>,
    layout: Layout,
    kernel: Series,
}

impl<'data> Loaded<'data> {
    /// Loads a blob as `kexec_load_purgatory` does, at the address `mem`.
    pub fn place(blob: &'data [u8], mem: u64, kernel: Series) -> Result<Self, LoadError> {
        let file = File::parse(blob)?;
        let layout = Layout::of(&file, kernel)?;
        layout.accept(mem)?;
        let mut buf = vec![0; layout.bufsz as usize];
        for section in file
            .loaded_sections()
            .filter(|section| !section.is_nobits())
        {
            let data = file.data(section)?;
            let start = layout.offset(section).expect("it is loaded") as usize;
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
            kernel,
        };
        loaded.relocate()?;
        Ok(loaded)
    }

    /// Returns a section's bytes and where they are.
    pub(crate) fn section(&self, section: &Section<'_>) -> Option<(&[u8], u64)> {
        let start = self.layout.offset(section)?;
        let bytes = self
            .buf
            .get(start as usize..)?
            .get(..section.size as usize)?;
        Some((bytes, self.mem + start))
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
            .ok_or_else(|| match self.kernel.tool {
                None => LoadError::Refused {
                    log: format!("Could not find address of symbol {name}"),
                    meaning: "no global symbol of that name is defined".into(),
                },
                Some(_) => LoadError::Died(format!(
                    "Symbol: {name} not found cannot retrive it's address"
                )),
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

    /// Returns the size that a symbol says it has.
    pub fn symbol_size(&self, name: &str) -> Result<Option<u64>, LoadError> {
        Ok(self.file.find_symbol(name)?.map(|symbol| symbol.size))
    }

    /// Returns the register image.
    pub fn registers(&self) -> Result<&[u8], LoadError> {
        let registers = &self.file.arch.registers;
        self.get_symbol(registers.symbol, registers.size())
    }

    /// Sets the register image.
    pub fn set_registers(&mut self, value: &[u8]) -> Result<(), LoadError> {
        self.set_symbol(self.file.arch.registers.symbol, value)
    }

    /// Checks as `kexec_purgatory_get_set_symbol` does, and in its order.
    fn symbol_range(&self, name: &str, size: u64, verb: &str) -> Result<Range<usize>, LoadError> {
        let symbol = self
            .file
            .find_symbol(name)?
            .ok_or_else(|| match self.kernel.tool {
                None => LoadError::Silent {
                    errno: "EINVAL",
                    reason: format!("there is no global symbol {name}"),
                },
                Some(_) => LoadError::Died(format!("Symbol: {name} not found cannot {verb}")),
            })?;
        if symbol.size != size {
            if self.kernel.tool.is_some() {
                let words = format!("Symbol: {name} has size: {} not {size}", symbol.size);
                return Err(LoadError::Died(words));
            }
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
            if self.kernel.tool.is_some() {
                // Whatever it wanted to do.
                let words = format!("Symbol: {name} is in a bss section cannot set");
                return Err(LoadError::Died(words));
            }
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
/// executable section that either rule accepts decides. (`elf_rel_load` takes one
/// without bytes, too.)
pub(crate) fn entry(
    file: &File<'_>,
    layout: &Layout,
    mem: u64,
    kernel: Series,
) -> Result<u64, LoadError> {
    let symbol = if kernel.entry_by_symbol {
        file.find_symbol("purgatory_start")?
    } else {
        None
    };
    let code = file
        .loaded_sections()
        .filter(|section| section.is_executable())
        .filter(|section| kernel.tool.is_some() || !section.is_nobits());
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
        "no executable section holds e_entry {:#x}: that is jumped to as it stands",
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
