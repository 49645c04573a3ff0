// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only boots on RISC-V: its processors, its consoles, its exceptions, and what
//! must neither cost a good image nor pass for one.

use super::{DEFAULTS, MEMORY, VECTORS_ON};
use crate::cases::{
    Act, Case, Config, Console, Damage, Expect, INTACT, MISMATCH, PORTABLE, Part, Pick, Reset,
    Verdict, When,
};

/// A processor, dirty vector registers, and the backend that it is good for.
const fn on(name: &'static str, cpu: &'static str, backend: &'static str) -> Case {
    Case {
        name,
        cpu,
        backend,
        dirty: true,
        every_state: true,
        ..INTACT
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

const PROCESSORS: &[Case] = &[
    on("cpu-max", "max", "zvknh"),
    on("cpu-rv64", "rv64", "portable"),
    on("cpu-rv64-with-zknh", "rv64,zknh=true", "zknh"),
    on("cpu-rv64-with-vectors", "rv64,v=true", "portable"),
    on(
        "cpu-rv64-with-wide-vectors-that-hash",
        "rv64,v=true,vlen=256,zvkb=true,zvknhb=true",
        "zvknh",
    ),
    on(
        "cpu-rv64-with-vectors-that-hash-but-do-not-swap",
        "rv64,v=true,zvknha=true,zknh=true",
        "zknh",
    ),
    asked("backend-zknh", 5, "zknh"),
    asked("backend-portable", PORTABLE, "portable"),
    asked("backend-of-another-architecture", 3, "portable"),
    Case {
        name: "enters-with-vectors-on",
        flags: VECTORS_ON,
        ..on("", "max", "zvknh")
    },
];

/// A refusal, told on `heard` out of `config.consoles`.
const fn told(name: &'static str, config: Config, heard: &'static [Console]) -> Case {
    Case {
        name,
        config: Some(config),
        heard: Some(heard),
        seconds: 10,
        ..MISMATCH
    }
}

/// The 8250 in memory at `memory`, and the firmware.
const fn memory(name: &'static str, memory: u64, heard: &'static [Console]) -> Case {
    told(
        name,
        Config {
            consoles: &[Console::Memory, Console::Debug],
            memory,
            ..DEFAULTS
        },
        heard,
    )
}

const VERBOSE: Config = Config {
    verbose: true,
    ..DEFAULTS
};

const CONSOLES: &[Case] = &[
    told(
        "console-none",
        Config {
            consoles: &[],
            ..DEFAULTS
        },
        &[],
    ),
    // No ports here: whoever asks for them hears nothing of it.
    told(
        "console-port",
        Config {
            consoles: &[Console::Ports, Console::Debug],
            ..DEFAULTS
        },
        &[Console::Debug],
    ),
    Case {
        uart: Some(0x60),
        ..memory(
            "console-memory",
            MEMORY.uart,
            &[Console::Memory, Console::Debug],
        )
    },
    // Line status 0 for ever: never ready.
    Case {
        uart: Some(0),
        ..memory("console-memory-stuck-at-0", MEMORY.uart, &[Console::Debug])
    },
    memory(
        "console-memory-where-there-is-none",
        MEMORY.unmapped,
        &[Console::Debug],
    ),
    memory("console-memory-at-no-address", 1 << 63, &[Console::Debug]),
    // The firmware's own memory, which it protects.
    memory(
        "console-memory-of-the-firmware",
        super::RAM,
        &[Console::Debug],
    ),
    memory(
        "console-memory-not-aligned",
        MEMORY.unmapped + 2,
        &[Console::Debug],
    ),
    Case {
        name: "console-memory-in-a-region",
        every_state: false,
        config: Some(Config {
            consoles: &[Console::Memory, Console::Debug],
            memory: MEMORY.ram_disk + 0x100,
            ..VERBOSE
        }),
        says: include_str!("../../../golden/verbose.txt"),
        heard: Some(&[Console::Debug]),
        ..INTACT
    },
    Case {
        name: "verbose",
        every_state: true,
        config: Some(VERBOSE),
        says: include_str!("../../../golden/verbose.txt"),
        ..INTACT
    },
    Case {
        name: "verbose-refusal",
        every_state: true,
        config: Some(VERBOSE),
        says: concat!(
            "purgatory: verifying\n",
            include_str!("../../../golden/mismatch.txt")
        ),
        ..MISMATCH
    },
];

const fn resets(name: &'static str, seconds: u32, limit: u64) -> Case {
    Case {
        name,
        every_state: false,
        config: Some(Config {
            on_refusal: Some(seconds),
            ..DEFAULTS
        }),
        seconds: limit,
        expect: Expect::Resets(Verdict::Mismatch, Reset::Firmware),
        ..MISMATCH
    }
}

const ACTIONS: &[Case] = &[
    resets("resets-by-firmware", 0, 30),
    resets("resets-after-2-seconds", 2, 4),
    Case {
        name: "resets-after-an-exception",
        config: AT_ONCE,
        expect: Expect::Resets(Verdict::Exception, Reset::Firmware),
        ..ILLEGAL
    },
    Case {
        name: "resets-after-an-exception-in-the-handler",
        config: AT_ONCE,
        expect: Expect::Resets(Verdict::Exception, Reset::Firmware),
        ..IN_THE_HANDLER
    },
    Case {
        name: "resets-after-an-exception-in-the-handler-of-the-handler",
        config: AT_ONCE,
        expect: Expect::Resets(Verdict::Exception, Reset::Firmware),
        ..IN_THE_HANDLER_OF_THE_HANDLER
    },
    Case {
        name: "resets-10-seconds-after-an-exception",
        config: Some(Config {
            backend: PORTABLE,
            ..DEFAULTS
        }),
        expect: Expect::Resets(Verdict::Exception, Reset::Firmware),
        ..ILLEGAL
    },
];

/// Resets at once after an exception, which is not one of an accelerated backend.
const AT_ONCE: Option<Config> = Some(Config {
    on_exception: Some(0),
    backend: PORTABLE,
    ..DEFAULTS
});

/// The report on one, and how the machine ends.
macro_rules! report {
    ($($first:literal),+) => {
        concat!(
            "purgatory: exception ",
            $($first,)+
            "\n",
            include_str!("../../../golden/registers-riscv64.txt"),
            "{ending}\n"
        )
    };
}

const fn raised(name: &'static str, acts: &'static [(When, Act)], says: &'static str) -> Case {
    Case {
        name,
        every_state: true,
        acts,
        says,
        // While an accelerated backend hashes, they are the backend's fault.
        config: Some(Config {
            on_exception: None,
            backend: PORTABLE,
            ..DEFAULTS
        }),
        expect: Expect::Refuses(Verdict::Exception),
        ..INTACT
    }
}

/// unimp
const UNIMP: Act = Act::Run(b"\x00\x00");
/// li a0, 7; slli a0, a0, 36: where no memory is
macro_rules! nowhere {
    ($code:literal) => {
        Act::Run(&{
            let [a, b, c, d] = u32::to_le_bytes($code);
            [0x1d, 0x45, 0x13, 0x15, 0x45, 0x02, a, b, c, d]
        })
    };
}
/// ld a1, (a0)
const READ: Act = nowhere!(0x0005_3583);
/// sd a1, (a0)
const WRITE: Act = nowhere!(0x00b5_3023);
/// jalr zero, a0
const JUMP: Act = nowhere!(0x0005_0067);
/// mv sp, a0: what is on no stack is no stack; sd a1, -8(sp)
const STACK: Act = Act::Run(b"\x1d\x45\x13\x15\x45\x02\x2a\x81\x23\x3c\xb1\xfe");
/// ebreak
const BREAKPOINT: Act = Act::Run(b"\x02\x90");

const ILLEGAL: Case = raised(
    "exception-illegal-instruction",
    &[(When::Hashing, UNIMP)],
    report!("2 ILL, error 0x0, at purgatory_start+{verify+0}"),
);

const IN_THE_HANDLER: Case = raised(
    "exception-in-the-handler",
    &[(When::Hashing, BREAKPOINT), (When::Opening, UNIMP)],
    report!("2 ILL, error 0x0, at purgatory_start+{verify+0}"),
);

/// Nothing is left but to do what was asked for.
const IN_THE_HANDLER_OF_THE_HANDLER: Case = raised(
    "exception-in-the-handler-of-the-handler",
    &[
        (When::Hashing, BREAKPOINT),
        (When::Opening, UNIMP),
        (When::Opening, UNIMP),
    ],
    "",
);

const EXCEPTIONS: &[Case] = &[
    ILLEGAL,
    raised(
        "exception-breakpoint",
        &[(When::Hashing, BREAKPOINT)],
        report!("3 BRK, error 0x0, at purgatory_start+{verify+0}, address {place}"),
    ),
    raised(
        "exception-read",
        &[(When::Hashing, READ)],
        report!("5 LAF, error 0x0, at purgatory_start+{verify+6}, address 0x7000000000"),
    ),
    raised(
        "exception-write",
        &[(When::Hashing, WRITE)],
        report!("7 SAF, error 0x0, at purgatory_start+{verify+6}, address 0x7000000000"),
    ),
    raised(
        "exception-jump-out-of-the-blob",
        &[(When::Hashing, JUMP)],
        report!("1 IAF, error 0x0, at 0x7000000000, address 0x7000000000"),
    ),
    raised(
        "exception-with-a-bad-stack",
        &[(When::Hashing, STACK)],
        report!("7 SAF, error 0x0, at purgatory_start+{verify+8}, address 0x6ffffffff8"),
    ),
    Case {
        name: "exception-region-that-is-not-mapped",
        damage: Damage::Unmapped,
        ..raised(
            "",
            &[],
            concat!(
                "purgatory: exception 5 LAF, error 0x0, at purgatory_start+{offset}, ",
                "address {first}\n",
                include_str!("../../../golden/registers-riscv64.txt"),
                "  region 0 0x7000000000 0x2000\n",
                "{ending}\n"
            ),
        )
    },
    IN_THE_HANDLER,
    IN_THE_HANDLER_OF_THE_HANDLER,
];

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
            ..DEFAULTS
        }),
        ..MISMATCH
    }
}

/// Number 6, Zvknh, as a mask.
const ZVKNH: u32 = 1 << 6;
const FLIP_LAST: Act = Act::Flip(Pick::Last, Pick::Last);

const HARDENING: &[Case] = &[
    // The image changes while it is hashed, and back: as if that was wrong.
    Case {
        name: "boots-what-a-backend-misread",
        every_state: true,
        backend: "portable",
        suspects: ZVKNH,
        acts: &[(When::Hashing, FLIP_LAST), (When::Doubting, FLIP_LAST)],
        says: "purgatory: verified, by portable code only\n  {backend} computed {other}\n",
        ..INTACT
    },
    Case {
        name: "refuses-what-two-backends-read-differently",
        suspects: ZVKNH,
        acts: &[
            (When::Hashing, FLIP_LAST),
            (When::Doubting, Act::Flip(Pick::First, Pick::First)),
        ],
        says: include_str!("../../../golden/both-differ.txt"),
        expect: Expect::Refuses(Verdict::Mismatch),
        ..INTACT
    },
    Case {
        name: "boots-where-a-backend-faults",
        every_state: true,
        backend: "portable",
        suspects: ZVKNH,
        acts: &[(When::Hashing, UNIMP)],
        says: "purgatory: verified, by portable code only\n  {backend} ended in an exception\n",
        ..INTACT
    },
    // All of them are wrong then, and the portable one is taken nevertheless.
    Case {
        name: "boots-where-no-backend-knows-the-answer",
        backend: "portable",
        suspects: ZVKNH | 1 << 5 | 1 << PORTABLE,
        acts: &[(When::Entered, Act::Answer)],
        ..INTACT
    },
    refused(
        "refuses-an-entry-in-no-region",
        Damage::Register("pc", 40),
        Verdict::Astray,
        concat!(
            "purgatory: refused: the next kernel's entry {pc} is in no region\n",
            include_str!("../../../golden/astray.txt")
        ),
    ),
    refused(
        "refuses-a-device-tree-in-no-region",
        Damage::Register("a1", 40),
        Verdict::Astray,
        concat!(
            "purgatory: refused: the next kernel's argument {a1} is in no region\n",
            include_str!("../../../golden/astray.txt")
        ),
    ),
    refused(
        "refuses-a-region-that-is-its-own-code",
        Damage::Ours(Part::Code),
        Verdict::BadRegion,
        include_str!("../../../golden/region-ours.txt"),
    ),
    refused(
        "refuses-a-region-that-is-its-own-record",
        Damage::Ours(Part::Record),
        Verdict::BadRegion,
        include_str!("../../../golden/region-ours.txt"),
    ),
    refused(
        "refuses-a-region-that-begins-with-its-last-byte",
        Damage::Ours(Part::End),
        Verdict::BadRegion,
        include_str!("../../../golden/region-ours.txt"),
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
];

/// All of them.
pub const CASES: &[&[Case]] = &[PROCESSORS, CONSOLES, ACTIONS, EXCEPTIONS, HARDENING];
