// SPDX-License-Identifier: MIT OR Apache-2.0
//! `purgatory_status`: what a purgatory left behind, in words.

use std::fmt;

use base16ct::lower::encode_string;
use purgatory::abi::Backend;
use purgatory::status::{Phase, Status, Verdict};

use crate::arch::Arch;
use crate::get;

/// Bytes of a record.
pub const SIZE: usize = size_of::<Status>();
/// A record as it lies in memory.
pub type Record = [u8; SIZE];

/// The phases in words.
const PHASES: [(Phase, &str); 5] = [
    (Phase::Entered, "entered"),
    (Phase::Verifying, "verifying"),
    (Phase::Leaving, "verified, on its way to the next kernel"),
    (Phase::Refused, "refused"),
    (Phase::Faulted, "ended by an exception"),
];

/// Tells whether it has the layout that this tool knows.
#[must_use]
pub fn fits(record: &Record) -> bool {
    get!(record, Status.version) == Status::VERSION && get!(record, Status.size) as usize == SIZE
}

/// A record in words.
pub struct Words<'a>(pub Arch, pub &'a Record);

impl fmt::Display for Words<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(arch, record) = *self;
        if !fits(record) {
            let (version, size) = (get!(record, Status.version), get!(record, Status.size));
            return write!(
                formatter,
                ": not one that this tool reads (version {version}, {size} bytes)"
            );
        }
        let phase = get!(record, Status.phase);
        let known = PHASES.iter().find(|(one, _)| one.number() == phase);
        let words = known.map_or("unknown", |(_, words)| words);
        write!(formatter, "\n  phase      {words}")?;
        let verdict = Verdict::from_number(get!(record, Status.verdict));
        write!(formatter, "\n  verdict    {}", verdict.words())?;
        if verdict == Verdict::BadRegion {
            write!(formatter, ": region {}", get!(record, Status.region))?;
        }
        let backend = Backend::from_number(get!(record, Status.backend));
        let backend = backend.map_or("none yet", Backend::name);
        write!(formatter, "\n  backend    {backend}")?;
        let suspects = get!(record, Status.suspects);
        for backend in Backend::ALL {
            if suspects >> backend.number() & 1 != 0 {
                write!(formatter, "\n  broken     {}", backend.name())?;
            }
        }
        let (bytes, cycles) = (get!(record, Status.bytes), get!(record, Status.cycles));
        write!(formatter, "\n  hashed     {bytes} bytes in {cycles} cycles")?;
        let digest = get!(record, Status.digest);
        if digest != [0; 4] {
            let digest = encode_string(digest.map(u64::to_ne_bytes).as_flattened());
            write!(formatter, "\n  digest     {digest}")?;
        }
        write!(formatter, "\n  NMIs       {}", get!(record, Status.nmis))?;
        if phase == Phase::Faulted.number() {
            let vector = get!(record, Status.cause);
            let cause = (arch.cause)(vector);
            write!(
                formatter,
                "\n  exception  {vector} #{} ({}), error {:#x}\n  rip        {:#x}\n  address    {:#x}",
                cause.mnemonic,
                cause.name,
                get!(record, Status.code),
                get!(record, Status.at),
                get!(record, Status.address),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::set;

    fn words(fill: impl Fn(&mut Record)) -> String {
        let mut record = [0; SIZE];
        set!(record, Status.version, Status::VERSION);
        set!(record, Status.size, SIZE as u32);
        fill(&mut record);
        format!("record{}", Words(Arch::ALL[0], &record))
    }

    #[test]
    fn says_a_record_in_words() {
        let refused = words(|record| {
            set!(record, Status.phase, Phase::Refused.number());
            set!(record, Status.verdict, Verdict::Mismatch.number());
            set!(record, Status.backend, Backend::Portable.number());
            set!(record, Status.suspects, 1 << Backend::ShaNi.number());
            set!(record, Status.bytes, 1_339_392);
            set!(record, Status.cycles, 256);
            set!(record, Status.nmis, 2);
            set!(record, Status.digest, [0xabab_abab_abab_abab; 4]);
        });
        expect![[r#"
            record
              phase      refused
              verdict    sha256 mismatch
              backend    portable
              broken     sha-ni
              hashed     1339392 bytes in 256 cycles
              digest     abababababababababababababababababababababababababababababababab
              NMIs       2"#]]
        .assert_eq(&refused);
        let fault = words(|record| {
            set!(record, Status.phase, Phase::Faulted.number());
            set!(record, Status.verdict, Verdict::Exception.number());
            set!(record, Status.cause, 14);
            set!(record, Status.code, 2);
            set!(record, Status.at, 0x1234);
            set!(record, Status.address, 0x70_0000_0000);
        });
        expect![[r#"
            record
              phase      ended by an exception
              verdict    exception
              backend    none yet
              hashed     0 bytes in 0 cycles
              NMIs       0
              exception  14 #PF (page fault), error 0x2
              rip        0x1234
              address    0x7000000000"#]]
        .assert_eq(&fault);
        let region = words(|record| {
            set!(record, Status.verdict, Verdict::BadRegion.number());
            set!(record, Status.region, 7);
        });
        assert!(region.contains("bad region: region 7"), "{region}");
        let newer = words(|record| set!(record, Status.version, 9));
        let says = format!("record: not one that this tool reads (version 9, {SIZE} bytes)");
        assert_eq!(newer, says);
    }

    #[test]
    fn says_every_phase_and_verdict() {
        for (phase, says) in PHASES {
            let words = words(|record| set!(record, Status.phase, phase.number()));
            assert!(words.contains(&format!("phase      {says}\n")), "{words}");
        }
        for verdict in Verdict::ALL {
            let (number, says) = (verdict.number(), verdict.words());
            let words = words(|record| set!(record, Status.verdict, number));
            assert!(words.contains(&format!("verdict    {says}")), "{words}");
            assert_eq!(Verdict::from_number(number), verdict);
        }
        let unknown = words(|record| {
            set!(record, Status.phase, 99);
            set!(record, Status.verdict, 99);
        });
        assert!(
            unknown.contains("unknown\n  verdict    none\n"),
            "{unknown}"
        );
    }
}
