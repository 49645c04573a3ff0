//! `purgatory_status` in words.

use std::{fmt, mem::offset_of};

use purgatory::{
    abi::Backend,
    status::{Phase, Status, Verdict},
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
        if verdict == Verdict::BadRegion.number() {
            write!(formatter, ": region {}", word(offset_of!(Status, region)))?;
        }
        let backend = Backend::from_number(word(offset_of!(Status, backend)));
        let backend = backend.map_or("none yet", Backend::name);
        write!(formatter, "\n  backend    {backend}")?;
        let suspects = word(offset_of!(Status, suspects));
        for backend in Backend::ALL {
            if suspects >> backend.number() & 1 != 0 {
                write!(formatter, "\n  broken     {}", backend.name())?;
            }
        }
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
            let vector = long(offset_of!(Status, cause));
            let exception = exception::describe(vector);
            write!(
                formatter,
                "\n  exception  {vector} #{} ({}), error {:#x}\n  rip        {:#x}\n  address    {:#x}",
                exception.mnemonic,
                exception.name,
                long(offset_of!(Status, code)),
                long(offset_of!(Status, at)),
                long(offset_of!(Status, address)),
            )?;
        }
        Ok(())
    }
}

/// Says what a verdict of the status record means.
#[must_use]
pub fn meaning(number: u32) -> &'static str {
    let verdict = Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.number() == number);
    match verdict {
        Some(Verdict::Match) => "match",
        Some(Verdict::Nothing) => "nothing to check",
        Some(Verdict::Mismatch) => "sha256 mismatch",
        Some(Verdict::TableWiped) => "region table wiped",
        Some(Verdict::BadRegion) => "bad region",
        Some(Verdict::Exception) => "exception",
        Some(Verdict::StackOverflow) => "stack overflow",
        Some(Verdict::Astray) => "register image leads out of what was verified",
        Some(Verdict::Damaged) => "its own code is damaged",
        Some(Verdict::None) | None => "none",
    }
}
