// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must not cost a good image, and what must not pass for one: states in which a
//! kernel may leave the machine, backends that do not work, damage to what nobody else
//! hashes.

use super::DEFAULTS;
use crate::arch::x86_64::{BREAKPOINT, FROM_NMI, OTHER_SEGMENTS, SSE_ON};
use crate::cases::rows::{asked, no_uart, refused};
use crate::cases::{Act, CANARY, Case, Config, Console, Damage, INTACT, MISMATCH, Verdict, When};

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

/// All of them.
pub(super) const CASES: &[Case] = &[
    entered("enters-with-other-segments", OTHER_SEGMENTS),
    entered("enters-with-sse-on", SSE_ON),
    entered("enters-with-a-breakpoint-armed", BREAKPOINT),
    Case {
        nmis: 1,
        ..entered("takes-the-nmi-that-waits", FROM_NMI)
    },
    asked(DEFAULTS, "backend-sse2", 4, "sse2"),
    asked(DEFAULTS, "backend-that-there-is-not", 2, "portable"),
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
    // A byte written there is an overflow, and garbage behind it looks like a UART that
    // takes bytes.
    Case {
        dirty: true,
        ..no_uart(DEFAULTS, "console-memory-in-the-purgatory", CANARY)
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
];
