// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must not cost a good image, and what must not pass for one: states in which a
//! kernel may leave the machine, backends that do not work, damage to what nobody else
//! hashes.

use super::{DEFAULTS, exceptions};
use crate::{
    arch::x86_64::{BREAKPOINT, FROM_NMI, MEMORY, OTHER_SEGMENTS, SSE_ON},
    cases::{
        Act, CANARY, Case, Config, Console, Damage, Expect, INTACT, MISMATCH, PORTABLE, Part, Pick,
        Reset, Verdict, When,
    },
};

/// Enters with this flag of the plan.
const fn entered(name: &'static str, flags: u64) -> Case {
    Case {
        name,
        flags,
        every_state: true,
        backend: "sha-ni",
        ..INTACT
    }
}

const fn refused(name: &'static str, damage: Damage, verdict: Verdict, says: &'static str) -> Case {
    Case {
        name,
        damage,
        says,
        expect: Expect::Refuses(verdict),
        ..INTACT
    }
}

/// What a damaged configuration must not decide.
const fn ignored(name: &'static str, byte: usize) -> Case {
    Case {
        name,
        every_state: false,
        damage: Damage::Config(byte),
        config: Some(Config {
            consoles: &[],
            on_refusal: Some(0),
            port: 0x2f8,
            ..DEFAULTS
        }),
        heard: None,
        ..MISMATCH
    }
}

/// Hashes with this backend, by its number, or with what it comes to.
const fn asked(name: &'static str, number: u32, backend: &'static str) -> Case {
    Case {
        name,
        backend,
        config: Some(Config {
            backend: number,
            ..DEFAULTS
        }),
        ..INTACT
    }
}

/// Speaks to an 8250 in memory that is none, and to port 0xE9.
const fn no_uart(name: &'static str, memory: u64) -> Case {
    Case {
        name,
        config: Some(Config {
            consoles: &[Console::Memory, Console::Debug],
            verbose: true,
            memory,
            ..DEFAULTS
        }),
        says: include_str!("../../../../golden/verbose.txt"),
        heard: Some(&[Console::Debug]),
        ..INTACT
    }
}

/// Number 3, SHA-NI, as a mask.
const SHA_NI: u32 = 1 << 3;
const FLIP_LAST: Act = Act::Flip(Pick::Last, Pick::Last);

/// All of them.
pub(super) const CASES: &[Case] = &[
    entered("enters-with-other-segments", OTHER_SEGMENTS),
    entered("enters-with-sse-on", SSE_ON),
    entered("enters-with-a-breakpoint-armed", BREAKPOINT),
    Case {
        nmis: 1,
        ..entered("takes-the-nmi-that-waits", FROM_NMI)
    },
    // The image changes while SHA-NI hashes it, and back: as if that was wrong.
    Case {
        name: "boots-what-a-backend-misread",
        every_state: true,
        backend: "portable",
        suspects: SHA_NI,
        acts: &[(When::Hashing, FLIP_LAST), (When::Doubting, FLIP_LAST)],
        says: "purgatory: verified, by portable code only\n  {backend} computed {other}\n",
        ..INTACT
    },
    Case {
        name: "refuses-what-two-backends-read-differently",
        suspects: SHA_NI,
        acts: &[
            (When::Hashing, FLIP_LAST),
            (When::Doubting, Act::Flip(Pick::First, Pick::First)),
        ],
        says: include_str!("../../../../golden/both-differ.txt"),
        expect: Expect::Refuses(Verdict::Mismatch),
        ..INTACT
    },
    Case {
        name: "boots-where-a-backend-faults",
        every_state: true,
        backend: "portable",
        suspects: SHA_NI,
        acts: &[(When::Hashing, exceptions::UD2)],
        says: "purgatory: verified, by portable code only\n  {backend} ended in an exception\n",
        ..INTACT
    },
    // All of them are wrong then, and the portable one is taken nevertheless.
    Case {
        name: "boots-where-no-backend-knows-the-answer",
        backend: "portable",
        suspects: SHA_NI | 1 << 4 | 1 << PORTABLE,
        acts: &[(When::Entered, Act::Answer)],
        ..INTACT
    },
    asked("backend-sse2", 4, "sse2"),
    asked("backend-portable", PORTABLE, "portable"),
    asked("backend-that-there-is-not", 2, "portable"),
    refused(
        "refuses-an-entry-in-no-region",
        Damage::Register("rip", 40),
        Verdict::Astray,
        concat!(
            "purgatory: refused: the next kernel's entry {rip} is in no region\n",
            include_str!("../../../../golden/astray.txt")
        ),
    ),
    refused(
        "refuses-parameters-in-no-region",
        Damage::Register("rsi", 63),
        Verdict::Astray,
        concat!(
            "purgatory: refused: the next kernel's argument {rsi} is in no region\n",
            include_str!("../../../../golden/astray.txt")
        ),
    ),
    refused(
        "refuses-a-region-that-is-its-own-code",
        Damage::Ours(Part::Code),
        Verdict::BadRegion,
        include_str!("../../../../golden/region-ours.txt"),
    ),
    refused(
        "refuses-a-region-that-is-its-own-record",
        Damage::Ours(Part::Record),
        Verdict::BadRegion,
        include_str!("../../../../golden/region-ours.txt"),
    ),
    refused(
        "refuses-a-region-that-begins-with-its-last-byte",
        Damage::Ours(Part::End),
        Verdict::BadRegion,
        include_str!("../../../../golden/region-ours.txt"),
    ),
    refused(
        "refuses-with-a-bit-of-its-own-code",
        Damage::Code,
        Verdict::Damaged,
        "purgatory: refused: its own code is damaged\n{ending}\n",
    ),
    refused(
        "refuses-with-a-bit-of-its-own-constants",
        Damage::Own(9),
        Verdict::Damaged,
        "purgatory: refused: its own code is damaged\n{ending}\n",
    ),
    refused(
        "refuses-with-a-bit-of-its-checksum",
        Damage::Own(1),
        Verdict::Damaged,
        "purgatory: refused: its own code is damaged\n{ending}\n",
    ),
    ignored("ignores-a-configuration-without-its-magic", 0),
    ignored("ignores-a-configuration-of-another-version", 8),
    ignored("ignores-a-configuration-of-another-size", 12),
    no_uart("console-memory-in-a-region", MEMORY.ram_disk + 0x100),
    // A byte written there is an overflow, and garbage behind it looks like a UART that
    // takes bytes.
    Case {
        dirty: true,
        ..no_uart("console-memory-in-the-purgatory", CANARY)
    },
    // Never ready, and nobody waits.
    Case {
        name: "console-port-stuck-without-patience",
        devices: &["-device", "isa-debug-exit,iobase=0x1a0,iosize=8"],
        config: Some(Config {
            port: 0x1a0,
            patience: 0,
            ..DEFAULTS
        }),
        heard: Some(&[Console::Debug]),
        seconds: 1,
        ..MISMATCH
    },
    // As a driver leaves it that dies while it sets the divisor.
    Case {
        name: "console-com1-with-open-divisor-latch",
        acts: &[(When::Entered, Act::Monitor("o /b 0x3fb 0x83"))],
        ..MISMATCH
    },
    Case {
        name: "resets-10-seconds-after-an-exception",
        config: Some(Config {
            backend: PORTABLE,
            ..DEFAULTS
        }),
        expect: Expect::Resets(Verdict::Exception, Reset::Chipset),
        ..exceptions::UNDEFINED
    },
];
