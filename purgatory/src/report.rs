//! Says what went wrong, and how it goes.
//!
//! A refusal fits on one screen of 80 by 25: the verdict, both digests, every
//! region, and, after all that cannot fail, a fingerprint of each region, so
//! that a tool that knows what was loaded can name the one that differs. What was
//! found out stands in the status record by then, and is read from there. Lines of
//! detail begin with the line break, so that each can be the last.

use crate::{
    abi::{self, CONFIG, Digest, EXPECTED_DIGEST, Exported},
    arch,
    console::{HEXADECIMAL, letters, number, print, say, text},
    memory::{Claim, Flaw},
    sha256::{Backend, Sha256},
    status::STATUS,
    verify::Refusal,
};

/// Reports that the image must not be started, and why.
pub fn refused(refusal: Refusal, backend: Backend) {
    arch::open_console();
    text("purgatory: refused: ");
    if let Refusal::BadRegion { index, flaw } = refusal {
        say!("region %u cannot be memory: ", index.into());
        text(match flaw {
            Flaw::StartsAtZero => "it starts at 0",
            Flaw::Wraps => "start + length wraps",
            Flaw::TooHigh => "it ends above any address",
        });
    } else {
        text(match refusal {
            Refusal::TableWiped => "region table wiped",
            _ => "sha256 mismatch",
        });
        digest("\n  computed %w%w%w%w", &STATUS.digest);
        digest("\n  expected %w%w%w%w", &EXPECTED_DIGEST);
    }
    say!(
        "\n  %s, %u bytes, %u cycles",
        name(backend),
        STATUS.bytes.read(),
        STATUS.cycles.read()
    );
    regions(backend);
    text("\n");
}

/// Reports that the purgatory's own stack ran over.
pub fn overflowed() {
    arch::open_console();
    text("purgatory: refused: its own stack overflowed\n");
}

/// Names the claims of the loader that include an address.
pub fn claims_around(address: u64) {
    abi::loaded_image()
        .claims()
        .filter(|claim| address.wrapping_sub(claim.region().start) < claim.region().len)
        .for_each(describe);
}

/// Announces what the machine does next: halt, or reset after some seconds.
pub fn ending() {
    let delay = CONFIG.delay.read();
    if !CONFIG.resets() {
        text("purgatory: halted\n");
    } else if delay == 0 {
        text("purgatory: resetting\n");
    } else {
        say!("purgatory: resetting in %u s\n", delay.into());
    }
}

#[inline(never)]
fn digest(format: &str, digest: &Exported<Digest>) {
    print(format, &digest.read().map(u64::from_be));
}

/// Lists the regions in use, then their fingerprints, four a line: the first 4
/// bytes of a region's own SHA-256.
fn regions(backend: Backend) {
    let image = abi::loaded_image();
    image.claims().for_each(describe);
    image.claims().enumerate().for_each(|(column, claim)| {
        text(if column.is_multiple_of(4) {
            "\n  sha256"
        } else {
            ""
        });
        say!(" %u ", claim.index.into());
        let mut fingerprint = None;
        arch::guarded(|| {
            if let Some(memory) = claim.memory() {
                let mut hash = Sha256::new(backend);
                hash.update(memory);
                let [first, ..] = hash.finish();
                fingerprint = Some(u64::from_be(first) >> 32);
            }
        });
        match fingerprint {
            Some(value) => number(value, HEXADECIMAL, 8),
            None => text("unreadable"),
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

const fn name(backend: Backend) -> u64 {
    match backend {
        Backend::Portable => const { letters(Backend::Portable.name()) },
        Backend::Avx2 => const { letters(Backend::Avx2.name()) },
        Backend::ShaNi => const { letters(Backend::ShaNi.name()) },
    }
}

/// Ticks of the clock in a microsecond; 0 where that cannot be told.
static RATE: Exported<u64> = Exported::new(0);
/// When the next line on progress is due; 0 never.
static DUE: Exported<u64> = Exported::new(0);

/// Checks that take less are not worth a line in between, in us.
const SHORT: u64 = 2_000_000;
/// From one line to the next, in us.
const INTERVAL: u64 = 1_000_000;

/// Says that the purgatory was entered.
pub fn begin() {
    arch::open_console();
    text("purgatory: verifying\n");
    if let Some(rate) = arch::cycles_per_microsecond() {
        RATE.write(rate);
        due_in(SHORT);
    }
}

/// Says about once a second how many bytes are done, if [`begin`] spoke, too.
pub fn progress(bytes: u64) {
    let due = DUE.read();
    if due != 0 && arch::cycles() > due {
        say!("purgatory: %u MiB verified\n", bytes >> 20);
        due_in(INTERVAL);
    }
}

fn due_in(microseconds: u64) {
    let span = RATE.read().wrapping_mul(microseconds);
    DUE.write(arch::cycles().wrapping_add(span));
}

/// Says what was verified, and how fast.
pub fn end(backend: Backend) {
    let bytes = STATUS.bytes.read();
    let cycles = STATUS.cycles.read();
    say!(
        "purgatory: verified %u bytes with %s in ",
        bytes,
        name(backend)
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
}
