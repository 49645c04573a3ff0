// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zones of ramoops: those that are taken, and those that are left alone.

use crate::{
    arch::x86_64::{DEFAULTS, FIVE_LEVELS, MEMORY},
    cases::{Case, Config, Console, INTACT, MISMATCH},
    plan::Range,
};

const CONSOLES: &[Console] = &[Console::Debug, Console::Ramoops];

const ZONE: Range = Range {
    start: MEMORY.zone,
    len: 4096,
};

/// An empty one.
const EMPTY: &[u8] = b"DBGC\0\0\0\0\0\0\0\0";

const fn at(zone: Range) -> Config {
    Config {
        consoles: CONSOLES,
        ramoops: zone,
        ..DEFAULTS
    }
}

/// A refusal, recorded.
const fn taken(name: &'static str, zone: &'static [u8]) -> Case {
    Case {
        name,
        zone: Some(zone),
        config: Some(at(ZONE)),
        heard: Some(CONSOLES),
        ..MISMATCH
    }
}

/// A refusal, recorded nowhere.
const fn left(name: &'static str, zone: Range, bytes: &'static [u8]) -> Case {
    Case {
        config: Some(at(zone)),
        heard: Some(&[Console::Debug]),
        says: concat!(
            "purgatory: no ramoops\n",
            include_str!("../../../../golden/mismatch.txt")
        ),
        ..taken(name, bytes)
    }
}

/// All of them.
pub(super) const CASES: &[Case] = &[
    taken("ramoops", EMPTY),
    Case {
        flags: FIVE_LEVELS,
        cpu: "max,la57=on",
        ..taken("ramoops-five-levels", EMPTY)
    },
    taken(
        "ramoops-with-an-earlier-dump",
        b"DBGC\0\0\0\0\x14\0\0\0====12.000345-D\nPanic",
    ),
    // A ring that went round: 1024 bytes, and begins in its middle.
    Case {
        config: Some(at(Range { len: 1036, ..ZONE })),
        ..taken(
            "ramoops-full-and-wrapped",
            b"DBGC\x40\0\0\0\x00\x04\0\0====12.000345-D\nPanic",
        )
    },
    // The report is longer.
    Case {
        config: Some(at(Range { len: 128, ..ZONE })),
        ..taken("ramoops-too-small", EMPTY)
    },
    // A line for a good image.
    Case {
        name: "ramoops-of-a-good-run",
        every_state: true,
        zone: Some(EMPTY),
        config: Some(at(ZONE)),
        heard: Some(&[Console::Ramoops]),
        says: "purgatory: verifying\n\
               purgatory: verified {bytes} bytes with {backend} in {time} ms, {rate} MB/s, entering {entry}\n",
        ..INTACT
    },
    left("ramoops-foreign", ZONE, b"DBGC\0\0\0\0\x08\0\0\0console\n"),
    left(
        "ramoops-damaged",
        ZONE,
        b"DBGC\0\0\0\0\xf5\x0f\0\0====0.0\n",
    ),
    left("ramoops-without-signature", ZONE, b"ABGC\0\0\0\0\0\0\0\0"),
    left(
        "ramoops-in-a-region",
        Range {
            start: MEMORY.ram_disk,
            ..ZONE
        },
        EMPTY,
    ),
    left("ramoops-at-0", Range { start: 0, len: 0 }, EMPTY),
    left(
        "ramoops-where-nothing-is",
        Range {
            start: MEMORY.unmapped,
            ..ZONE
        },
        EMPTY,
    ),
];
