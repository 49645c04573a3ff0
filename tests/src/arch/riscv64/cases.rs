// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only boots on RISC-V: its processors, its consoles, its exceptions, and what
//! must neither cost a good image nor pass for one.

use super::{DEFAULTS, MEMORY, VECTORS_ON};
use crate::arch::MemoryMap;
use crate::cases::own::Own;
use crate::cases::rows::{asked, memory, on, raised, refused, told};
use crate::cases::{Act, Case, Config, Console, Damage, Expect, MISMATCH, Reset, Verdict, When};

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

struct Here;

impl Own for Here {
    const DEFAULTS: Config = DEFAULTS;
    const MEMORY: MemoryMap = MEMORY;
    /// Number 6, Zvknh.
    const BEST: u32 = 1 << 6;
    /// Zknh.
    const OTHERS: u32 = 1 << 5;
    const RESET: Reset = Reset::Firmware;
    /// unimp
    const UNDEFINED: Act = Act::Run(b"\x00\x00");
    const OTHER: Act = BREAKPOINT;
    const REPORT: &'static str = report!("2 ILL, error 0x0, at purgatory_start+{verify+0}");
    const NAME: &'static str = "exception-illegal-instruction";
}

/// As [`on`], in each state.
const fn hart(name: &'static str, cpu: &'static str, backend: &'static str) -> Case {
    Case {
        every_state: true,
        ..on(name, cpu, backend)
    }
}

const PROCESSORS: &[Case] = &[
    hart("cpu-max", "max", "zvknh"),
    hart("cpu-rv64", "rv64", "portable"),
    hart("cpu-rv64-with-zknh", "rv64,zknh=true", "zknh"),
    hart("cpu-rv64-with-vectors", "rv64,v=true", "portable"),
    hart(
        "cpu-rv64-with-wide-vectors-that-hash",
        "rv64,v=true,vlen=256,zvkb=true,zvknhb=true",
        "zvknh",
    ),
    hart(
        "cpu-rv64-with-vectors-that-hash-but-do-not-swap",
        "rv64,v=true,zvknha=true,zknh=true",
        "zknh",
    ),
    asked(DEFAULTS, "backend-zknh", 5, "zknh"),
    asked(DEFAULTS, "backend-of-another-architecture", 3, "portable"),
    Case {
        name: "enters-with-vectors-on",
        flags: VECTORS_ON,
        ..hart("", "max", "zvknh")
    },
];

const CONSOLES: &[Case] = &[
    // No ports here: whoever asks for them hears nothing of it.
    told(
        "console-port",
        Config {
            consoles: &[Console::Ports, Console::Debug],
            ..DEFAULTS
        },
        &[Console::Debug],
    ),
    memory(
        DEFAULTS,
        "console-memory-where-there-is-none",
        MEMORY.unmapped,
        &[Console::Debug],
    ),
    // The firmware's own memory, which it protects.
    memory(
        DEFAULTS,
        "console-memory-of-the-firmware",
        super::RAM,
        &[Console::Debug],
    ),
    memory(
        DEFAULTS,
        "console-memory-not-aligned",
        MEMORY.unmapped + 2,
        &[Console::Debug],
    ),
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
];

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

const EXCEPTIONS: &[Case] = &[
    raised(
        DEFAULTS,
        "exception-breakpoint",
        &[(When::Hashing, BREAKPOINT)],
        report!("3 BRK, error 0x0, at purgatory_start+{verify+0}, address {place}"),
    ),
    raised(
        DEFAULTS,
        "exception-read",
        &[(When::Hashing, READ)],
        report!("5 LAF, error 0x0, at purgatory_start+{verify+6}, address 0x7000000000"),
    ),
    raised(
        DEFAULTS,
        "exception-write",
        &[(When::Hashing, WRITE)],
        report!("7 SAF, error 0x0, at purgatory_start+{verify+6}, address 0x7000000000"),
    ),
    raised(
        DEFAULTS,
        "exception-jump-out-of-the-blob",
        &[(When::Hashing, JUMP)],
        report!("1 IAF, error 0x0, at 0x7000000000, address 0x7000000000"),
    ),
    raised(
        DEFAULTS,
        "exception-with-a-bad-stack",
        &[(When::Hashing, STACK)],
        report!("7 SAF, error 0x0, at purgatory_start+{verify+8}, address 0x6ffffffff8"),
    ),
    Case {
        name: "exception-region-that-is-not-mapped",
        damage: Damage::Unmapped,
        ..raised(
            DEFAULTS,
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
];

const HARDENING: &[Case] = &[
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
];

/// All of them.
pub const CASES: &[&[Case]] = &[
    PROCESSORS,
    CONSOLES,
    ACTIONS,
    EXCEPTIONS,
    HARDENING,
    Here::CASES,
];
