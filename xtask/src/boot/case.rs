// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turns one row of the case table into an image: the loader's part, on the host.

use anyhow::{Context as _, Result};
use base16ct::lower::encode_string;
use blob::load::{self, Loaded, Series};
use blob::manifest::Manifest;
use blob::number::PAGE;
use blob::set;
use blob::wrap::CHECKSUM;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use purgatory::abi::Config as Record;
use purgatory_tests::cases::{
    CANARY, Config, Console, Damage, Part, Pick, Place, ScreenInfo, Verdict,
};
use purgatory_tests::plan::{DIRTY, Flip, Mapping, Range};
use sha2::{Digest as _, Sha256};

use super::Boot;
use super::golden::Facts;
use super::image::Image;
use super::programs::Programs;
use super::segments::{Segments, segments, table};
use super::space::{Space, page_up};

/// In linker/purgatory.ld: the stack with nothing below it, and a canary between.
pub(crate) const STACK: u64 = 3 * PAGE;
/// How much of that is nothing.
pub(crate) const BELOW_STACK: u64 = 512;

/// Where to look at the purgatory while it runs, and what it may have to say.
pub(crate) struct Prepared {
    /// Where the purgatory is entered.
    pub(crate) entry: u64,
    /// Physical address of `purgatory_status`.
    pub(crate) status: u64,
    /// Physical address of the stack's end: of the root of page tables, where there is one.
    pub(crate) stack_end: u64,
    /// Address of `purgatory_config`.
    pub(crate) config: u64,
    /// Address of `purgatory_verify`.
    pub(crate) verify: u64,
    /// Address of the answer that backends have to know.
    pub(crate) answer: u64,
    /// The regions in use.
    regions: Vec<Range>,
    pub(crate) facts: Facts,
    /// What was loaded, before anything is broken.
    pub(crate) manifest: Manifest,
}

impl Prepared {
    /// Returns the address of a byte of a region.
    pub(super) fn byte(&self, region: Pick, byte: Pick) -> Result<u64> {
        let index = pick(region, self.regions.len() as u64) as usize;
        let region = self.regions.get(index).context("an empty image")?;
        Ok(region.start + pick(byte, region.len))
    }
}

/// What the blob finds behind its bytes in a dirty case.
pub(super) const GARBAGE: u8 = 0xa5;

/// Lays out the image of a boot.
pub(crate) fn prepare(boot: &Boot<'_>, programs: &Programs) -> Result<(Image, Prepared)> {
    let Boot { case, state } = *boot;
    let Programs {
        machine,
        blob,
        payload,
        ..
    } = programs;
    let mut space = Space::new(machine, case.memory, 8 << 20)?;
    let mut segments = segments(machine, case.regions, payload)?;
    if let Some(screen) = &case.screen {
        describe(&mut segments.0[0].1, screen);
    }
    for (range, _) in &segments.0 {
        let start = range.start & !(PAGE - 1);
        let len = page_up(range.end()) - start;
        space.take(Range { start, len })?;
    }

    let size = load::size(blob)?;
    let (virt, phys) = match case.place {
        // One page more on either side for the canaries.
        Place::Top => {
            let start = space.place(size + 2 * PAGE, PAGE, machine.memory.lowest)? + PAGE;
            (start, start)
        }
        Place::At(start) => (start, start),
        Place::Below(end) => (end - size, end - size),
        Place::Mapped(virt) => (virt, machine.memory.mapped.context("nothing is mapped")?),
    };
    let mut loaded = Loaded::place(blob, virt, Series::V7_2)?;

    let regions = table(&machine.memory, case.regions, &segments);
    let digest: [u8; 32] = Sha256::digest(segments.contents(&regions)).into();
    let manifest = segments.manifest(&regions, &digest);
    let known = &loaded.file.arch.registers;
    let mut registers = registers(&loaded, programs)?;
    if let Damage::Register(name, bit) = case.damage {
        registers[machine.register(known.names, name)] ^= 1 << bit;
    }
    loaded.set_registers(&words(&registers[..known.names.len()]))?;
    let mut told = regions.clone();
    if let Some(last) = told.iter_mut().rev().find(|region| region.len > 0) {
        match case.damage {
            Damage::Wrap => last.len = 1_u64.wrapping_sub(last.start),
            Damage::StartsAtZero => last.start = 0,
            Damage::TooHigh => last.start = programs.arch.address_limit - PAGE,
            Damage::Ours(part) => last.start = find(blob, &loaded, part)?,
            Damage::Unmapped => {
                last.start = machine.memory.unmapped - last.len;
                told[0].start = machine.memory.unmapped;
            }
            _ => (),
        }
    }
    let told: Vec<_> = told.iter().flat_map(|one| [one.start, one.len]).collect();
    loaded.set_symbol("purgatory_sha_regions", &words(&told))?;
    let mut expected = digest;
    if matches!(case.damage, Damage::Digest | Damage::Config(_)) {
        expected[31] ^= 1;
    }
    loaded.set_symbol("purgatory_sha256_digest", &expected)?;
    if let Some(config) = &case.config {
        configure(&mut loaded, config)?;
    }

    let place = |name| Ok::<_, anyhow::Error>((loaded.symbol_address(name)? - virt) as usize);
    let damaged = match case.damage {
        Damage::Own(before) => Some(place(CHECKSUM)? + 8 - before),
        Damage::Code => Some(place("purgatory_verify")?),
        Damage::Config(byte) => Some(place("purgatory_config")? + byte),
        _ => None,
    };
    if let Some(place) = damaged {
        loaded.buf[place] ^= 0x10;
    }
    let answer = Sha256::digest("");
    let answer = memchr::memmem::find(&loaded.buf, &answer).unwrap_or(0) as u64 + virt;

    let mut image = Image::new(&space);
    for (range, bytes) in &segments.0 {
        image.add(*range, bytes)?;
    }
    let mut bytes = loaded.buf.clone();
    if case.dirty {
        // What Linux 7.2 and 7.3 leave where a segment lies in CMA.
        bytes.resize(usize::try_from(size)?, GARBAGE);
    }
    let purgatory = Range {
        start: virt,
        len: size,
    };
    image.add(purgatory, &bytes)?;
    if let Some(line_status) = case.uart {
        const LINE_STATUS: usize = 5 * 4;
        let mut page = [0; LINE_STATUS + 1];
        page[LINE_STATUS] = line_status;
        let range = Range {
            start: machine.memory.uart,
            len: PAGE,
        };
        space.take(range)?;
        image.add(range, &page)?;
    }
    if let Some(zone) = case.zone {
        let range = Range {
            start: machine.memory.zone,
            len: PAGE,
        };
        space.take(range)?;
        image.add(range, zone)?;
    }
    if let Some(screen) = &case.screen {
        // Garbage, to see what is written; and a page of it on either side.
        let range = Range {
            start: machine.memory.screen - PAGE,
            len: page_up(screen.size()) + 2 * PAGE,
        };
        space.take(range)?;
        image.add(range, &vec![GARBAGE; range.len as usize])?;
    }
    let plan = &mut image.plan;
    plan.flags = case.flags | state.0 | if case.dirty { DIRTY } else { 0 };
    plan.entry = loaded.entry;
    plan.purgatory = purgatory;
    plan.canaries = 1;
    plan.registers[..registers.len()].copy_from_slice(&registers);
    plan.regions.copy_from_slice(&regions);
    plan.digest = digest;
    if case.place == Place::Mapped(virt) {
        plan.mappings[0] = Mapping {
            virt: Range {
                start: virt - PAGE,
                len: size + 2 * PAGE,
            },
            phys: phys - PAGE,
        };
    }
    if let Damage::Flip { region, byte } = case.damage {
        let used: Vec<_> = regions.iter().filter(|region| region.len > 0).collect();
        let region = used
            .get(pick(region, used.len() as u64) as usize)
            .context("a case flips a bit of an empty image")?;
        let flip = Flip {
            at: region.start + pick(byte, region.len),
            mask: 0x10,
        };
        plan.flips[0] = flip;
        segments.flip(flip);
    }
    let verify = loaded.symbol_address("purgatory_verify")?;
    // Where it goes is said, and what was damaged; of registers at an exception nobody
    // knows before.
    let known = &loaded.file.arch.registers;
    let at = |name| machine.register(known.names, name);
    let mut named = vec![("entry", registers[at(known.entry)])];
    if let Damage::Register(name, _) = case.damage {
        named.push((name, registers[at(name)]));
    }
    let status = loaded.symbol_address("purgatory_status")? - virt + phys;
    let prepared = Prepared {
        entry: loaded.entry,
        status,
        stack_end: status - if machine.has_root { PAGE } else { 0 },
        config: loaded.symbol_address("purgatory_config")?,
        verify,
        answer,
        regions: regions.iter().filter(|one| one.len > 0).copied().collect(),
        facts: facts(
            boot,
            programs,
            &regions,
            &segments,
            &expected,
            verify - virt,
            &named,
        ),
        manifest,
    };
    Ok((image, prepared))
}

/// What the purgatory may have to say about these regions, as they are now.
fn facts(
    boot: &Boot<'_>,
    programs: &Programs,
    regions: &[Range],
    segments: &Segments,
    expected: &[u8],
    verify: u64,
    registers: &[(&str, u64)],
) -> Facts {
    let all = segments.contents(regions);
    let payload = segments.0.get(1).map_or(0, |(range, _)| range.len);
    let config = boot.case.acting(&programs.machine.defaults);
    let exception = boot.case.expect.verdict() == Some(Verdict::Exception);
    let ending = match config.reset_after(exception) {
        None => "purgatory: halted".to_owned(),
        Some(0) => "purgatory: resetting".to_owned(),
        Some(seconds) => format!("purgatory: resetting in {seconds} s"),
    };
    let mut facts = Facts::from([
        ("computed".to_owned(), encode_string(&Sha256::digest(&all))),
        ("expected".to_owned(), encode_string(expected)),
        ("bytes".to_owned(), all.len().to_string()),
        ("payload".to_owned(), format!("{payload:#x}")),
        ("ending".to_owned(), ending),
        ("backend".to_owned(), programs.best().name().to_owned()),
    ]);
    for (index, region) in regions.iter().enumerate() {
        let digest = Sha256::digest(segments.contents(&[*region]));
        facts.insert(index.to_string(), encode_string(&digest[..4]));
    }
    // As the table has them, not what was made of the last one.
    for (index, region) in regions.iter().enumerate() {
        facts.insert(format!("start{index}"), format!("{:#x}", region.start));
    }
    if let Some(last) = regions.iter().rfind(|region| region.len > 0) {
        let wrapped = 1_u64.wrapping_sub(last.start);
        facts.insert("wrapped".to_owned(), format!("{wrapped:#x}"));
    }
    let limit = programs.arch.address_limit - PAGE;
    facts.insert("limit".to_owned(), format!("{limit:#x}"));
    for (name, value) in registers {
        facts.insert((*name).to_owned(), format!("{value:#x}"));
    }
    // Where planted code faults.
    for offset in 0..16 {
        let at = format!("{:#x}", verify + offset);
        facts.insert(format!("verify+{offset}"), at);
    }
    facts
}

/// Writes what the case configures over what the blob was built with.
fn configure(loaded: &mut Loaded<'_>, config: &Config) -> Result<()> {
    let size = size_of::<Record>() as u64;
    let mut record = loaded.get_symbol("purgatory_config", size)?.to_owned();
    let flag = |console: &Console| match console {
        Console::Ports => Record::CONSOLE_PORT,
        Console::Memory => Record::CONSOLE_MMIO,
        Console::Debug => Record::CONSOLE_DEBUG,
        Console::Screen => Record::CONSOLE_VGA,
        Console::Framebuffer => Record::CONSOLE_FRAMEBUFFER,
        Console::Ramoops => Record::CONSOLE_RAMOOPS,
    };
    let action = |after: Option<u32>| match after {
        None => Record::HALT,
        Some(_) => Record::RESET,
    };
    set!(
        record,
        Record.consoles,
        config.consoles.iter().map(flag).sum()
    );
    set!(record, Record.verbosity, u32::from(config.verbose));
    set!(record, Record.on_refusal, action(config.on_refusal));
    set!(record, Record.refusal_delay, config.on_refusal.unwrap_or(0));
    set!(record, Record.on_exception, action(config.on_exception));
    set!(
        record,
        Record.exception_delay,
        config.on_exception.unwrap_or(0)
    );
    set!(record, Record.backend, config.backend);
    set!(record, Record.patience, config.patience);
    set!(record, Record.uart_port, config.port);
    set!(record, Record.uart_divisor, config.divisor);
    let memory = match config.memory {
        CANARY => loaded.symbol_address("stack_end")? - STACK + BELOW_STACK,
        memory => memory,
    };
    set!(record, Record.uart_mmio, memory);
    set!(record, Record.ramoops, config.ramoops.start);
    set!(record, Record.ramoops_size, config.ramoops.len as u32);
    loaded.set_symbol("purgatory_config", &record)?;
    Ok(())
}

/// Fills in `struct screen_info`, with which boot parameters begin.
fn describe(parameters: &mut [u8], screen: &ScreenInfo) {
    let [base0, base1, base2, base3, upper @ ..] = screen.base.to_le_bytes();
    parameters[..64].fill(0);
    parameters[0x0f] = screen.kind;
    for (offset, value) in [
        (0x12, screen.width),
        (0x14, screen.height),
        (0x16, screen.depth),
        (0x24, screen.stride),
    ] {
        parameters[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }
    parameters[0x18..0x1c].copy_from_slice(&[base0, base1, base2, base3]);
    parameters[0x3a..0x3e].copy_from_slice(&upper);
}

/// Returns where a part of the purgatory lies.
fn find(blob: &[u8], loaded: &Loaded<'_>, part: Part) -> Result<u64> {
    const RECORD: &str = "purgatory_status";
    let record = loaded.symbol_address(RECORD)?;
    let file = object::File::parse(blob)?;
    let stack = file.section_by_name(".stack").context("no stack")?;
    let symbol = file.symbol_by_name(RECORD).context("no record")?;
    Ok(match part {
        Part::Code => loaded.symbol_address("purgatory_start")?,
        Part::Record => record,
        Part::End => record - symbol.address() + stack.size() - 1,
    })
}

/// The register image: a value of its own in each register, so that a mix-up
/// shows; the stack as the loader sets it, what the payload needs, and its entry.
fn registers(loaded: &Loaded<'_>, programs: &Programs) -> Result<Vec<u64>> {
    let Programs {
        machine, payload, ..
    } = programs;
    let known = &loaded.file.arch.registers;
    let odd = |index| 0x0101_0101_0101_0100 * (index as u64 + 1) + 0x5a;
    let count = known.names.len() + machine.through.len();
    let mut registers: Vec<u64> = (0..count).map(odd).collect();
    let mut set = |name, value| registers[machine.register(known.names, name)] = value;
    if let Some(stack) = machine.stack {
        set(stack, loaded.symbol_address("stack_end")?);
    }
    if let Some(info) = machine.info {
        set(info, machine.memory.info);
    }
    // Into a region, as the purgatory wants it.
    set(machine.parameters, machine.memory.parameters);
    set(known.entry, object::File::parse(&payload[..])?.entry());
    Ok(registers)
}

const fn pick(which: Pick, len: u64) -> u64 {
    match which {
        Pick::First => 0,
        Pick::Middle => len / 2,
        Pick::Last => len.saturating_sub(1),
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
