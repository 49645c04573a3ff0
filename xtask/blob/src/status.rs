//! `purgatory_status` in words.

use std::{fmt, mem::offset_of};

use purgatory::{
    sha256::Backend,
    status::{Phase, Status},
};

use crate::{arch::x86_64::causes as exception, manifest::hex, record::field};

/// Bytes of a record.
pub const SIZE: usize = size_of::<Status>();
/// A record as it lies in memory.
pub type Record = [u8; SIZE];

/// Tells whether it has the layout that this tool knows.
#[must_use]
pub fn fits(record: &Record) -> bool {
    let word = |offset| u32::from_le_bytes(field(record, offset));
    word(offset_of!(Status, version)) == Status::VERSION
        && word(offset_of!(Status, size)) as usize == SIZE
}

/// A record in words.
pub struct Words<'a>(pub &'a Record);

impl fmt::Display for Words<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |offset| u32::from_le_bytes(field(self.0, offset));
        let long = |offset| u64::from_le_bytes(field(self.0, offset));
        let version = word(offset_of!(Status, version));
        let size = word(offset_of!(Status, size));
        if !fits(self.0) {
            return write!(
                formatter,
                ": not one that this tool reads (version {version}, {size} bytes)"
            );
        }
        let phase = word(offset_of!(Status, phase));
        let is = |known: Phase| phase == known.number();
        let words = match phase {
            _ if is(Phase::Entered) => "entered",
            _ if is(Phase::Verifying) => "verifying",
            _ if is(Phase::Leaving) => "verified, on its way to the next kernel",
            _ if is(Phase::Refused) => "refused",
            _ if is(Phase::Faulted) => "ended by an exception",
            _ => "unknown",
        };
        write!(formatter, "\n  phase      {words}")?;
        let verdict = word(offset_of!(Status, verdict));
        write!(formatter, "\n  verdict    {}", meaning(verdict))?;
        if verdict == 5 {
            write!(formatter, ": region {}", word(offset_of!(Status, region)))?;
        }
        let backend = Backend::from_number(word(offset_of!(Status, backend)));
        let backend = backend.map_or("none yet", Backend::name);
        write!(formatter, "\n  backend    {backend}")?;
        let bytes = long(offset_of!(Status, bytes));
        let cycles = long(offset_of!(Status, cycles));
        write!(formatter, "\n  hashed     {bytes} bytes in {cycles} cycles")?;
        let digest: [u8; 32] = field(self.0, offset_of!(Status, digest));
        if digest != [0; 32] {
            write!(formatter, "\n  digest     {}", hex(&digest))?;
        }
        write!(
            formatter,
            "\n  NMIs       {}",
            long(offset_of!(Status, nmis))
        )?;
        if is(Phase::Faulted) {
            let vector = long(offset_of!(Status, vector));
            let exception = exception::describe(vector);
            write!(
                formatter,
                "\n  exception  {vector} #{} ({}), error {:#x}\n  rip        {:#x}\n  cr2        {:#x}",
                exception.mnemonic,
                exception.name,
                long(offset_of!(Status, error)),
                long(offset_of!(Status, rip)),
                long(offset_of!(Status, cr2)),
            )?;
        }
        Ok(())
    }
}

/// Says what a verdict of the status record means.
#[must_use]
pub const fn meaning(verdict: u32) -> &'static str {
    match verdict {
        1 => "match",
        2 => "nothing to check",
        3 => "sha256 mismatch",
        4 => "region table wiped",
        5 => "bad region",
        6 => "exception",
        7 => "stack overflow",
        _ => "none",
    }
}
