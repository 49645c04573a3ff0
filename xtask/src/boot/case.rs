//! Turns one row of the case table into an image: the loader's part, on the host.

use std::mem::offset_of;

use super::segments::{PARAMETERS, contents, manifest, segments, table};
use anyhow::{Context, Result};
use object::Object;
use purgatory::{
    abi::{self, Backend},
    status::Verdict,
};
use purgatory_tests::{
    BOOT_INFO_AT, DEBUG_IDT, DIRTY, FIVE_LEVELS, Flip, MACHINE_CHECKS, Mapping, Plan, Range,
    cases::{Case, Config, Console, DEFAULTS, Damage, Pick, Place, Profile, UART_PAGE, UNMAPPED},
};
use sha2::{Digest, Sha256};

use crate::{
    boot::{
        Facts,
        image::{Image, Memory, page_up},
    },
    vm::qemu,
};
use blob::{
    load::{Kernel, Loaded, PAGE},
    manifest::{Manifest, hex},
    record::set_field,
};

/// Physical memory of a purgatory that is mapped elsewhere.
const MAPPED: u64 = 0x0400_0000;

/// Where to look at the purgatory while it runs, and what it may have to say.
pub(crate) struct Prepared {
    /// Where the purgatory is entered.
    pub(crate) entry: u64,
    /// Physical address of `purgatory_status`.
    pub(crate) status: u64,
    /// Address of `purgatory_config`.
    pub(crate) config: u64,
    /// Address of `purgatory_verify`.
    pub(crate) verify: u64,
    pub(crate) facts: Facts,
    /// What was loaded, before anything is broken.
    pub(crate) manifest: Manifest,
}

/// What the blob finds behind its bytes in a dirty case.
const GARBAGE: u8 = 0xa5;

/// Lays out the image of a case with this blob and this payload.
pub(crate) fn prepare(
    case: &Case,
    profile: Profile,
    blob: &[u8],
    payload: &[u8],
) -> Result<(Image, Prepared)> {
    let mut memory = Memory::new(case.memory, 8 << 20)?;
    let mut segments = segments(case.layout, payload)?;
    for (range, _) in &segments {
        memory.take(Range {
            start: range.start & !(PAGE - 1),
            len: page_up(range.end()) - (range.start & !(PAGE - 1)),
        })?;
    }

    // Placed once to learn its size, then where it belongs.
    let size = Loaded::place(blob, 0x10_0000, Kernel::V7_2)?.memsz;
    let (virt, phys) = match case.place {
        // One page more on either side for the canaries.
        Place::Top => {
            let start = memory.place(size + 2 * PAGE, PAGE, 0x3000)? + PAGE;
            (start, start)
        }
        Place::At(start) => (start, start),
        Place::Below(end) => (end - size, end - size),
        Place::Mapped(virt) => (virt, MAPPED),
    };
    let mut loaded = Loaded::place(blob, virt, Kernel::V7_2)?;
    let purgatory = Range {
        start: virt,
        len: size,
    };

    let regions = table(case.layout, &segments);
    let digest: [u8; 32] = Sha256::digest(contents(&regions, &segments)).into();
    let manifest = manifest(&regions, &segments, &digest);
    let registers = registers(&loaded, payload)?;
    loaded.set_symbol("entry64_regs", &words(&registers))?;
    let mut told = regions.clone();
    if let Some(last) = told.iter_mut().rev().find(|region| region.len > 0) {
        match case.damage {
            Damage::Wrap => last.len = 1_u64.wrapping_sub(last.start),
            Damage::StartsAtZero => last.start = 0,
            Damage::TooHigh => last.start = (1 << 52) - PAGE,
            Damage::Unmapped => {
                last.start = UNMAPPED - last.len;
                told[0].start = UNMAPPED;
            }
            _ => (),
        }
    }
    loaded.set_symbol(
        "purgatory_sha_regions",
        &words(
            &told
                .iter()
                .flat_map(|region| [region.start, region.len])
                .collect::<Vec<_>>(),
        ),
    )?;
    let mut expected = digest;
    if case.damage == Damage::Digest
        && let Some(byte) = expected.last_mut()
    {
        *byte ^= 1;
    }
    loaded.set_symbol("purgatory_sha256_digest", &expected)?;
    if let Some(config) = &case.config {
        configure(&mut loaded, config)?;
    }

    let mut image = Image::new(&memory);
    for (range, bytes) in &segments {
        image.add(*range, bytes)?;
    }
    let mut bytes = loaded.buf.clone();
    if case.dirty {
        // What Linux 7.2 and 7.3 leave where a segment lies in CMA.
        bytes.resize(usize::try_from(size)?, GARBAGE);
    }
    image.add(purgatory, &bytes)?;
    if let Some(line_status) = case.uart {
        const LINE_STATUS: usize = 5 * 4;
        let mut page = [0; LINE_STATUS + 1];
        page[LINE_STATUS] = line_status;
        let range = Range {
            start: UART_PAGE,
            len: PAGE,
        };
        memory.take(range)?;
        image.add(range, &page)?;
    }
    fill_plan(
        &mut image.plan,
        case,
        profile,
        &loaded,
        purgatory,
        &registers,
    );
    for (slot, region) in image.plan.regions.iter_mut().zip(&regions) {
        *slot = *region;
    }
    image.plan.digest = digest;
    if case.place == Place::Mapped(virt) {
        image.plan.mappings[0] = Mapping {
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
        image.plan.flips[0] = flip;
        for (range, bytes) in &mut segments {
            bytes.resize(range.len as usize, 0);
            let offset = flip.at.wrapping_sub(range.start) as usize;
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= flip.mask as u8;
            }
        }
    }
    let verify = loaded.symbol_address("purgatory_verify")?;
    let prepared = Prepared {
        entry: loaded.entry,
        status: loaded.symbol_address("purgatory_status")? - virt + phys,
        config: loaded.symbol_address("purgatory_config")?,
        verify,
        facts: facts(case, &regions, &segments, &expected, verify - virt)?,
        manifest,
    };
    Ok((image, prepared))
}

/// What the purgatory may have to say about these regions, as they are now.
fn facts(
    case: &Case,
    regions: &[Range],
    segments: &[(Range, Vec<u8>)],
    expected: &[u8],
    verify: u64,
) -> Result<Facts> {
    let all = contents(regions, segments);
    let payload = segments.get(1).map_or(0, |(range, _)| range.len);
    let exception = case.expect.verdict() == Some(Verdict::Exception.number());
    let config = case.config.unwrap_or(DEFAULTS);
    let ending = match config.reset_after(exception) {
        None => "purgatory: halted".to_owned(),
        Some(0) => "purgatory: resetting".to_owned(),
        Some(seconds) => format!("purgatory: resetting in {seconds} s"),
    };
    // Of the default CPU, which has all that QEMU emulates.
    let backend = if qemu::emulates_sha_ni()? {
        Backend::ShaNi
    } else {
        Backend::Sse2
    };
    let mut facts = Facts::from([
        ("computed".to_owned(), hex(&Sha256::digest(&all))),
        ("expected".to_owned(), hex(expected)),
        ("bytes".to_owned(), all.len().to_string()),
        ("payload".to_owned(), format!("{payload:#x}")),
        ("ending".to_owned(), ending),
        ("backend".to_owned(), backend.name().to_owned()),
    ]);
    for (index, region) in regions.iter().enumerate() {
        let digest = Sha256::digest(contents(&[*region], segments));
        facts.insert(index.to_string(), hex(&digest[..4]));
    }
    // Where planted code faults.
    for offset in 0..16 {
        let at = format!("{:#x}", verify + offset);
        facts.insert(format!("verify+{offset}"), at);
    }
    Ok(facts)
}

/// Writes what the case configures over what the blob was built with.
fn configure(loaded: &mut Loaded<'_>, config: &Config) -> Result<()> {
    let size = size_of::<abi::Config>();
    let mut record = loaded
        .get_symbol("purgatory_config", size as u64)?
        .to_owned();
    let flag = |console: &Console| match console {
        Console::Ports => abi::Config::CONSOLE_PORT,
        Console::Memory => abi::Config::CONSOLE_MMIO,
        Console::Debug => abi::Config::CONSOLE_DEBUG,
        Console::Screen => abi::Config::CONSOLE_VGA,
    };
    let consoles: u32 = config.consoles.iter().map(flag).sum();
    let action = |after: Option<u32>| match after {
        None => abi::Config::HALT,
        Some(_) => abi::Config::RESET,
    };
    let mut set = |offset, value: &[u8]| set_field(&mut record, offset, value);
    for (offset, value) in [
        (offset_of!(abi::Config, consoles), consoles),
        (offset_of!(abi::Config, verbosity), config.verbose.into()),
        (
            offset_of!(abi::Config, on_refusal),
            action(config.on_refusal),
        ),
        (
            offset_of!(abi::Config, refusal_delay),
            config.on_refusal.unwrap_or(0),
        ),
        (
            offset_of!(abi::Config, on_exception),
            action(config.on_exception),
        ),
        (
            offset_of!(abi::Config, exception_delay),
            config.on_exception.unwrap_or(0),
        ),
        (offset_of!(abi::Config, backend), config.backend),
        (offset_of!(abi::Config, patience), config.patience),
    ] {
        set(offset, &value.to_le_bytes());
    }
    set(
        offset_of!(abi::Config, uart_port),
        &config.port.to_le_bytes(),
    );
    set(
        offset_of!(abi::Config, uart_divisor),
        &config.divisor.to_le_bytes(),
    );
    set(
        offset_of!(abi::Config, uart_mmio),
        &config.memory.to_le_bytes(),
    );
    loaded.set_symbol("purgatory_config", &record)?;
    Ok(())
}

fn fill_plan(
    plan: &mut Plan,
    case: &Case,
    profile: Profile,
    loaded: &Loaded<'_>,
    purgatory: Range,
    registers: &[u64; 17],
) {
    for (flag, wanted) in [
        (FIVE_LEVELS, case.five_levels),
        (DEBUG_IDT, profile == Profile::DebugIdt),
        (MACHINE_CHECKS, case.machine_checks),
        (DIRTY, case.dirty),
    ] {
        if wanted {
            plan.flags |= flag;
        }
    }
    plan.entry = loaded.entry;
    plan.purgatory = purgatory;
    plan.canaries = 1;
    plan.registers = *registers;
}

/// The register image: a value of its own in each register, so that a mix-up
/// shows; rsp as the loader sets it, rsi into a region, as the purgatory wants it,
/// rdi for `bootloader_api`, rip last.
fn registers(loaded: &Loaded<'_>, payload: &[u8]) -> Result<[u64; 17]> {
    let mut registers: [u64; 17] =
        std::array::from_fn(|index| 0x0101_0101_0101_0100 * (index as u64 + 1) + 0x5a);
    registers[4] = loaded.symbol_address("stack_end")?;
    registers[6] = PARAMETERS;
    registers[7] = BOOT_INFO_AT;
    registers[16] = object::File::parse(payload)?.entry();
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
