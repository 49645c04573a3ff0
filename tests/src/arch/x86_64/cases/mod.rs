// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only boots on x86-64.

mod actions;
mod consoles;
mod exceptions;
mod hardening;
mod processors;

use super::{DEFAULTS, FIVE_LEVELS, MACHINE_CHECKS};
use crate::cases::Case;

/// All of them.
pub const CASES: &[&[Case]] = &[
    processors::CASES,
    consoles::CASES,
    actions::CASES,
    exceptions::CASES,
    exceptions::INTERRUPTS,
    exceptions::INTERRUPTS_WITHOUT_ERROR,
    hardening::CASES,
];
