// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wraps the linked bytes into the file that `kexec_load_purgatory()` reads: an
//! ELF of type REL with one loaded section, the stack behind it, and no relocations.

use anyhow::{Context, Result, bail};
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};
use object::{Object, ObjectSection, ObjectSymbol, SymbolFlags, elf};

use purgatory::abi;

use crate::arch::Arch;
use crate::load::File;
use crate::number::PAGE;

/// The global symbols of the blob: its start, what the loader looks up, then ours.
pub fn symbols(arch: Arch) -> impl Iterator<Item = &'static str> {
    let loader = arch.symbols.iter().map(|(name, _)| *name);
    ["purgatory_start"].into_iter().chain(loader).chain(OWN)
}

/// What only this project's tools look up.
pub const OWN: [&str; 4] = [
    "purgatory_config",
    "purgatory_status",
    "purgatory_verify",
    CHECKSUM,
];

/// Holds the sum of everything in front of it.
pub const CHECKSUM: &str = "purgatory_checksum";

/// Sums up what lies in front of the checksum, as the entry code does.
#[must_use]
pub fn checksum(front: &[u8]) -> u64 {
    let words = front.as_chunks().0.iter();
    abi::checksum(words.map(|word| u64::from_le_bytes(*word)))
}

/// Fills in the checksum of a file that is one of ours and otherwise finished.
pub fn seal(file: &mut [u8]) -> Result<()> {
    let parsed = File::parse(file)?;
    parsed
        .find_symbol("purgatory_config")?
        .context("it is none of ours")?;
    let symbol = parsed.find_symbol(CHECKSUM)?.context("no checksum")?;
    let start = parsed.sections[usize::from(symbol.section.0)].offset as usize;
    let place = start + symbol.value as usize;
    let sum = checksum(file.get(start..place).context("it is not in the file")?);
    let word = file.get_mut(place..place + 8).context("it is cut off")?;
    word.copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// Builds the file from the linked program and the bytes of its section, whose
/// checksum it fills in.
pub fn wrap(arch: Arch, linked: &[u8], bytes: &[u8]) -> Result<Vec<u8>> {
    let linked = object::File::parse(linked)?;
    let place = linked
        .symbol_by_name(CHECKSUM)
        .and_then(|symbol| usize::try_from(symbol.address()).ok())
        .filter(|place| place.is_multiple_of(8));
    let mut bytes = bytes.to_vec();
    let (front, rest) = place
        .and_then(|place| bytes.split_at_mut_checked(place))
        .context("the linked program has no place for its checksum")?;
    let word = rest.first_chunk_mut().context("its checksum is cut off")?;
    *word = checksum(front).to_le_bytes();
    let bytes = bytes.as_slice();
    let stack = linked
        .section_by_name(".stack")
        .context("the link left no .stack section")?;
    let mut file = Vec::new();
    let mut writer = Writer::new(arch.endianness, true, &mut file);

    writer.reserve_file_header();
    let bytes_at = writer.reserve(bytes.len() as u64, 8);
    let section_name = writer.add_section_name(b".purgatory");
    let stack_name = writer.add_section_name(b".stack");
    writer.reserve_null_section_index();
    let section = writer.reserve_section_index();
    let stack_section = writer.reserve_section_index();
    writer.reserve_null_symbol_index();
    let mut entries = Vec::new();
    for name in symbols(arch) {
        let symbol = linked
            .symbol_by_name(name)
            .with_context(|| format!("the linked program does not define {name}"))?;
        let (home, base) = if symbol.section_index() == Some(stack.index()) {
            (stack_section, stack.address())
        } else {
            (section, 0)
        };
        let SymbolFlags::Elf { st_info, .. } = symbol.flags() else {
            bail!("the linked program is no ELF file");
        };
        let text = writer.add_string(name.as_bytes());
        entries.push((
            text,
            Sym {
                section: Some(home.0),
                st_name: 0,
                st_info: elf::STB_GLOBAL | st_info.st_type(),
                st_other: elf::STV_DEFAULT.into(),
                st_shndx: elf::SHN_UNDEF,
                st_value: symbol.address() - base,
                st_size: symbol.size(),
            },
        ));
        writer.reserve_symbol_index(Some(home));
    }
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_REL,
        e_machine: arch.machine,
        e_entry: 0,
        e_flags: elf::FileFlags(0),
    })?;
    writer.pad_until(bytes_at);
    writer.write(bytes);
    writer.write_null_symbol();
    for (text, symbol) in entries {
        let st_name = writer.string_offset(Some(text));
        writer.write_symbol(&Sym { st_name, ..symbol });
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    let loaded = SectionHeader {
        sh_name: writer.section_name_offset(Some(section_name)),
        sh_type: elf::SHT_PROGBITS,
        sh_flags: elf::SHF_ALLOC | elf::SHF_WRITE | elf::SHF_EXECINSTR,
        sh_addr: 0,
        sh_offset: bytes_at,
        sh_size: bytes.len() as u64,
        sh_link: 0,
        sh_info: 0,
        // To pages: the loader keeps the sections' distance only then.
        sh_addralign: PAGE,
        sh_entsize: 0,
    };
    writer.write_section_header(&loaded);
    writer.write_section_header(&SectionHeader {
        sh_name: writer.section_name_offset(Some(stack_name)),
        sh_type: elf::SHT_NOBITS,
        sh_flags: elf::SHF_ALLOC | elf::SHF_WRITE,
        sh_size: stack.size(),
        ..loaded
    });
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(file)
}
