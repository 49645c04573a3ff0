// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens when something goes wrong while we run, on any machine.

use crate::{
    Ending,
    abi::{Config, Exported},
    act,
    arch::{self, REGISTERS},
    console, finish,
    print::{self, say},
    report,
    status::STATUS,
};

/// An exception that nobody waited for.
pub(crate) struct Fault<'a> {
    /// What it was: its number, as in [`arch::CAUSES`].
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

/// A bit for each of [`REGISTERS`] without a name, which is not shown.
const NAMELESS: u64 = {
    let mut bits = 0;
    let mut rest = REGISTERS;
    while let [head @ .., last] = rest {
        bits = bits << 1 | if last.is_empty() { 1 } else { 0 };
        rest = head;
    }
    bits
};

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
        say!(NewLine);
    }
    console::open(Config::CONSOLES);
    say!(Exception, cause, print::cause(cause), code);
    let offset = at.wrapping_sub(arch::own().start);
    if offset < LARGEST {
        say!(InPurgatory, offset);
    } else {
        say!(Elsewhere, at);
    }
    if fault.address.is_some() {
        say!(About, address);
    }
    let named = fault.registers.iter().enumerate();
    let named = named.filter(|(place, _)| NAMELESS >> place & 1 == 0);
    for (column, (place, value)) in named.enumerate() {
        if column.is_multiple_of(3) {
            say!(NewLine);
        }
        say!(Register, print::register(place), *value);
    }
    if fault.address.is_some() {
        report::claims_around(address);
    }
    say!(NewLine);
    finish(Ending::Exception)
}
