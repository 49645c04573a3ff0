// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exceptions of x86-64 in words (AMD64 manual volume 2, table 8-1), and
//! what each one says about a purgatory.

use crate::arch::Cause;

const BUG: &str =
    "the purgatory never does this by itself: its code was changed in memory, or it has a bug";
const CALL: &str =
    "only a hypervisor raises it, and only in a confidential guest: please report it";
const MEMORY: &str = "its stack or its tables were changed in memory, or it has a bug";

/// Describes a vector.
pub(super) fn describe(vector: u64) -> Cause {
    let known = VECTORS.iter().find(|(number, ..)| *number == vector);
    let (_, mnemonic, name, hint) = known.unwrap_or(&(0, "?", "reserved vector", BUG));
    Cause {
        mnemonic,
        name,
        hint,
        access: (vector == 14).then_some(page_fault),
    }
}

/// Every vector, its mnemonic, its name, and what to look for.
#[rustfmt::skip]
const VECTORS: &[(u64, &str, &str, &str)] = &[
    (0, "DE", "divide error", BUG),
    (1, "DB", "debug", "a breakpoint register of the first kernel was still armed"),
    (2, "NMI", "non-maskable interrupt", "it is counted and returned from"),
    (3, "BP", "breakpoint", BUG),
    (4, "OF", "overflow", BUG),
    (5, "BR", "bound range", BUG),
    (6, "UD", "invalid opcode", BUG),
    (7, "NM", "device not available", "CR0.TS or CR0.EM was set at entry: no kernel leaves it so"),
    (8, "DF", "double fault",
        "an exception could not be delivered, most often for a bad stack pointer"),
    (9, "MF", "coprocessor segment overrun", BUG),
    (10, "TS", "invalid TSS", MEMORY),
    (11, "NP", "segment not present", MEMORY),
    (12, "SS", "stack fault", MEMORY),
    (13, "GP", "general protection", "a non-canonical address or a damaged descriptor table"),
    (14, "PF", "page fault",
        "the address is not mapped: where a region holds it, the first kernel's table names memory that it did not map"),
    (16, "MF", "x87 floating point", BUG),
    (17, "AC", "alignment check", BUG),
    (18, "MC", "machine check",
        "the hardware reports an error of its own: memory, bus or processor"),
    (19, "XF", "SIMD floating point", BUG),
    (20, "VE", "virtualization", CALL),
    (21, "CP", "control protection", "the first kernel left control-flow enforcement on (CR4.CET)"),
    (28, "HV", "hypervisor injection", CALL),
    (29, "VC", "VMM communication", CALL),
    (30, "SX", "security", CALL),
];

/// The error code of a page fault (AMD64 manual volume 2, section 8.4.2).
const fn page_fault(error: u64) -> &'static str {
    match error {
        _ if error & 8 != 0 => "the page tables themselves are damaged",
        _ if error & 16 != 0 => "executing",
        _ if error & 2 != 0 => "writing",
        _ => "reading",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fault_says_what_was_tried() {
        let tried = [0, 2, 16, 9].map(page_fault);
        assert_eq!(
            tried,
            [
                "reading",
                "writing",
                "executing",
                "the page tables themselves are damaged"
            ]
        );
    }

    #[test]
    fn every_vector_has_its_mnemonic() {
        let mnemonics = (0..32).map(|vector| describe(vector).mnemonic);
        assert_eq!(
            mnemonics.collect::<Vec<_>>().join(" "),
            "DE DB NMI BP OF BR UD NM DF MF TS NP SS GP PF ? MF AC MC XF VE CP ? ? ? ? ? ? HV VC SX ?"
        );
    }
}
