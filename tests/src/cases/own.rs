// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every architecture boots with facts of its own: an instruction that there is
//! not, its backends, its way to a reset.

use super::rows::{asked, bad_region, ignored, memory, no_uart, raised, refused, told};
use super::{
    Act, Case, Config, Console, Damage, Expect, INTACT, MISMATCH, PORTABLE, Part, Pick, Reset,
    Verdict, When,
};
use crate::arch::MemoryMap;

/// A refusal of what the purgatory itself is made of.
const fn damaged(name: &'static str, damage: Damage) -> Case {
    refused(
        name,
        damage,
        Verdict::Damaged,
        "purgatory: refused: its own code is damaged\n{ending}\n",
    )
}

const FLIP_LAST: Act = Act::Flip(Pick::Last, Pick::Last);

/// An architecture's facts, and the cases that they make.
pub(crate) trait Own {
    /// What the blob is built with.
    const DEFAULTS: Config;
    /// Where things are.
    const MEMORY: MemoryMap;
    /// The fastest backend, as a bit.
    const BEST: u32;
    /// All others but the portable one.
    const OTHERS: u32;
    /// How it is reset.
    const RESET: Reset;
    /// An instruction that there is not.
    const UNDEFINED: Act;
    /// Another exception.
    const OTHER: Act;
    /// What is reported of the former.
    const REPORT: &'static str;
    /// What the case with that report is called.
    const NAME: &'static str;

    /// Speaks on the good path.
    const VERBOSE: Config = Config {
        verbose: true,
        ..Self::DEFAULTS
    };
    /// Resets at once after an exception, which is not one of an accelerated backend.
    const AT_ONCE: Option<Config> = Some(Config {
        on_exception: Some(0),
        backend: PORTABLE,
        ..Self::DEFAULTS
    });
    /// How that ends.
    const GONE: Expect = Expect::Resets(Verdict::Exception, Self::RESET);

    /// An exception as any other.
    const RAISED: Case = raised(
        Self::DEFAULTS,
        Self::NAME,
        &[(When::Hashing, Self::UNDEFINED)],
        Self::REPORT,
    );
    /// One, and then the former when it is to be reported.
    const IN_THE_HANDLER: Case = raised(
        Self::DEFAULTS,
        "exception-in-the-handler",
        &[
            (When::Hashing, Self::OTHER),
            (When::Opening, Self::UNDEFINED),
        ],
        Self::REPORT,
    );
    /// Nothing is left but to do what was asked for.
    const IN_THE_HANDLER_OF_THE_HANDLER: Case = raised(
        Self::DEFAULTS,
        "exception-in-the-handler-of-the-handler",
        &[
            (When::Hashing, Self::OTHER),
            (When::Opening, Self::UNDEFINED),
            (When::Opening, Self::UNDEFINED),
        ],
        "",
    );

    /// All of them.
    const CASES: &'static [Case] = &[
        asked(Self::DEFAULTS, "backend-portable", PORTABLE, "portable"),
        told(
            "console-none",
            Config {
                consoles: &[],
                ..Self::DEFAULTS
            },
            &[],
        ),
        Case {
            uart: Some(0x60),
            ..memory(
                Self::DEFAULTS,
                "console-memory",
                Self::MEMORY.uart,
                &[Console::Memory, Console::Debug],
            )
        },
        // Line status 0 for ever: never ready.
        Case {
            uart: Some(0),
            ..memory(
                Self::DEFAULTS,
                "console-memory-stuck-at-0",
                Self::MEMORY.uart,
                &[Console::Debug],
            )
        },
        memory(
            Self::DEFAULTS,
            "console-memory-at-no-address",
            1 << 63,
            &[Console::Debug],
        ),
        no_uart(
            Self::DEFAULTS,
            "console-memory-in-a-region",
            Self::MEMORY.ram_disk + 0x100,
        ),
        Case {
            name: "verbose",
            every_state: true,
            config: Some(Self::VERBOSE),
            says: include_str!("../../golden/verbose.txt"),
            ..INTACT
        },
        Case {
            name: "verbose-refusal",
            every_state: true,
            config: Some(Self::VERBOSE),
            says: concat!(
                "purgatory: verifying\n",
                include_str!("../../golden/mismatch.txt")
            ),
            ..MISMATCH
        },
        Self::RAISED,
        Self::IN_THE_HANDLER,
        Self::IN_THE_HANDLER_OF_THE_HANDLER,
        Case {
            name: "resets-after-an-exception",
            config: Self::AT_ONCE,
            expect: Self::GONE,
            ..Self::RAISED
        },
        Case {
            name: "resets-after-an-exception-in-the-handler",
            config: Self::AT_ONCE,
            expect: Self::GONE,
            ..Self::IN_THE_HANDLER
        },
        Case {
            name: "resets-after-an-exception-in-the-handler-of-the-handler",
            config: Self::AT_ONCE,
            expect: Self::GONE,
            ..Self::IN_THE_HANDLER_OF_THE_HANDLER
        },
        Case {
            name: "resets-10-seconds-after-an-exception",
            config: Some(Config {
                backend: PORTABLE,
                ..Self::DEFAULTS
            }),
            expect: Self::GONE,
            ..Self::RAISED
        },
        // The image changes while it is hashed, and back: as if that was wrong.
        Case {
            name: "boots-what-a-backend-misread",
            every_state: true,
            backend: "portable",
            suspects: Self::BEST,
            acts: &[(When::Hashing, FLIP_LAST), (When::Doubting, FLIP_LAST)],
            says: "purgatory: verified, by portable code only\n  {backend} computed {other}\n",
            ..INTACT
        },
        Case {
            name: "refuses-what-two-backends-read-differently",
            suspects: Self::BEST,
            acts: &[
                (When::Hashing, FLIP_LAST),
                (When::Doubting, Act::Flip(Pick::First, Pick::First)),
            ],
            says: include_str!("../../golden/both-differ.txt"),
            expect: Expect::Refuses(Verdict::Mismatch),
            ..INTACT
        },
        Case {
            name: "boots-where-a-backend-faults",
            every_state: true,
            backend: "portable",
            suspects: Self::BEST,
            acts: &[(When::Hashing, Self::UNDEFINED)],
            says: "purgatory: verified, by portable code only\n  \
                   {backend} ended in an exception\n",
            ..INTACT
        },
        // All of them are wrong then, and the portable one is taken nevertheless.
        Case {
            name: "boots-where-no-backend-knows-the-answer",
            backend: "portable",
            suspects: Self::BEST | Self::OTHERS | 1 << PORTABLE,
            acts: &[(When::Entered, Act::Answer)],
            ..INTACT
        },
        bad_region(
            "refuses-a-region-that-is-its-own-code",
            Damage::Ours(Part::Code),
            include_str!("../../golden/region-ours.txt"),
        ),
        bad_region(
            "refuses-a-region-that-is-its-own-record",
            Damage::Ours(Part::Record),
            include_str!("../../golden/region-ours.txt"),
        ),
        bad_region(
            "refuses-a-region-that-begins-with-its-last-byte",
            Damage::Ours(Part::End),
            include_str!("../../golden/region-ours.txt"),
        ),
        damaged("refuses-with-a-bit-of-its-own-code", Damage::Code),
        damaged("refuses-with-a-bit-of-its-own-constants", Damage::Own(9)),
        damaged("refuses-with-a-bit-of-its-checksum", Damage::Own(1)),
        ignored(
            Self::DEFAULTS,
            "ignores-a-configuration-without-its-magic",
            0,
        ),
        ignored(
            Self::DEFAULTS,
            "ignores-a-configuration-of-another-version",
            8,
        ),
        ignored(
            Self::DEFAULTS,
            "ignores-a-configuration-of-another-size",
            12,
        ),
    ];
}
