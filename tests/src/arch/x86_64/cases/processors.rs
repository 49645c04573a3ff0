// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processors, each with the backend that it is good for; what they catch, and how
//! they address memory.

use super::{FIVE_LEVELS, MACHINE_CHECKS};
use crate::cases::rows::on;
use crate::cases::{Case, INTACT, Place};

/// All of them.
pub(super) const CASES: &[Case] = &[
    on("cpu-max", "max", "sha-ni"),
    on("cpu-max-without-sha-ni", "max,-sha-ni", "sse2"),
    on("cpu-max-without-ssse3", "max,-ssse3,-sha-ni", "sse2"),
    Case {
        every_state: true,
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
        every_state: true,
        flags: MACHINE_CHECKS,
        ..INTACT
    },
    Case {
        name: "intact-five-levels",
        every_state: true,
        flags: FIVE_LEVELS,
        ..INTACT
    },
    Case {
        name: "mapped-above-2-46",
        place: Place::Mapped(0x4000_1234_5000),
        ..INTACT
    },
    Case {
        flags: FIVE_LEVELS,
        name: "mapped-above-2-48-five-levels",
        place: Place::Mapped(0x0003_4000_1234_5000),
        ..INTACT
    },
];
