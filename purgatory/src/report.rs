//! Says what went wrong, and how it goes.
//!
//! A refusal fits on one screen of 80 by 25: the verdict, both digests, every
//! region, and, after all that cannot fail, a fingerprint of each region, so
//! that a tool that knows what was loaded can name the one that differs.

use crate::{
    abi::{self, EXPECTED_DIGEST, Exported},
    arch,
    console::{bytes, decimal, hex, hex_digits, text},
    memory::{Claim, Flaw},
    sha256::{Backend, Sha256},
    status::STATUS,
    verify::{Refusal, Verified},
};

/// Digits of a fingerprint: the first 4 bytes of a region's own SHA-256.
const FINGERPRINT: usize = 4;

/// Reports that the image must not be started, and why.
pub fn refused(refusal: &Refusal, backend: Backend) {
    arch::open_console();
    text("purgatory: refused: ");
    match *refusal {
        Refusal::Mismatch { computed, .. } => {
            text("sha256 mismatch\n");
            digests(&computed);
        }
        Refusal::TableWiped { computed } => {
            text("region table wiped\n");
            digests(&computed);
        }
        Refusal::BadRegion { index, flaw } => {
            text("region ");
            decimal(index.into());
            text(" cannot be memory: ");
            text(match flaw {
                Flaw::StartsAtZero => "it starts at 0\n",
                Flaw::Wraps => "start + length wraps\n",
                Flaw::TooHigh => "it ends above any address\n",
            });
        }
    }
    measured(backend);
    regions(backend);
}

/// Reports that the purgatory's own stack ran over.
pub fn overflowed() {
    arch::open_console();
    text("purgatory: refused: its own stack overflowed\n");
}

/// What is known of an exception.
pub struct Exception<'a> {
    /// Its vector.
    pub vector: u64,
    /// Mnemonics of the architecture's exceptions, two letters each, by vector.
    pub mnemonics: &'a str,
    /// Its error code.
    pub error: u64,
    /// Where it happened.
    pub place: u64,
    /// Where the blob was loaded.
    pub base: u64,
    /// The address it was about, if it was about one.
    pub address: Option<u64>,
    /// Names of the registers, three letters each, in the order of `registers`
    /// and then of `others`.
    pub names: &'a str,
    /// The general registers.
    pub registers: &'a [u64],
    /// What else is worth showing.
    pub others: &'a [u64],
}

/// No blob is larger; what lies further from its start is somewhere else.
const LARGEST: u64 = 1 << 20;

/// Reports an exception that ends the trip.
pub fn exception(exception: &Exception<'_>) {
    arch::open_console();
    text("purgatory: exception ");
    decimal(exception.vector);
    text(" #");
    text(entry(exception.mnemonics, 2, exception.vector));
    text(", error ");
    hex(exception.error);
    text(", at ");
    let offset = exception.place.wrapping_sub(exception.base);
    if offset < LARGEST {
        text("purgatory_start+");
        hex(offset);
    } else {
        hex(exception.place);
    }
    if let Some(address) = exception.address {
        text(", address ");
        hex(address);
    }
    for (index, value) in (0..).zip(exception.registers.iter().chain(exception.others)) {
        text(if index % 3 == 0 { "\n  " } else { "  " });
        text(entry(exception.names, 3, index));
        text(" ");
        hex_digits(*value, 16);
    }
    text("\n");
    // Which claim of the loader led there.
    for claim in abi::loaded_image().claims() {
        let region = claim.region();
        if exception
            .address
            .is_some_and(|address| address.wrapping_sub(region.start) < region.len)
        {
            describe(&claim);
        }
    }
}

/// Announces what the machine does next: halt, or reset after some seconds.
pub fn ending(reset_after: Option<u32>) {
    text("purgatory: ");
    text(match reset_after {
        None => "halted",
        Some(_) => "resetting",
    });
    if let Some(seconds @ 1..) = reset_after {
        text(" in ");
        decimal(seconds.into());
        text(" s");
    }
    text("\n");
}

/// Returns an entry of a table of strings of the same width.
fn entry(table: &str, width: usize, index: u64) -> &str {
    let start = usize::try_from(index).map_or(usize::MAX, |index| index.wrapping_mul(width));
    table.get(start..start.saturating_add(width)).unwrap_or("?")
}

fn digests(computed: &abi::Digest) {
    text("  computed ");
    bytes(computed);
    text("\n  expected ");
    bytes(&EXPECTED_DIGEST.read());
    text("\n");
}

fn measured(backend: Backend) {
    text("  ");
    text(backend.name());
    text(", ");
    decimal(STATUS.bytes.read());
    text(" bytes, ");
    decimal(STATUS.cycles.read());
    text(" cycles\n");
}

/// Lists the regions in use, then their fingerprints, four a line.
fn regions(backend: Backend) {
    let image = abi::loaded_image();
    for claim in image.claims() {
        describe(&claim);
    }
    let mut column = 0;
    for claim in image.claims() {
        text(if column % 4 == 0 { "  sha256" } else { "" });
        text(" ");
        decimal(claim.index.into());
        text(" ");
        let mut digest = None;
        arch::guarded(|| {
            let mut hash = Sha256::new(backend);
            if let Some(memory) = claim.memory() {
                hash.update(memory);
                digest = Some(hash.finish());
            }
        });
        match digest.as_ref().and_then(|digest| digest.get(..FINGERPRINT)) {
            Some(fingerprint) => bytes(fingerprint),
            None => text("unreadable"),
        }
        column = 1_u32.wrapping_add(column);
        text(if column % 4 == 0 { "\n" } else { "" });
    }
    text(if column % 4 == 0 { "" } else { "\n" });
}

fn describe(claim: &Claim<'_>) {
    let region = claim.region();
    text("  region ");
    decimal(claim.index.into());
    text(" ");
    hex(region.start);
    text(" ");
    hex(region.len);
    text("\n");
}

/// Ticks of the clock in a microsecond, 0 where that cannot be told.
static RATE: Exported<u64> = Exported::new(0);
/// When the check began, and when it was last spoken of.
static BEGAN: Exported<u64> = Exported::new(0);
static SPOKE: Exported<u64> = Exported::new(0);

/// Checks that take less are not worth a line in between, in us.
const SHORT: u64 = 2_000_000;
/// From one line to the next, in us.
const INTERVAL: u64 = 1_000_000;

/// Says that the purgatory was entered.
pub fn begin() {
    arch::open_console();
    text("purgatory: verifying\n");
    RATE.write(arch::cycles_per_microsecond().unwrap_or(0));
    let now = arch::cycles();
    BEGAN.write(now);
    SPOKE.write(now);
}

/// Says about once a second how many bytes are done.
pub fn progress(bytes: u64) {
    let now = arch::cycles();
    let since = |moment: &Exported<u64>| microseconds(now.wrapping_sub(moment.read()));
    if since(&BEGAN) > Some(SHORT) && since(&SPOKE) > Some(INTERVAL) {
        SPOKE.write(now);
        text("purgatory: ");
        decimal(bytes >> 20);
        text(" MiB verified\n");
    }
}

/// Says what was verified, and how fast.
pub fn end(verified: &Verified, backend: Backend) {
    text("purgatory: verified ");
    decimal(verified.bytes);
    text(" bytes with ");
    text(backend.name());
    text(" in ");
    let cycles = STATUS.cycles.read();
    if let Some(time) = microseconds(cycles) {
        decimal(time / 1000);
        text(" ms, ");
        // Bytes in a microsecond are megabytes in a second.
        decimal(verified.bytes.checked_div(time).unwrap_or(0));
        text(" MB/s\n");
    } else {
        decimal(cycles);
        text(" cycles\n");
    }
    let nmis = STATUS.nmis.read();
    if nmis > 0 {
        text("purgatory: NMIs: ");
        decimal(nmis);
        text("\n");
    }
}

fn microseconds(cycles: u64) -> Option<u64> {
    cycles.checked_div(RATE.read())
}
