// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images, intact and damaged; where they lie, and the machines that they run on.

use super::rows::bad_region;
use super::{Case, Damage, Expect, INTACT, MISMATCH, Pick, Place, Regions, Verdict};

const fn flipped(name: &'static str, region: Pick, byte: Pick) -> Case {
    Case {
        name,
        every_state: false,
        damage: Damage::Flip { region, byte },
        ..MISMATCH
    }
}

const fn placed(name: &'static str, place: Place) -> Case {
    Case {
        name,
        place,
        ..INTACT
    }
}

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        every_state: true,
        ..INTACT
    },
    Case {
        name: "intact-dirty",
        every_state: true,
        dirty: true,
        ..INTACT
    },
    placed("placed-at-0x3000", Place::At(0x3000)),
    Case {
        memory: 3072,
        ..placed("placed-below-2-gib", Place::Below(0x8000_0000))
    },
    Case {
        memory: 5120,
        ..placed("placed-above-4-gib", Place::Top)
    },
    placed("mapped-across-4-gib", Place::Mapped(0xffff_e000)),
    Case {
        name: "sixteen-regions",
        regions: Regions::Sixteen,
        ..INTACT
    },
    Case {
        name: "empty-entries-between",
        regions: Regions::Gaps,
        ..INTACT
    },
    Case {
        name: "regions-that-overlap",
        regions: Regions::Overlap,
        ..INTACT
    },
    Case {
        name: "nothing-to-check",
        regions: Regions::Empty,
        ..INTACT
    },
    Case {
        name: "refuses-empty-table-with-another-digest",
        regions: Regions::Empty,
        says: include_str!("../../golden/table-wiped.txt"),
        expect: Expect::Refuses(Verdict::TableWiped),
        ..MISMATCH
    },
    MISMATCH,
    bad_region(
        "refuses-region-that-wraps",
        Damage::Wrap,
        include_str!("../../golden/region-wraps.txt"),
    ),
    bad_region(
        "refuses-region-at-zero",
        Damage::StartsAtZero,
        include_str!("../../golden/region-at-zero.txt"),
    ),
    bad_region(
        "refuses-region-above-any-memory",
        Damage::TooHigh,
        include_str!("../../golden/region-too-high.txt"),
    ),
    Case {
        regions: Regions::Sixteen,
        says: include_str!("../../golden/sixteen.txt"),
        ..flipped("refuses-bit-in-last-of-sixteen", Pick::Last, Pick::Last)
    },
    flipped(
        "refuses-bit-in-first-byte-of-first",
        Pick::First,
        Pick::First,
    ),
    flipped(
        "refuses-bit-in-middle-byte-of-first",
        Pick::First,
        Pick::Middle,
    ),
    flipped("refuses-bit-in-last-byte-of-first", Pick::First, Pick::Last),
    flipped(
        "refuses-bit-in-first-byte-of-middle",
        Pick::Middle,
        Pick::First,
    ),
    flipped(
        "refuses-bit-in-middle-byte-of-middle",
        Pick::Middle,
        Pick::Middle,
    ),
    flipped(
        "refuses-bit-in-last-byte-of-middle",
        Pick::Middle,
        Pick::Last,
    ),
    flipped("refuses-bit-in-first-byte-of-last", Pick::Last, Pick::First),
    flipped(
        "refuses-bit-in-middle-byte-of-last",
        Pick::Last,
        Pick::Middle,
    ),
    flipped("refuses-bit-in-last-byte-of-last", Pick::Last, Pick::Last),
];
