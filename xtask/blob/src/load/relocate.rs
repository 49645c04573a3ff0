// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loader's last change to the bytes: relocations, by the rules of
//! `kexec_apply_relocations` and `arch_kexec_apply_relocations_add`, or of kexec-tools'
//! `elf_rel_load` and `machine_apply_elf_rel`.

use object::elf::{self, SymbolSection};

use super::{LoadError, Loaded, Relocation, Section, Symbol};

impl Loaded<'_> {
    /// Applies every relocation as `kexec_apply_relocations` does.
    pub(super) fn relocate(&mut self) -> Result<(), LoadError> {
        let count = self.file.sections.len();
        for index in 0..count {
            let section = self.file.sections[index];
            if section.kind != elf::SHT_RELA && section.kind != elf::SHT_REL {
                continue;
            }
            if section.info >= count || section.link >= count {
                if self.kernel.tool.is_some() {
                    return Err(LoadError::Died("Invalid section number".into()));
                }
                return Err(LoadError::Silent {
                    errno: "ENOEXEC",
                    reason: format!("{section} names a section that does not exist"),
                });
            }
            let target = self.file.sections[section.info];
            let symbols = self.file.sections[section.link];
            if !target.is_alloc() || symbols.link >= count {
                continue;
            }
            if section.kind == elf::SHT_REL {
                if self.kernel.tool.is_some() {
                    return Err(LoadError::Unchecked(format!(
                        "{section} is for {target}: REL, whose addends are taken for 0"
                    )));
                }
                return Err(LoadError::Refused {
                    log: "REL relocation unsupported.".into(),
                    meaning: format!("{section} is for {target}"),
                });
            }
            let symbols: Vec<_> = self.file.symbols(&symbols)?.collect();
            for relocation in self.file.relocations(&section)? {
                self.apply(&relocation, &target, &symbols)?;
            }
        }
        Ok(())
    }

    /// Applies one entry as `arch_kexec_apply_relocations_add` does.
    fn apply(
        &mut self,
        relocation: &Relocation,
        target: &Section<'_>,
        symbols: &[Symbol<'_>],
    ) -> Result<(), LoadError> {
        let place = format!("{target}+{:#x}", relocation.offset);
        let Some(symbol) = symbols.get(relocation.symbol) else {
            return Err(LoadError::Unchecked(format!(
                "the relocation at {place} uses symbol {}, beyond its table",
                relocation.symbol
            )));
        };
        let base = self.base(symbol, &place)?;
        let value = base
            .wrapping_add(symbol.value)
            .wrapping_add_signed(relocation.addend);
        let start = self.layout.offset(target).expect("the target is loaded");
        let address = (self.mem + start).wrapping_add(relocation.offset);
        let known = &self.file.arch.relocations;
        let Some(effect) = (known.effect)(relocation.kind) else {
            return Err(self.refused(
                format!("Unknown rela relocation: {}", relocation.kind.0),
                format!("Unhandled rela relocation: {}", self.named(relocation)),
                format!("at {place}; known are {}", known.known),
            ));
        };
        if effect.width == 0 {
            return Ok(());
        }
        if !(effect.fits)(value) {
            let (number, name) = (relocation.kind.0, self.named(relocation));
            return Err(self.refused(
                format!("Overflow in relocation type {number} value {value:#x}"),
                format!("overflow in relocation type {name} val {value:x}"),
                format!("the address does not fit in 32 bits at {place}"),
            ));
        }
        let value = match effect.is_relative {
            true => value.wrapping_sub(address),
            false => value,
        };
        let bytes = &value.to_le_bytes()[..effect.width];
        let end = relocation.offset.checked_add(bytes.len() as u64);
        if target.is_nobits() || end.is_none_or(|end| end > target.size) {
            return Err(LoadError::Unchecked(format!(
                "the relocation at {place} writes outside the section's bytes"
            )));
        }
        self.buf[(start + relocation.offset) as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// A refusal in the words of whoever loads.
    fn refused(&self, log: String, words: String, meaning: String) -> LoadError {
        match self.kernel.tool {
            None => LoadError::Refused { log, meaning },
            Some(_) => LoadError::Died(format!("{words}, {meaning}")),
        }
    }

    fn named(&self, relocation: &Relocation) -> String {
        let name = (self.file.arch.relocations.name)(relocation.kind);
        name.map_or_else(|| relocation.kind.0.to_string(), str::to_owned)
    }

    /// Returns the address that a symbol's value counts from.
    fn base(&self, symbol: &Symbol<'_>, place: &str) -> Result<u64, LoadError> {
        let refused = |log, words, meaning| Err(self.refused(log, words, meaning));
        let (tool, name) = (self.kernel.tool, symbol.label());
        let section = usize::from(symbol.section.0);
        if symbol.name == Some("") && section >= self.file.sections.len() {
            return Err(LoadError::Unchecked(format!(
                "the relocation at {place} uses a nameless symbol of section {section}, \
                 whose name is looked up beyond the headers"
            )));
        }
        match symbol.section {
            // Nearly all of them are: the linker does not know what they would be.
            elf::SHN_UNDEF if tool.is_some() && symbol.is_untyped => Ok(0),
            elf::SHN_UNDEF => refused(
                format!("Undefined symbol: {name}"),
                format!("Undefined symbol: {name}"),
                format!("used at {place}; nothing resolves it at load time, weak or not"),
            ),
            elf::SHN_COMMON => refused(
                format!("symbol '{name}' in common section"),
                format!("symbol: '{name}' in common section"),
                format!("used at {place}; nobody allocates it"),
            ),
            elf::SHN_ABS => Ok(0),
            SymbolSection(_) if section >= self.file.sections.len() => refused(
                format!("Invalid section {section} for symbol {name}"),
                format!("Invalid section: {section} for symbol {name}"),
                format!("used at {place}; there is no such section"),
            ),
            SymbolSection(_) => match self.layout.offset(&self.file.sections[section]) {
                Some(offset) => Ok(self.mem + offset),
                None => Err(LoadError::Unchecked(format!(
                    "the relocation at {place} uses {name} in {}, which is not loaded",
                    self.file.sections[section]
                ))),
            },
        }
    }
}
