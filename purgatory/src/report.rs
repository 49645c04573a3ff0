// SPDX-License-Identifier: MIT OR Apache-2.0
//! Says what went wrong, and how it goes.
//!
//! A refusal fits on one screen of 80 by 25: the verdict, both digests, every
//! region, and, after all that cannot fail, a fingerprint of each region, so
//! that a tool that knows what was loaded can name the one that differs. What was
//! found out stands in the status record by then, and is read from there. Lines of
//! detail begin with the line break, so that each can be the last.

use crate::{
    abi::{Config, Digest, EXPECTED_DIGEST, Exported},
    arch::{self, Usable},
    console,
    memory::{self, Claim, Flaw},
    print::{SIXTEEN, backend, number, print, say, text},
    sha256::{Sha256, equal},
    status::STATUS,
    texts::Text,
    verify::Refusal,
};

/// Reports that the image must not be started, and why.
pub(crate) fn refused(refusal: Refusal) {
    console::open(Config::CONSOLES);
    say!(Refused);
    match refusal {
        Refusal::BadRegion { index, flaw } => {
            say!(BadRegion, index.into());
            text(match flaw {
                Flaw::StartsAtZero => Text::StartsAtZero,
                Flaw::Wraps => Text::Wraps,
                Flaw::TooHigh => Text::TooHigh,
                Flaw::Ours => Text::Ours,
            });
        }
        Refusal::EntryAstray(address) => say!(EntryAstray, address),
        Refusal::ArgumentAstray(address) => say!(ArgumentAstray, address),
        Refusal::Mismatch | Refusal::TableWiped => {
            text(if matches!(refusal, Refusal::Mismatch) {
                Text::Mismatch
            } else {
                Text::TableWiped
            });
            digest(Text::Computed, &STATUS.digest);
            digest(Text::Expected, EXPECTED_DIGEST.cell());
        }
    }
    say!(
        Effort,
        backend(STATUS.backend.read()),
        STATUS.bytes.read(),
        STATUS.cycles.read()
    );
    if STATUS.doubted.read() != 0 {
        doubted();
    }
    regions();
    say!(NewLine);
}

/// Tells whether both backends that hashed found the same.
#[inline(never)]
pub(crate) fn agree() -> bool {
    equal(&STATUS.doubted_digest.load(), &STATUS.digest.load())
}

/// Reports that an image is started against the word of a backend.
pub(crate) fn overruled() {
    // The screen belongs to the next kernel.
    console::open(!Config::CONSOLE_FRAMEBUFFER);
    say!(Overruled);
    doubted();
    say!(NewLine);
}

/// Says what the backend found whose word was not taken.
#[inline(never)]
fn doubted() {
    let name = backend(STATUS.doubted.read());
    if agree() {
        return say!(Agrees, name);
    }
    say!(Doubted, name);
    if equal(&STATUS.doubted_digest.load(), &[0; 4]) {
        say!(DoubtedFault);
    } else {
        digest(Text::DoubtedDigest, &STATUS.doubted_digest);
    }
}

/// Reports that our own bytes are not those that were built.
pub(crate) fn damaged() {
    console::open(Config::CONSOLES);
    say!(Damaged);
}

/// Reports that the purgatory's own stack ran over.
pub(crate) fn overflowed() {
    console::open(Config::CONSOLES);
    say!(Overflowed);
}

/// Names the claims of the loader that include an address.
pub(crate) fn claims_around(address: u64) {
    memory::loaded_image()
        .claims()
        .filter(|claim| claim.region().holds(address))
        .for_each(describe);
}

/// Announces what the machine does next: halt, or reset after some seconds.
pub(crate) fn ending(resets: bool, delay: u32) {
    if !resets {
        say!(Halted);
    } else if delay == 0 {
        say!(Resetting);
    } else {
        say!(ResettingIn, delay.into());
    }
}

#[inline(never)]
fn digest(text: Text, digest: &Exported<Digest>) {
    let mut words = digest.load();
    for word in &mut words {
        *word = u64::from_be(*word);
    }
    print(text, &words);
}

/// Lists the regions in use, then their fingerprints, four a line: the first 4
/// bytes of a region's own SHA-256.
fn regions() {
    let image = memory::loaded_image();
    image.claims().for_each(describe);
    image.claims().enumerate().for_each(|(column, claim)| {
        if column.is_multiple_of(4) {
            say!(Fingerprints);
        }
        say!(Fingerprint, claim.index.into());
        if let Some(memory) = claim.readable() {
            // No other backend: one that faults here would be the end of the report.
            let mut hash = Sha256::new(Usable::PORTABLE);
            hash.update(memory);
            let [first, ..] = hash.finish();
            number(u64::from_be(first) >> 32, SIXTEEN, 8);
        } else {
            say!(Unreadable);
        }
    });
}

#[expect(clippy::needless_pass_by_value, reason = "an action on claims")]
#[inline(never)]
fn describe(claim: Claim<'_>) {
    let region = claim.region();
    say!(Region, claim.index.into(), region.start, region.len);
}

/// Ticks of the clock in a microsecond; 0 where that cannot be told.
static RATE: Exported<u64> = Exported::new(0);
/// When the next line on progress is due; 0 never.
static DUE: Exported<u64> = Exported::new(0);
/// The clock when it was last looked at.
static LAST: Exported<u64> = Exported::new(0);

/// Checks that take less are not worth a line in between, in us.
const SHORT: u64 = 2_000_000;
/// From one line to the next, in us.
const INTERVAL: u64 = 1_000_000;

/// Says on these consoles that the purgatory was entered.
pub(crate) fn begin(consoles: u32) {
    console::open(consoles);
    say!(Verifying);
    if let Some(rate) = arch::cycles_per_microsecond() {
        RATE.write(rate);
        due_in(arch::cycles(), SHORT);
    }
}

/// Looks at the clock; returns how long ago it last did.
pub(crate) fn time_passes() -> u64 {
    let now = arch::cycles();
    now.wrapping_sub(LAST.replace(now))
}

/// Notes what was done until now; says about once a second how many bytes, if
/// [`begin`] spoke, too.
pub(crate) fn progress(bytes: u64) {
    let passed = time_passes();
    STATUS.bytes.write(bytes);
    STATUS
        .cycles
        .write(STATUS.cycles.read().wrapping_add(passed));
    let (due, now) = (DUE.read(), LAST.read());
    if due != 0 && now > due {
        say!(Progress, bytes >> 20);
        due_in(now, INTERVAL);
    }
}

fn due_in(now: u64, microseconds: u64) {
    let span = RATE.read().wrapping_mul(microseconds);
    DUE.write(now.wrapping_add(span));
}

/// Says what was verified, how fast, and where it is entered; and what did not work.
pub(crate) fn end() {
    let bytes = STATUS.bytes.read();
    let cycles = STATUS.cycles.read();
    say!(Verified, bytes, backend(STATUS.backend.read()));
    if let Some(time) = cycles.checked_div(RATE.read()) {
        // Bytes in a microsecond are megabytes in a second.
        let speed = bytes.checked_div(time).unwrap_or(0);
        say!(Speed, time / 1000, speed);
    } else {
        say!(Cycles, cycles);
    }
    say!(Entering, arch::handoff().entry);
    let nmis = STATUS.nmis.read();
    if nmis > 0 {
        say!(Nmis, nmis);
    }
    let suspects = STATUS.suspects.read();
    if suspects > 0 {
        say!(Suspects, suspects.into());
    }
}
