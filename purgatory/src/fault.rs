// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens when something goes wrong while we run, on any machine.

use crate::{
    Ending,
    abi::Exported,
    act,
    arch::{self, CAUSES, REGISTERS},
    console, finish,
    print::{say, text},
    report,
    status::STATUS,
};

/// An exception that nobody waited for.
pub(crate) struct Fault<'a> {
    /// What it was: its number, as in [`CAUSES`].
    pub(crate) cause: u64,
    /// Its error code.
    pub(crate) code: u64,
    /// Where it happened.
    pub(crate) at: u64,
    /// The address it was about, if it was about one.
    pub(crate) address: Option<u64>,
    /// The registers, in the order of [`REGISTERS`].
    pub(crate) registers: &'a [u64],
}

/// Exceptions that were on their way to end the trip.
static FATAL: Exported<u32> = Exported::new(0);
/// No blob is larger; what lies further from its start is somewhere else.
const LARGEST: u64 = 1 << 20;

/// Ends the trip.
pub(crate) fn fatal(fault: &Fault<'_>) -> ! {
    let earlier = FATAL.read();
    FATAL.write(earlier.wrapping_add(1));
    match earlier {
        // The second is one in the report on the first.
        0 | 1 => report(fault, earlier),
        // No more words: do what was asked for.
        2 => act(Ending::Exception),
        _ => arch::halt(),
    }
}

fn report(fault: &Fault<'_>, earlier: u32) -> ! {
    let Fault {
        cause, code, at, ..
    } = *fault;
    let address = fault.address.unwrap_or_default();
    if earlier == 0 {
        STATUS.faulted(cause, code, at, address);
    } else {
        text("\n");
    }
    console::open();
    let index = usize::try_from(cause).unwrap_or(usize::MAX);
    let name = CAUSES.get(index).copied().unwrap_or_default();
    say!(
        "purgatory: exception %u %s, error 0x%x, at ",
        cause,
        u32::from_le_bytes(name).into(),
        code
    );
    let offset = at.wrapping_sub(arch::own().start);
    if offset < LARGEST {
        say!("purgatory_start+0x%x", offset);
    } else {
        say!("0x%x", at);
    }
    if fault.address.is_some() {
        say!(", address 0x%x", address);
    }
    let named = REGISTERS.iter().zip(fault.registers);
    let named = named.filter(|(name, _)| **name != [0; 4]);
    for (index, (name, value)) in named.enumerate() {
        // Three on a line.
        text(if index.is_multiple_of(3) {
            "\n  "
        } else {
            "  "
        });
        say!("%s%w", u32::from_le_bytes(*name).into(), *value);
    }
    if fault.address.is_some() {
        report::claims_around(address);
    }
    text("\n");
    finish(Ending::Exception)
}
