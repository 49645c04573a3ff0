//! The shipped bytes against the `sha2` crate and NIST's vectors, one backend
//! after the other. What this machine cannot run is skipped, and says so.

use std::{
    fs,
    io::{Write, stderr},
    sync::OnceLock,
};

use memmap2::{Mmap, MmapOptions};
use proptest::{collection::vec, prelude::*};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{build, host::toolchain};
use blob::arch::Arch;

const BACKENDS: [Backend; 3] = [Backend::ShaNi, Backend::Sse2, Backend::Portable];

/// What `purgatory_verify` returns.
const MATCHES: u32 = 0;
const REFUSED: u32 = 1;

/// Verdicts of the status record.
const MATCH: u32 = 1;
const NOTHING: u32 = 2;
const MISMATCH: u32 = 3;
const WIPED: u32 = 4;

type Outcome = Result<(), TestCaseError>;

/// The blob as it ships, built once; `None` where nothing here can build it.
fn shipped() -> Option<&'static [u8]> {
    static BLOB: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let blob = BLOB.get_or_init(|| {
        let toolchain = match toolchain::find(Arch::X86_64, None) {
            Ok(toolchain) => toolchain,
            Err(error) => {
                skip(&format!("the shipped bytes: {error:#}"));
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let blob = build::blob(Arch::X86_64, &toolchain, folder.path()).unwrap();
        Some(fs::read(blob.relocatable).unwrap())
    });
    blob.as_deref()
}

/// With every backend and every report in it.
#[test]
fn the_file_is_at_most_twelve_kibibytes() {
    let bytes = shipped().unwrap_or_default().len();
    assert!(
        bytes <= 12 << 10,
        "{bytes} bytes: see what grew by `nm --size-sort` on the linked program"
    );
}

/// Says so past the test harness, which would swallow the message.
fn skip(what: &str) {
    _ = writeln!(stderr(), "SKIPPED: {what}");
}

/// Runs `test` with every backend of this CPU, the fastest first.
fn each_backend(mut test: impl FnMut(&mut Ours, Backend) -> Outcome) -> Outcome {
    let Some(blob) = shipped() else { return Ok(()) };
    for backend in BACKENDS {
        if runs_here(backend) {
            test(&mut Ours::load(blob).unwrap(), backend)?;
        } else {
            skip(&format!("{}: this CPU lacks it", backend.name()));
        }
    }
    Ok(())
}

/// Returns the digest on record, as files have it.
fn computed(status: &Status) -> Digest {
    let words = status.digest.read().map(u64::to_ne_bytes);
    words.as_flattened().try_into().unwrap()
}

fn hash(pieces: &[&[u8]]) -> Digest {
    let mut message = Sha256::new();
    for piece in pieces {
        message.update(piece);
    }
    message.finalize().into()
}

/// Lengths around the block's seams, and longer ones.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..=130_usize, 0..20_000_usize]
}

proptest! {
    #[test]
    fn agrees_with_sha2_on_any_table(
        seed in any::<u64>(),
        table in vec((0..24_000_usize, lengths()), 0..=16),
        damage in 0..256_usize,
    ) {
        let mut memory = [0; 24_000];
        fastrand::Rng::with_seed(seed).fill(&mut memory);
        let pieces: Vec<&[u8]> = table
            .iter()
            .map(|&(start, len)| &memory[start..(start + len).min(memory.len())])
            .collect();
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        let expected = hash(&pieces);
        let mut wrong = expected;
        wrong[damage / 8] ^= 1 << (damage % 8);
        each_backend(|blob, backend| {
            let name = backend.name();
            let mut check = blob.describe(&pieces, &expected).unwrap();
            prop_assert_eq!(check.run(backend), MATCHES, "{}", name);
            let verdict = if bytes == 0 { NOTHING } else { MATCH };
            let status = check.status();
            prop_assert_eq!(status.verdict.read(), verdict, "{}", name);
            prop_assert_eq!(status.bytes.read(), bytes as u64, "{}", name);
            prop_assert_eq!(status.backend.read(), backend.number());
            prop_assert_eq!(computed(status), expected, "{}", name);

            let mut check = blob.describe(&pieces, &wrong).unwrap();
            prop_assert_eq!(check.run(backend), REFUSED, "{}", name);
            let verdict = if bytes == 0 { WIPED } else { MISMATCH };
            let status = check.status();
            prop_assert_eq!(status.verdict.read(), verdict, "{}", name);
            prop_assert_eq!(computed(status), expected, "{}", name);
            Ok(())
        })?;
    }
}

#[test]
fn refuses_a_changed_bit_of_any_byte() -> Outcome {
    let clean: Vec<u8> = (0..700_usize).map(|i| (i * i / 7) as u8).collect();
    let expected = hash(&[&clean]);
    each_backend(|blob, backend| {
        for at in 0..clean.len() {
            let mut memory = clean.clone();
            memory[at] ^= 1 << (at % 8);
            let pieces = [&memory[..1], &memory[1..130], &memory[130..]];
            let code = blob.describe(&pieces, &expected).unwrap().run(backend);
            assert_eq!(code, REFUSED, "{}, byte {at}", backend.name());
        }
        for at in 0..expected.len() {
            let mut wrong = expected;
            wrong[at] ^= 0x80;
            let code = blob.describe(&[&clean], &wrong).unwrap().run(backend);
            assert_eq!(code, REFUSED, "{}, digest byte {at}", backend.name());
        }
        let code = blob.describe(&[&clean], &expected).unwrap().run(backend);
        assert_eq!(code, MATCHES, "{}", backend.name());
        Ok(())
    })
}

#[test]
fn computes_nists_monte_carlo_chain() -> Outcome {
    let file = include_str!("../../../../purgatory/tests/vectors/SHA256Monte.rsp");
    let values = |key| file.lines().filter_map(move |line| line.strip_prefix(key));
    let seed = parse(values("Seed = ").next().unwrap());
    let rounds: Vec<Digest> = values("MD = ").map(parse).collect();
    assert_eq!(rounds.len(), 100);
    each_backend(|blob, backend| {
        let mut seed = seed;
        for (round, expected) in rounds.iter().enumerate() {
            let mut last = [seed; 3];
            for _ in 0..1000 {
                // Whatever is expected, the record holds what was computed.
                let mut check = blob.describe(&[last.as_flattened()], &seed).unwrap();
                check.run(backend);
                last = [last[1], last[2], computed(check.status())];
            }
            seed = last[2];
            assert_eq!(seed, *expected, "{}, round {round}", backend.name());
        }
        Ok(())
    })
}

fn parse(hex: &str) -> Digest {
    assert_eq!(hex.len(), 64);
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

/// Only the fastest backend, which takes seconds here: lengths are counted by
/// code that all of them share.
#[test]
fn counts_more_than_four_gibibytes() {
    const HUGE: usize = (1 << 32) + 64 * 1000 + 7;
    let Some(blob) = shipped() else { return };
    let backend = BACKENDS.into_iter().find(|backend| runs_here(*backend));
    let backend = backend.unwrap();
    let zeros = zeros(HUGE);
    let pieces: [&[u8]; 3] = [b"before", &zeros, b"behind"];
    let expected = hash(&pieces);
    let mut blob = Ours::load(blob).unwrap();
    let mut check = blob.describe(&pieces, &expected).unwrap();
    assert_eq!(check.run(backend), MATCHES, "{}", backend.name());
    assert_eq!(check.status().bytes.read(), HUGE as u64 + 12);
}

/// Maps zeros that take no memory: every page is the kernel's one page of them.
fn zeros(len: usize) -> Mmap {
    let memory = MmapOptions::new().len(len).no_reserve_swap().map_anon();
    memory.unwrap().make_read_only().unwrap()
}

#[test]
fn refuses_a_table_that_is_too_long() {
    let Some(blob) = shipped() else { return };
    let mut blob = Ours::load(blob).unwrap();
    let error = blob.describe(&[&[][..]; 17], &[0; 32]).err().unwrap();
    assert!(error.to_string().contains("17 pieces"), "{error:#}");
}
