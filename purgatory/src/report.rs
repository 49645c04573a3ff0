//! Says what went wrong, and how it goes.
//!
//! A refusal fits on one screen of 80 by 25: the verdict, both digests, every
//! region, and, after all that cannot fail, a fingerprint of each region, so
//! that a tool that knows what was loaded can name the one that differs.

use crate::{
    abi::{self, CONFIG, EXPECTED_DIGEST, REGIONS},
    arch,
    console::{bytes, decimal, hex, hex_digits, text},
    memory::Flaw,
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
            decimal(crate::memory::wide(index));
            text(match flaw {
                Flaw::StartsAtZero => " starts at address 0\n",
                Flaw::TooHigh => " ends beyond the last address\n",
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
    /// Its error code.
    pub error: u64,
    /// Where it happened, as an offset into the blob.
    pub offset: u64,
    /// The address it was about.
    pub address: u64,
    /// Names of the general registers, two letters each, in the order of `registers`.
    pub names: &'a str,
    /// The general registers.
    pub registers: &'a [u64],
    /// Mnemonics of the architecture's exceptions, two letters each, by vector.
    pub mnemonics: &'a str,
}

/// Reports an exception that ends the trip.
pub fn exception(exception: &Exception<'_>) {
    arch::open_console();
    text("purgatory: exception ");
    decimal(exception.vector);
    text(" #");
    text(pair(exception.mnemonics, exception.vector));
    text(", error ");
    hex(exception.error);
    text(", at purgatory_start+");
    hex(exception.offset);
    text(", address ");
    hex(exception.address);
    for (index, value) in (0..).zip(exception.registers) {
        text(if index % 4 == 0 { "\n  " } else { "  " });
        text(pair(exception.names, index));
        text(" ");
        hex_digits(*value, 16);
    }
    text("\n");
}

/// Announces what the machine does next.
pub fn ending(what: &str) {
    text("purgatory: ");
    text(what);
    text("\n");
}

fn pair(table: &str, index: u64) -> &str {
    let start = usize::try_from(index.wrapping_mul(2)).unwrap_or(usize::MAX);
    table.get(start..start.saturating_add(2)).unwrap_or("??")
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
    let regions = REGIONS.read();
    let used = || (0..).zip(&regions).filter(|(_, region)| region.len != 0);
    for (index, region) in used() {
        text("  region ");
        decimal(index);
        text(" ");
        hex(region.start);
        text(" ");
        hex(region.len);
        text("\n");
    }
    let image = abi::loaded_image();
    let mut column = 0;
    for ((index, region), slice) in (0..).zip(&regions).zip(image.slices()) {
        if region.len == 0 {
            continue;
        }
        text(if column % 4 == 0 { "  sha256" } else { "" });
        text(" ");
        decimal(index);
        text(" ");
        let mut digest = None;
        arch::guarded(|| {
            let mut hash = Sha256::new(backend);
            if let Ok(slice) = slice {
                hash.update(slice);
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

/// Tells how a check goes, where that was asked for.
pub struct Progress {
    cycles_per_microsecond: Option<u64>,
    start: u64,
    last: u64,
}

/// Checks that take less are not worth a line in between, in us.
const SHORT: u64 = 2_000_000;
/// From one line to the next, in us.
const INTERVAL: u64 = 1_000_000;

impl Progress {
    /// Says that the purgatory was entered; `None` if nobody wants to know.
    pub fn begin() -> Option<Self> {
        if CONFIG.read().verbosity == 0 {
            return None;
        }
        arch::open_console();
        text("purgatory: verifying\n");
        let now = arch::cycles();
        Some(Self {
            cycles_per_microsecond: arch::cycles_per_microsecond(),
            start: now,
            last: now,
        })
    }

    /// Says how many bytes are done, about once a second.
    pub fn hashed(&mut self, bytes: u64) {
        let now = arch::cycles();
        let since = |moment: u64| self.microseconds(now.wrapping_sub(moment)).unwrap_or(0);
        if since(self.start) > SHORT && since(self.last) > INTERVAL {
            self.last = now;
            text("purgatory: ");
            decimal(bytes >> 20);
            text(" MiB verified\n");
        }
    }

    /// Says what was verified, and how fast.
    pub fn end(&self, verified: &Verified, backend: Backend) {
        text("purgatory: verified ");
        decimal(verified.bytes);
        text(" bytes with ");
        text(backend.name());
        let cycles = STATUS.cycles.read();
        match self.microseconds(cycles) {
            Some(time) => {
                text(" in ");
                decimal(time / 1000);
                text(" ms, ");
                // Bytes in a microsecond are megabytes in a second.
                decimal(verified.bytes.checked_div(time).unwrap_or(0));
                text(" MB/s\n");
            }
            None => {
                text(" in ");
                decimal(cycles);
                text(" cycles\n");
            }
        }
    }

    fn microseconds(&self, cycles: u64) -> Option<u64> {
        cycles.checked_div(self.cycles_per_microsecond?)
    }
}
