// SPDX-License-Identifier: MIT OR Apache-2.0
//! What follows a refusal: halting is in every other case, resetting is here,
//! with each of the ways, where those before it are without effect.

use super::DEFAULTS;
use crate::cases::{Case, Config, Expect, MISMATCH, Reset, Verdict};

/// Resets so many seconds after a refusal.
const fn after(seconds: u32) -> Option<Config> {
    Some(Config {
        on_refusal: Some(seconds),
        ..DEFAULTS
    })
}

const RESETS: Case = Case {
    name: "resets-by-chipset",
    config: after(0),
    expect: Expect::Resets(Verdict::Mismatch, Reset::Chipset),
    ..MISMATCH
};

/// All of them.
pub(super) const CASES: &[Case] = &[
    RESETS,
    // No PCI, so no port 0xCF9.
    Case {
        name: "resets-by-keyboard-controller",
        machine: "isapc",
        expect: Expect::Resets(Verdict::Mismatch, Reset::Keyboard),
        ..RESETS
    },
    Case {
        name: "resets-by-triple-fault",
        machine: "isapc,i8042=off",
        expect: Expect::Resets(Verdict::Mismatch, Reset::TripleFault),
        ..RESETS
    },
    Case {
        name: "resets-after-2-seconds",
        config: after(2),
        seconds: 4,
        ..RESETS
    },
    // No timer to measure the clock with: waits as on the fastest CPU there is.
    Case {
        name: "resets-after-a-second-or-more-without-timer",
        machine: "microvm,pit=off,pic=off,rtc=off",
        config: after(1),
        seconds: 20,
        expect: Expect::Resets(Verdict::Mismatch, Reset::TripleFault),
        ..RESETS
    },
];
