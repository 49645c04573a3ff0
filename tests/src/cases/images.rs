//! Images, intact and damaged; where they lie, and the machines that they run on.

use super::{BOTH, Case, Damage, Expect, INTACT, Layout, MISMATCH, Pick, Place, Profile};

const fn bad_region(name: &'static str, damage: Damage, says: &'static str) -> Case {
    Case {
        name,
        damage,
        says,
        expect: Expect::Refuses(5),
        ..INTACT
    }
}

const fn flipped(name: &'static str, region: Pick, byte: Pick) -> Case {
    Case {
        name,
        profiles: &[Profile::Legacy],
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

/// A processor, dirty vector registers, and the backend that it is good for.
const fn on(name: &'static str, cpu: &'static str, backend: &'static str) -> Case {
    Case {
        name,
        cpu,
        backend,
        dirty: true,
        ..INTACT
    }
}

/// All of them.
pub(super) const CASES: &[Case] = &[
    Case {
        profiles: BOTH,
        ..INTACT
    },
    Case {
        name: "intact-dirty",
        profiles: BOTH,
        dirty: true,
        ..INTACT
    },
    on("cpu-max", "max", "sha-ni"),
    on("cpu-max-without-sha-ni", "max,-sha-ni", "sse2"),
    on("cpu-max-without-ssse3", "max,-ssse3,-sha-ni", "sse2"),
    Case {
        profiles: BOTH,
        ..on("cpu-qemu64", "qemu64", "sse2")
    },
    on(
        "cpu-qemu64-with-aes",
        "qemu64,+ssse3,+sse4.1,+sse4.2,+aes,+popcnt",
        "sse2",
    ),
    on("cpu-nehalem", "Nehalem", "sse2"),
    on("cpu-westmere", "Westmere", "sse2"),
    on("cpu-sandybridge", "SandyBridge", "sse2"),
    on("cpu-denverton", "Denverton", "sha-ni"),
    on("cpu-haswell", "Haswell", "sse2"),
    on("cpu-skylake-server", "Skylake-Server", "sse2"),
    on("cpu-icelake-server", "Icelake-Server", "sse2"),
    on("cpu-epyc", "EPYC", "sha-ni"),
    Case {
        name: "intact-machine-checks",
        profiles: BOTH,
        machine_checks: true,
        ..INTACT
    },
    Case {
        name: "intact-five-levels",
        profiles: BOTH,
        five_levels: true,
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
    placed("mapped-above-2-46", Place::Mapped(0x4000_1234_5000)),
    Case {
        five_levels: true,
        ..placed(
            "mapped-above-2-48-five-levels",
            Place::Mapped(0x0003_4000_1234_5000),
        )
    },
    Case {
        name: "sixteen-regions",
        layout: Layout::Sixteen,
        ..INTACT
    },
    Case {
        name: "empty-entries-between",
        layout: Layout::Gaps,
        ..INTACT
    },
    Case {
        name: "regions-that-overlap",
        layout: Layout::Overlap,
        ..INTACT
    },
    Case {
        name: "nothing-to-check",
        layout: Layout::Empty,
        ..INTACT
    },
    Case {
        name: "refuses-empty-table-with-another-digest",
        layout: Layout::Empty,
        says: include_str!("../../golden/table-wiped.txt"),
        expect: Expect::Refuses(4),
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
        layout: Layout::Sixteen,
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
