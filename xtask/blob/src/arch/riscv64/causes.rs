// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exceptions of RISC-V in words (privileged architecture, table 35), and what
//! each one says about a purgatory.

use crate::arch::Cause;

const BUG: &str =
    "the purgatory never does this by itself: its code was changed in memory, or it has a bug";
const ASTRAY: &str = "it jumped astray: its stack or its tables were changed in memory";
const UNALIGNED: &str =
    "the purgatory aligns all that it does: its code was changed in memory, or it has a bug";
const HOLE: &str = "there is no memory, or the firmware protects it: where a region holds it, the first kernel's table names what is not its own";
const MAPPED: &str = "address translation was left on: no kernel does that (satp)";

/// Describes a cause.
pub(super) fn describe(cause: u64) -> Cause {
    let known = CAUSES.iter().find(|(number, ..)| *number == cause);
    let (_, mnemonic, name, access, hint) = *known.unwrap_or(&(0, "?", "reserved", "", BUG));
    Cause {
        mnemonic,
        name,
        hint,
        access: match access {
            "executing" => Some(|_| "executing"),
            "reading" => Some(|_| "reading"),
            "writing" => Some(|_| "writing"),
            _ => None,
        },
    }
}

/// Every cause, its short name, its name, what was tried, and what to look for.
#[rustfmt::skip]
const CAUSES: &[(u64, &str, &str, &str, &str)] = &[
    (0, "IAM", "instruction address misaligned", "executing", ASTRAY),
    (1, "IAF", "instruction access fault", "executing", ASTRAY),
    (2, "ILL", "illegal instruction", "", BUG),
    (3, "BRK", "breakpoint", "", BUG),
    (4, "LAM", "load address misaligned", "reading", UNALIGNED),
    (5, "LAF", "load access fault", "reading", HOLE),
    (6, "SAM", "store address misaligned", "writing", UNALIGNED),
    (7, "SAF", "store access fault", "writing", HOLE),
    (8, "ECU", "environment call from U-mode", "", BUG),
    (9, "ECS", "environment call from S-mode", "", BUG),
    (10, "ECV", "environment call from VS-mode", "", BUG),
    (11, "ECM", "environment call from M-mode", "", BUG),
    (12, "IPF", "instruction page fault", "executing", MAPPED),
    (13, "LPF", "load page fault", "reading", MAPPED),
    (15, "SPF", "store page fault", "writing", MAPPED),
    (16, "DBL", "double trap", "", "an exception came while one was taken: its stack was changed, or it has a bug"),
    (18, "SWC", "software check", "", "the first kernel left control-flow enforcement on"),
    (19, "HWE", "hardware error", "reading", "the hardware reports an error of its own: memory, bus or processor"),
    (20, "IGF", "instruction guest page fault", "executing", ASTRAY),
    (21, "LGF", "load guest page fault", "reading", HOLE),
    (22, "VIL", "virtual instruction", "", "the hypervisor forbids it: please report it"),
    (23, "SGF", "store guest page fault", "writing", HOLE),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The blob and this table have them from the same specification.
    #[test]
    fn every_cause_has_its_short_name() {
        let mnemonics = (0..24).map(|cause| describe(cause).mnemonic);
        assert_eq!(
            mnemonics.collect::<Vec<_>>().join(" "),
            "IAM IAF ILL BRK LAM LAF SAM SAF ECU ECS ECV ECM IPF LPF ? SPF \
             DBL ? SWC HWE IGF LGF VIL SGF"
        );
    }
}
