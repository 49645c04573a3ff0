// SPDX-License-Identifier: MIT OR Apache-2.0
//! Proves that the linked blob runs wherever it is put: no loader will relocate it.
//!
//! Two halves, because each alone can be vacuous. Linked as a PIE, nothing may be
//! left for a loader to write: absolute words hide in the addends there, and the
//! bytes look alike at every base. Linked at two fixed bases, the bytes must be
//! the same. It proves nothing about code that computes addresses at run time.

use anyhow::{Context, Result, anyhow, bail, ensure};
use object::{
    LittleEndian as LE, Object, ObjectKind, ObjectSection, ObjectSymbol, SectionFlags, elf, pod,
};
use rustc_demangle::demangle;

/// Where the blob is linked for good.
pub const NEAR: u64 = 0;

/// Where it is linked once more, to compare: above 4 GiB, and no digit above
/// those of a page is 0.
pub const FAR: u64 = 0x1_2345_6000;

/// Proves position independence from a PIE and from links at two bases; returns
/// the bytes of the section.
pub fn prove(independent: &[u8], near: &[u8], far: &[u8]) -> Result<Vec<u8>> {
    let independent = parse(independent, ObjectKind::Dynamic)?;
    let near = parse(near, ObjectKind::Executable)?;
    let far = parse(far, ObjectKind::Executable)?;
    refuse(&left_to_relocate(&independent)?)?;
    let (base, bytes) = contents(&near)?;
    let (far_base, far_bytes) = contents(&far)?;
    ensure!(
        base != far_base,
        "both links landed at {base:#x}, so comparing them proves nothing: lld ignored BASE"
    );
    ensure!(
        bytes.len() == far_bytes.len(),
        "{} bytes at {base:#x}, but {} at {far_base:#x}: the linker relaxed code by its address",
        bytes.len(),
        far_bytes.len()
    );
    refuse(&differences(&near, base, &bytes, &far_bytes))?;
    Ok(bytes)
}

/// Parses a linked program that must be of one kind: of the other kind, its half
/// of the proof would hold for anything.
fn parse(file: &[u8], kind: ObjectKind) -> Result<object::File<'_>> {
    let file = object::File::parse(file)?;
    ensure!(
        file.kind() == kind,
        "the proof needs a link of kind {kind:?}, not {:?}, and proves nothing without",
        file.kind()
    );
    Ok(file)
}

/// Names the places that are no good, if there are any.
fn refuse(places: &[String]) -> Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    bail!(
        "these places hold an address:\n  {}\n\
         the usual cause is a static that holds references (`static T: [&str; N]`, a table of\n\
         functions, a `dyn` vtable from `core::fmt`): store offsets, or match on an index",
        places.join("\n  ")
    )
}

/// The first half: what a loader of the PIE would have to write.
fn left_to_relocate(file: &object::File<'_>) -> Result<Vec<String>> {
    let got = file.section_by_name(".got");
    let slots = got.as_ref().map_or(0..0, |section| {
        section.address()..section.address() + section.size()
    });
    let mut unfilled = (slots.end - slots.start) / 8;
    let mut places = Vec::new();
    if let Some(section) = file.section_by_name(".rela.dyn") {
        let words: &[elf::Rela64<LE>] = pod::slice_from_all_bytes(section.data()?)
            .map_err(|()| anyhow!(".rela.dyn is no table"))?;
        for word in words {
            let at = word.r_offset.get(LE);
            let target = symbol_at(file, word.r_addend.get(LE).cast_unsigned());
            let place = if slots.contains(&at) {
                unfilled -= 1;
                "the GOT".to_owned()
            } else {
                symbol_at(file, at)
            };
            places.push(format!("{place}: the address of {target}"));
        }
    }
    if unfilled > 0 {
        places.push(format!("the GOT: slots that no loader fills: {unfilled}"));
    }
    Ok(places)
}

/// The second half: where the bytes follow the base.
fn differences(file: &object::File<'_>, base: u64, near: &[u8], far: &[u8]) -> Vec<String> {
    let mut places = Vec::new();
    let mut before = false;
    for (address, (here, there)) in (base..).zip(near.iter().zip(far)) {
        let differs = here != there;
        if differs && !before {
            places.push(format!(
                "{}: changes with the base",
                symbol_at(file, address)
            ));
        }
        before = differs;
    }
    places
}

/// The only section that is loaded, and where it was linked.
fn contents(file: &object::File<'_>) -> Result<(u64, Vec<u8>)> {
    for section in file.sections() {
        let name = section.name()?;
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        let allocated = sh_flags.contains(elf::SHF_ALLOC);
        if allocated && section.size() > 0 && ![".purgatory", ".stack"].contains(&name) {
            bail!("section {name} is loaded too; name it in linker/purgatory.ld");
        }
    }
    let section = file
        .section_by_name(".purgatory")
        .context("the link left no .purgatory section")?;
    Ok((section.address(), section.data()?.to_vec()))
}

/// Names what holds `address`: the symbol around it, else the last one before,
/// because the compiler's own constants have no symbol.
fn symbol_at(file: &object::File<'_>, address: u64) -> String {
    let before =
        |symbol: &object::Symbol<'_, '_>| symbol.is_definition() && symbol.address() <= address;
    let around = |symbol: &object::Symbol<'_, '_>| address - symbol.address() < symbol.size();
    file.symbols()
        .filter(before)
        .max_by_key(|symbol| (around(symbol), symbol.address()))
        .map_or_else(
            || format!("{address:#x}"),
            |symbol| {
                let name = symbol.name().unwrap_or("?");
                format!("{:#}+{:#x}", demangle(name), address - symbol.address())
            },
        )
}
