// SPDX-License-Identifier: MIT OR Apache-2.0
//! Says what went wrong, and how it goes.
//!
//! A refusal fits on one screen of 80 by 25: the verdict, both digests, every
//! region, and, after all that cannot fail, a fingerprint of each region, so
//! that a tool that knows what was loaded can name the one that differs. What was
//! found out stands in the status record by then, and is read from there. Lines of
//! detail begin with the line break, so that each can be the last.

use crate::{
    abi::{Backend, Digest, EXPECTED_DIGEST, Exported},
    arch::{self, Usable},
    console,
    memory::{self, Claim, Flaw},
    print::{HEXADECIMAL, letters, number, print, say, text},
    sha256::Sha256,
    status::STATUS,
    verify::{Refusal, equal},
};

/// Reports that the image must not be started, and why.
pub(crate) fn refused(refusal: Refusal) {
    console::open();
    text("purgatory: refused: ");
    match refusal {
        Refusal::BadRegion { index, flaw } => {
            say!("region %u cannot be memory: ", index.into());
            text(match flaw {
                Flaw::StartsAtZero => "it starts at 0",
                Flaw::Wraps => "start + length wraps",
                Flaw::TooHigh => "it ends above any address",
                Flaw::Ours => "it is the purgatory's own",
            });
        }
        Refusal::EntryAstray(address) => astray("entry", address),
        Refusal::ArgumentAstray(address) => astray("argument", address),
        Refusal::Mismatch | Refusal::TableWiped => {
            text(if matches!(refusal, Refusal::Mismatch) {
                "sha256 mismatch"
            } else {
                "region table wiped"
            });
            digest("\n  computed %w%w%w%w", &STATUS.digest.load());
            digest("\n  expected %w%w%w%w", &EXPECTED_DIGEST.load());
        }
    }
    say!(
        "\n  %s, %u bytes, %u cycles",
        name(STATUS.backend.read()),
        STATUS.bytes.read(),
        STATUS.cycles.read()
    );
    if STATUS.doubted.read() != 0 {
        doubted();
    }
    regions();
    text("\n");
}

/// Tells whether both backends that hashed found the same.
#[inline(never)]
pub(crate) fn agree() -> bool {
    equal(&STATUS.doubted_digest.load(), &STATUS.digest.load())
}

/// Reports that an image is started against the word of a backend.
pub(crate) fn overruled() {
    console::open();
    text("purgatory: verified, by portable code only");
    doubted();
    text("\n");
}

/// Says what the backend found whose word was not taken.
#[inline(never)]
fn doubted() {
    let name = name(STATUS.doubted.read());
    if agree() {
        return say!("; %s agrees", name);
    }
    say!("\n  %s ", name);
    if equal(&STATUS.doubted_digest.load(), &[0; 4]) {
        text("ended in an exception");
    } else {
        digest("computed %w%w%w%w", &STATUS.doubted_digest.load());
    }
}

/// Says which part of the register image leads nowhere.
#[inline(never)]
fn astray(what: &str, address: u64) {
    text("the next kernel's ");
    text(what);
    say!(" 0x%x is in no region", address);
}

/// Reports that our own bytes are not those that were built.
pub(crate) fn damaged() {
    console::open();
    text("purgatory: refused: its own code is damaged\n");
}

/// Reports that the purgatory's own stack ran over.
pub(crate) fn overflowed() {
    console::open();
    text("purgatory: refused: its own stack overflowed\n");
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
        text("purgatory: halted\n");
    } else if delay == 0 {
        text("purgatory: resetting\n");
    } else {
        say!("purgatory: resetting in %u s\n", delay.into());
    }
}

#[inline(never)]
fn digest(format: &str, digest: &Digest) {
    print(format, &digest.map(u64::from_be));
}

/// Lists the regions in use, then their fingerprints, four a line: the first 4
/// bytes of a region's own SHA-256.
fn regions() {
    let image = memory::loaded_image();
    image.claims().for_each(describe);
    image.claims().enumerate().for_each(|(column, claim)| {
        text(if column.is_multiple_of(4) {
            "\n  sha256"
        } else {
            ""
        });
        say!(" %u ", claim.index.into());
        if let Some(memory) = claim.readable() {
            // No other backend: one that faults here would be the end of the report.
            let mut hash = Sha256::new(Usable::PORTABLE);
            hash.update(memory);
            let [first, ..] = hash.finish();
            number(u64::from_be(first) >> 32, HEXADECIMAL, 8);
        } else {
            text("unreadable");
        }
    });
}

#[expect(clippy::needless_pass_by_value, reason = "an action on claims")]
#[inline(never)]
fn describe(claim: Claim<'_>) {
    let region = claim.region();
    say!(
        "\n  region %u 0x%x 0x%x",
        claim.index.into(),
        region.start,
        region.len
    );
}

fn name(number: u32) -> u64 {
    let known = arch::BACKENDS.iter().find(|known| known.number() == number);
    match known.unwrap_or(&Backend::Portable) {
        Backend::Portable => const { letters(Backend::Portable.name()) },
        Backend::ShaNi => const { letters(Backend::ShaNi.name()) },
        Backend::Sse2 => const { letters(Backend::Sse2.name()) },
        Backend::Zknh => const { letters(Backend::Zknh.name()) },
        Backend::Zvknh => const { letters(Backend::Zvknh.name()) },
    }
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

/// Says that the purgatory was entered.
pub(crate) fn begin() {
    console::open();
    text("purgatory: verifying\n");
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
        say!("purgatory: %u MiB verified\n", bytes >> 20);
        due_in(now, INTERVAL);
    }
}

fn due_in(now: u64, microseconds: u64) {
    let span = RATE.read().wrapping_mul(microseconds);
    DUE.write(now.wrapping_add(span));
}

/// Says what was verified, and how fast; and what did not work.
pub(crate) fn end() {
    let bytes = STATUS.bytes.read();
    let cycles = STATUS.cycles.read();
    say!(
        "purgatory: verified %u bytes with %s in ",
        bytes,
        name(STATUS.backend.read())
    );
    if let Some(time) = cycles.checked_div(RATE.read()) {
        // Bytes in a microsecond are megabytes in a second.
        let speed = bytes.checked_div(time).unwrap_or(0);
        say!("%u ms, %u MB/s\n", time / 1000, speed);
    } else {
        say!("%u cycles\n", cycles);
    }
    let nmis = STATUS.nmis.read();
    if nmis > 0 {
        say!("purgatory: NMIs: %u\n", nmis);
    }
    let suspects = STATUS.suspects.read();
    if suspects > 0 {
        say!(
            "purgatory: backends that do not work: 0x%x\n",
            suspects.into()
        );
    }
}
