//! The boot cases: each row is one boot of the shipped blob.

/// What the first kernel leaves behind in GDTR and IDTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Both have limit 0: Linux 5.10 to 6.12.
    Legacy,
    /// A GDT, and an IDT of 16 gates: Linux 7.x.
    DebugIdt,
}

/// Where the purgatory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the kernel places it: as high in RAM as it fits.
    Top,
    /// From this address on.
    At(u64),
    /// Right below this address.
    Below(u64),
    /// From this virtual address on, in some RAM that is mapped there.
    Mapped(u64),
}

/// What the region table describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Boot parameters, the second kernel, a RAM disk: what a loader records.
    Three,
    /// All sixteen entries, of odd sizes and at odd addresses.
    Sixteen,
    /// Empty entries, with start 0, before, between and behind three used ones.
    Gaps,
    /// Three entries of which two share bytes.
    Overlap,
    /// Nothing.
    Empty,
}

/// First, middle or last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The first one.
    First,
    /// The one in the middle.
    Middle,
    /// The last one.
    Last,
}

/// What is broken after the loader was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// One bit of one byte of one used region.
    Flip {
        /// Which region.
        region: Pick,
        /// Which byte of it.
        byte: Pick,
    },
    /// One bit of the digest.
    Digest,
    /// The last used entry of the table gets a length that wraps around 2^64.
    Wrap,
    /// The last used entry of the table gets the start 0.
    StartsAtZero,
}

/// How the boot must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The second kernel runs and finds everything in order.
    Boots,
    /// The purgatory refuses with this verdict of its status record, and the
    /// second kernel does not run.
    Refuses(u32),
}

/// One boot.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Says what behaviour is shown.
    pub name: &'static str,
    /// QEMU's CPU model.
    pub cpu: &'static str,
    /// The backend that must have hashed; empty where it does not matter.
    pub backend: &'static str,
    /// MiB of RAM.
    pub memory: u64,
    /// Whether five levels of page tables are in use.
    pub five_levels: bool,
    /// Whether the direction flag is set and vector registers hold data at entry.
    pub dirty: bool,
    /// What stands in GDTR and IDTR at entry.
    pub profile: Profile,
    /// Where the purgatory is.
    pub place: Place,
    /// What is to be verified.
    pub layout: Layout,
    /// What is broken.
    pub damage: Damage,
    /// How it ends.
    pub expect: Expect,
}

/// What most cases have in common.
pub const INTACT: Case = Case {
    name: "intact",
    cpu: "max",
    backend: "",
    memory: 512,
    five_levels: false,
    dirty: false,
    profile: Profile::Legacy,
    place: Place::Top,
    layout: Layout::Three,
    damage: Damage::None,
    expect: Expect::Boots,
};

const MISMATCH: Expect = Expect::Refuses(3);
const TABLE_WIPED: Expect = Expect::Refuses(4);
const BAD_REGION: Expect = Expect::Refuses(5);

const fn flipped(name: &'static str, region: Pick, byte: Pick) -> Case {
    Case {
        name,
        damage: Damage::Flip { region, byte },
        expect: MISMATCH,
        ..INTACT
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
pub const CASES: &[Case] = &[
    INTACT,
    Case {
        name: "intact-debug-idt",
        profile: Profile::DebugIdt,
        ..INTACT
    },
    Case {
        name: "intact-dirty",
        dirty: true,
        ..INTACT
    },
    Case {
        name: "intact-dirty-debug-idt",
        dirty: true,
        profile: Profile::DebugIdt,
        ..INTACT
    },
    on("cpu-max", "max", "sha-ni"),
    on("cpu-max-without-sha-ni", "max,-sha-ni", "avx2"),
    on(
        "cpu-max-without-sha-ni-and-avx2",
        "max,-sha-ni,-avx2",
        "portable",
    ),
    on(
        "cpu-max-without-sha-ni-and-bmi2",
        "max,-sha-ni,-bmi2",
        "portable",
    ),
    on("cpu-max-without-ssse3", "max,-ssse3,-sha-ni", "portable"),
    on("cpu-qemu64", "qemu64", "portable"),
    on("cpu-sandybridge", "SandyBridge", "portable"),
    on("cpu-haswell", "Haswell", "avx2"),
    on("cpu-skylake-server", "Skylake-Server", "avx2"),
    on("cpu-icelake-server", "Icelake-Server", "avx2"),
    on("cpu-epyc", "EPYC", "sha-ni"),
    Case {
        profile: Profile::DebugIdt,
        ..on("cpu-qemu64-debug-idt", "qemu64", "portable")
    },
    Case {
        name: "intact-five-levels",
        five_levels: true,
        ..INTACT
    },
    Case {
        name: "intact-five-levels-debug-idt",
        five_levels: true,
        profile: Profile::DebugIdt,
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
        damage: Damage::Digest,
        expect: TABLE_WIPED,
        ..INTACT
    },
    Case {
        name: "refuses-wrong-digest",
        damage: Damage::Digest,
        expect: MISMATCH,
        ..INTACT
    },
    Case {
        name: "refuses-wrong-digest-debug-idt",
        profile: Profile::DebugIdt,
        damage: Damage::Digest,
        expect: MISMATCH,
        ..INTACT
    },
    Case {
        name: "refuses-region-that-wraps",
        damage: Damage::Wrap,
        expect: BAD_REGION,
        ..INTACT
    },
    Case {
        name: "refuses-region-at-zero",
        damage: Damage::StartsAtZero,
        expect: BAD_REGION,
        ..INTACT
    },
    Case {
        layout: Layout::Sixteen,
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
