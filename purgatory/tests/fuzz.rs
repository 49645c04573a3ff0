// SPDX-License-Identifier: MIT OR Apache-2.0
//! The check against a second one that is straightforward, and the reader of device trees:
//! whatever they are given.

#[path = "../../xtask/blob/src/feed.rs"]
mod feed;

use purgatory::{
    abi::{Backend, Digest, Handoff, Imported, REGION_COUNT, Region, Regions},
    arch::{ADDRESS_LIMIT, Usable},
    memory::{Flaw, Image},
    verify::{Refusal, verify},
};
use sha2::{Digest as _, Sha256};

/// What regions that make sense describe.
static MEMORY: [u8; 4096] = {
    let mut memory = [0; 4096];
    let mut at = 0;
    while at < memory.len() {
        memory[at] = (at * at / 7) as u8;
        at += 1;
    }
    memory
};

/// Bytes that choose, one after the other; zeros behind the last.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u64 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        (*first).into()
    }

    fn number(&mut self) -> u64 {
        self.byte() << 8 | self.byte()
    }

    fn region(&mut self) -> Region {
        let base = MEMORY.as_ptr().expose_provenance() as u64;
        let (kind, far, long) = (self.byte(), self.number(), self.number());
        let size = MEMORY.len() as u64;
        let start = match kind % 8 {
            0..5 => base + far % size,
            5 => 0,
            6 => ADDRESS_LIMIT - far,
            _ => u64::MAX - far,
        };
        let len = match kind / 8 % 8 {
            0..5 => long % size.saturating_sub(start.wrapping_sub(base)).max(1),
            5 => 0,
            6 => u64::MAX - long,
            _ => ADDRESS_LIMIT.wrapping_sub(start).wrapping_add(long % 4),
        };
        Region { start, len }
    }

    fn address(&mut self) -> u64 {
        let base = MEMORY.as_ptr().expose_provenance() as u64;
        match self.byte() % 4 {
            0 => 0,
            1 => u64::MAX - self.number(),
            _ => base.wrapping_sub(16).wrapping_add(self.number() % 5000),
        }
    }
}

fn words(digest: [u8; 32]) -> Digest {
    std::array::from_fn(|word| u64::from_ne_bytes(digest.as_chunks().0[word]))
}

/// What a check must find, by numbers that nothing wraps; or nothing, where it would read
/// memory that is not there.
fn model(
    regions: &Regions,
    flipped: u64,
    handoff: Option<&Handoff>,
) -> Option<(Digest, Result<(), Refusal>, u64, Digest)> {
    let wide = |region: &Region| {
        let start = u128::from(region.start);
        start..start + u128::from(region.len)
    };
    let used: Vec<_> = (0..).zip(regions).filter(|(_, one)| one.len > 0).collect();
    let flaw = used.iter().find_map(|(index, region)| {
        let range = wide(region);
        let flaw = if range.start == 0 {
            Flaw::StartsAtZero
        } else if range.end > u64::MAX.into() {
            Flaw::Wraps
        } else if range.end > ADDRESS_LIMIT.into() {
            Flaw::TooHigh
        } else {
            return None;
        };
        Some((*index, flaw))
    });
    if let Some((index, flaw)) = flaw {
        return Some(([0; 4], Err(Refusal::BadRegion { index, flaw }), 0, [0; 4]));
    }
    let base = MEMORY.as_ptr().expose_provenance();
    let mut message = Vec::new();
    for (_, region) in &used {
        let offset = (region.start as usize).checked_sub(base)?;
        message.extend(MEMORY.get(offset..)?.get(..region.len as usize)?);
    }
    let mut digest: [u8; 32] = Sha256::digest(&message).into();
    let computed = words(digest);
    // A bit of the first 256 is wrong.
    if let Some(byte) = digest.get_mut(flipped as usize / 8) {
        *byte ^= 1 << (flipped % 8);
    }
    let is_right = flipped >= 256;
    let leads = |address: u64| {
        used.iter()
            .any(|(_, one)| wide(one).contains(&address.into()))
    };
    let verdict = match handoff {
        _ if !is_right && used.is_empty() => Err(Refusal::TableWiped),
        _ if !is_right => Err(Refusal::Mismatch),
        Some(handoff) if !used.is_empty() && !leads(handoff.entry) => {
            Err(Refusal::EntryAstray(handoff.entry))
        }
        Some(handoff) if !used.is_empty() && handoff.argument != 0 && !leads(handoff.argument) => {
            Err(Refusal::ArgumentAstray(handoff.argument))
        }
        _ => Ok(()),
    };
    Some((words(digest), verdict, message.len() as u64, computed))
}

#[test]
fn the_region_verifier() {
    let seeds: Vec<Vec<u8>> = (0..64_u8)
        .map(|seed| (0..100_u8).map(|at| at.wrapping_mul(seed) % 37).collect())
        .collect();
    feed::fuzz(&seeds, |bytes| {
        let mut choices = Choices(bytes);
        let flipped = choices.number() % 512;
        let handoff = (choices.byte() % 2 == 0).then(|| Handoff {
            entry: choices.address(),
            argument: choices.address(),
        });
        let mut regions = Regions::default();
        // Often few.
        for region in regions.iter_mut().take(1 + bytes.len() % REGION_COUNT) {
            *region = choices.region();
        }
        let Some((expected, verdict, read, computed)) = model(&regions, flipped, handoff.as_ref())
        else {
            return;
        };
        let table = regions.map(Imported::new);
        // SAFETY: regions that make sense describe `MEMORY`, by the model.
        let image = unsafe { Image::new(&table) };
        assert_eq!(Usable::PORTABLE.backend(), Backend::Portable);
        let found = verify(&image, &expected, handoff, Usable::PORTABLE, |_| ());
        let found = (found.verdict.map(drop), found.bytes, found.computed);
        assert_eq!(found, (verdict, read, computed), "{regions:?}");
    });
}

/// What the device tree's reader takes of its crate.
use purgatory::abi;

mod memory {
    /// Everything is.
    pub(crate) const fn is_free(_: super::Region) -> bool {
        true
    }
}

mod uart {
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Uart {
        #[expect(dead_code, reason = "nothing is driven")]
        pub(crate) bus: super::riscv64::io::Bus,
        pub(crate) base: u64,
    }

    impl Uart {
        pub(crate) const SPAN: u64 = 32;
    }
}

mod riscv64;

/// Its name and its value.
type Property<'a> = (&'a str, &'a [u8]);

/// Makes a tree of a timer and a UART with these properties.
fn tree(uart: &[Property<'_>]) -> Vec<u8> {
    const NAMES: [&str; 6] = [
        "timebase-frequency",
        "compatible",
        "reg",
        "reg-shift",
        "reg-io-width",
        "status",
    ];
    let strings: Vec<u8> = NAMES.map(|name| format!("{name}\0")).concat().into();
    let mut structure: Vec<u8> = Vec::new();
    let property = |structure: &mut Vec<u8>, name: &str, value: &[u8]| {
        let all = NAMES.iter().take_while(|other| **other != name);
        let place: usize = all.map(|name| name.len() + 1).sum();
        for word in [3, value.len() as u32, place as u32] {
            structure.extend(word.to_be_bytes());
        }
        structure.extend(value);
        structure.resize(structure.len().next_multiple_of(4), 0);
    };
    structure.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    property(&mut structure, NAMES[0], &10_000_000_u32.to_be_bytes());
    structure.extend([0, 0, 0, 1]);
    structure.extend(b"uart\0\0\0\0");
    for (name, value) in uart {
        property(&mut structure, name, value);
    }
    structure.extend([0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 9]);
    let sizes = [structure.len() as u32, strings.len() as u32];
    let [header, all] = [40, 40 + sizes[0] + sizes[1]];
    let words = [
        0xd00d_feed,
        all,
        header,
        header + sizes[0],
        header,
        17,
        16,
        0,
        sizes[1],
        sizes[0],
    ];
    let header = words.into_iter().flat_map(u32::to_be_bytes);
    header.chain(structure).chain(strings).collect()
}

const COMPATIBLE: Property<'_> = ("compatible", b"vendor,uart\0ns16550a\0");
const SHORT: Property<'_> = ("reg", &[0x10, 0, 0, 0, 0, 0, 1, 0]);
const LONG: Property<'_> = ("reg", &[0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);

#[test]
fn the_device_tree_reader() {
    let shift = |shift: &'static [u8; 4]| ("reg-shift", &shift[..]);
    let width = |width: &'static [u8; 4]| ("reg-io-width", &width[..]);
    let (low, high) = (Some(0x1000_0000), Some(0x1_1000_0000));
    let cases: [(&[Property<'_>], _); 9] = [
        (&[COMPATIBLE, SHORT], low),
        (&[LONG, COMPATIBLE], high),
        (&[COMPATIBLE, SHORT, shift(&[0, 0, 0, 2])], low),
        (&[COMPATIBLE, SHORT, shift(&[0, 0, 0, 3])], None),
        (
            &[
                COMPATIBLE,
                SHORT,
                width(&[0, 0, 0, 4]),
                shift(&[0, 0, 0, 2]),
            ],
            low,
        ),
        (&[COMPATIBLE, SHORT, width(&[0, 0, 0, 4])], None),
        (&[COMPATIBLE, SHORT, ("status", b"okay\0")], low),
        (&[COMPATIBLE, SHORT, ("status", b"disabled\0")], None),
        (&[("compatible", b"xns16550a\0"), SHORT], None),
    ];
    let trees: Vec<_> = cases
        .iter()
        .map(|(properties, _)| tree(properties))
        .collect();
    for (tree, (properties, base)) in trees.iter().zip(cases) {
        assert_eq!(
            riscv64::read(tree),
            (Some(10_000_000), base),
            "{properties:?}"
        );
    }
    assert_eq!(riscv64::read(&[0; 64]), (None, None));
    feed::fuzz(&trees, |bytes| {
        // It would be read to its end, which takes seconds of one that says it is long.
        let size = bytes.get(4..8).map(|size| size.try_into().unwrap());
        if size.map_or(0, u32::from_be_bytes) < 1 << 16 {
            let _ = riscv64::read(bytes);
        }
    });
}
