// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only boots on x86-64.

mod actions;
mod consoles;
mod exceptions;
mod hardening;
mod processors;
mod ramoops;
mod screens;

use super::{DEFAULTS, FIVE_LEVELS, MACHINE_CHECKS, MEMORY};
use crate::arch::MemoryMap;
use crate::cases::own::Own;
use crate::cases::{Act, Case, Config, Reset};

struct Here;

impl Own for Here {
    const DEFAULTS: Config = DEFAULTS;
    const MEMORY: MemoryMap = MEMORY;
    /// Number 3, SHA-NI.
    const BEST: u32 = 1 << 3;
    /// SSE2.
    const OTHERS: u32 = 1 << 4;
    const RESET: Reset = Reset::Chipset;
    /// ud2
    const UNDEFINED: Act = Act::Run(b"\x0f\x0b");
    const OTHER: Act = exceptions::DIVIDE;
    const REPORT: &'static str = exceptions::UNDEFINED;
    const NAME: &'static str = "exception-undefined";
}

/// All of them.
pub const CASES: &[&[Case]] = &[
    processors::CASES,
    consoles::CASES,
    screens::CASES,
    ramoops::CASES,
    actions::CASES,
    exceptions::CASES,
    exceptions::INTERRUPTS,
    exceptions::INTERRUPTS_WITHOUT_ERROR,
    hardening::CASES,
    Here::CASES,
];
