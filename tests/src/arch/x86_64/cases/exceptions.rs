// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exceptions raised while the image is hashed, one of each kind that a broken
//! machine or a broken loader leads to.

use super::MACHINE_CHECKS;
use crate::arch::x86_64::DEFAULTS;
use crate::cases::rows::raised;
use crate::cases::{Act, Case, Damage, INTACT, When};

/// The report on one, and how the machine ends.
macro_rules! report {
    ($($first:literal),+) => {
        concat!(
            "purgatory: exception ",
            $($first,)+
            "\n",
            include_str!("../../../../golden/registers.txt"),
            "{ending}\n"
        )
    };
}

/// What is reported of an instruction that there is not.
pub(super) const UNDEFINED: &str = report!("6 #UD, error 0x0, at purgatory_start+{verify+0}");

/// xor edx, edx; xor ecx, ecx; div ecx
pub(super) const DIVIDE: Act = Act::Run(b"\x31\xd2\x31\xc9\xf7\xf1");
/// mov eax, 0x50; mov ds, eax: a selector beyond our GDT
const SELECTOR: Act = Act::Run(b"\xb8\x50\x00\x00\x00\x8e\xd8");
/// mov rax, 0x7123456780; mov byte ptr [rax], 1
const WRITE: Act = Act::Run(b"\x48\xb8\x80\x67\x45\x23\x71\x00\x00\x00\xc6\x00\x01");
/// mov rax, 0x7123456780; jmp rax
const JUMP: Act = Act::Run(b"\x48\xb8\x80\x67\x45\x23\x71\x00\x00\x00\xff\xe0");
/// mov rsp, 0x7123456780; push rax
const STACK: Act = Act::Run(b"\x48\xbc\x80\x67\x45\x23\x71\x00\x00\x00\x50");

/// mov rsp, 0x7123456780; int 18
const CHECK_WITHOUT_STACK: Act = Act::Run(b"\x48\xbc\x80\x67\x45\x23\x71\x00\x00\x00\xcd\x12");

/// Valid, uncorrected, enabled; in progress, and the rip is known.
const MACHINE_CHECK: Act = Act::Monitor("mce 0 0 0xb200000000000000 5 0 0");

/// `int` with each of these vectors: what comes through its gate is what the CPU
/// sends, but for the error code, which `int` never pushes.
macro_rules! interrupts {
    ($says:literal, $($vector:literal $mnemonic:literal),+) => {
        &[$(Case {
            every_state: false,
            ..raised(
                DEFAULTS,
                concat!("exception-by-int-", $vector),
                &[(When::Hashing, Act::Run(&[0xcd, $vector]))],
                report!($vector, " #", $mnemonic, $says),
            )
        }),+]
    };
}

/// Every vector of the architecture that has no error code, but for NMI, #UD and
/// #MC, which can be had for real.
pub(super) const INTERRUPTS: &[Case] = interrupts![
    ", error 0x0, at purgatory_start+{verify+2}",
    0 "DE", 1 "DB", 3 "BP", 4 "OF", 5 "BR", 7 "NM", 9 "MF", 15 "..", 16 "MF", 19 "XF", 20 "VE",
    22 "..", 23 "..", 24 "..", 25 "..", 26 "..", 27 "..", 28 "HV", 31 ".."
];

/// Those with one, but for #DF, #GP and #PF. Where it should lie is what follows it:
/// the place is taken for the error code, and CS for the place.
pub(super) const INTERRUPTS_WITHOUT_ERROR: &[Case] = interrupts![
    ", error {place}, at 0x10",
    10 "TS", 11 "NP", 12 "SS", 17 "AC", 21 "CP", 29 "VC", 30 "SX"
];

/// All others.
pub(super) const CASES: &[Case] = &[
    raised(
        DEFAULTS,
        "exception-divide",
        &[(When::Hashing, DIVIDE)],
        report!("0 #DE, error 0x0, at purgatory_start+{verify+4}"),
    ),
    raised(
        DEFAULTS,
        "exception-protection",
        &[(When::Hashing, SELECTOR)],
        report!("13 #GP, error 0x50, at purgatory_start+{verify+5}"),
    ),
    raised(
        DEFAULTS,
        "exception-page-written",
        &[(When::Hashing, WRITE)],
        report!("14 #PF, error 0x2, at purgatory_start+{verify+10}, address 0x7123456780"),
    ),
    raised(
        DEFAULTS,
        "exception-jump-out-of-the-blob",
        &[(When::Hashing, JUMP)],
        report!("14 #PF, error 0x10, at 0x7123456780, address 0x7123456780"),
    ),
    Case {
        name: "exception-region-that-is-not-mapped",
        damage: Damage::Unmapped,
        ..raised(
            DEFAULTS,
            "",
            &[],
            concat!(
                "purgatory: exception 14 #PF, error 0x0, at purgatory_start+{offset}, ",
                "address 0x7000000000\n",
                include_str!("../../../../golden/registers.txt"),
                "  region 0 0x7000000000 0x2000\n",
                "{ending}\n"
            ),
        )
    },
    raised(
        DEFAULTS,
        "exception-double-fault-by-bad-stack",
        &[(When::Hashing, STACK)],
        include_str!("../../../../golden/double-fault.txt"),
    ),
    raised(
        DEFAULTS,
        "exception-double-fault-survives-nmi",
        &[
            (When::Hashing, STACK),
            (When::Faulted, Act::Nmi),
            (When::Opening, Act::Nmi),
        ],
        include_str!("../../../../golden/double-fault.txt"),
    ),
    Case {
        flags: MACHINE_CHECKS,
        ..raised(
            DEFAULTS,
            "exception-machine-check",
            &[(When::Hashing, MACHINE_CHECK)],
            report!("18 #MC, error 0x0, at purgatory_start+{offset}"),
        )
    },
    raised(
        DEFAULTS,
        "exception-machine-check-on-a-bad-stack",
        &[(When::Hashing, CHECK_WITHOUT_STACK)],
        report!("18 #MC, error 0x0, at purgatory_start+{verify+12}"),
    ),
    Case {
        name: "nmi-is-counted-and-the-boot-goes-on",
        every_state: true,
        acts: &[(When::Hashing, Act::Nmi)],
        ..INTACT
    },
];
