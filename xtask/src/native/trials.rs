// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shipped bytes on trial, in user space: against the `sha2` crate and NIST's
//! vectors, one backend after the other.

use anyhow::{Context as _, Result, ensure};
use memmap2::MmapOptions;
use purgatory::abi::Backend;
use purgatory::arch::BACKENDS;
use purgatory::status::{Status, Verdict};
use sha2::{Digest as _, Sha256};

use super::arch::runs_here;
use super::campaign;
use super::userspace::{Digest, Ours};
use crate::freestanding::LARGEST;

/// A name, and what fails if it does not hold of a blob.
type Trial = (&'static str, fn(&[u8]) -> Result<()>);

/// All of them.
pub(crate) const ALL: [Trial; 7] = [
    ("the file is at most thirteen KiB", fits),
    ("the shipped bytes agree with sha2 on any table", agrees),
    (
        "the shipped bytes refuse a changed bit of any byte",
        refuses,
    ),
    ("the shipped bytes hash NIST's messages", hashes),
    ("the shipped bytes compute NIST's Monte Carlo chain", chains),
    ("the shipped bytes count more than four GiB", counts),
    ("a campaign sees what a blob lets pass", campaign::sees),
];

/// Those that take no hardware's speed, and hold for every architecture.
pub(crate) const AFFORDABLE: &[Trial] = {
    let [_, affordable @ .., _, _] = &ALL;
    affordable
};

/// What `purgatory_verify` returns.
const MATCHES: u32 = 0;
const REFUSED: u32 = 1;

/// With every backend and every report in it.
fn fits(blob: &[u8]) -> Result<()> {
    let bytes = blob.len();
    ensure!(
        bytes <= LARGEST,
        "{bytes} bytes: see what grew by `nm --size-sort` on the linked program"
    );
    Ok(())
}

/// Tries every backend of this CPU.
fn with_each(blob: &[u8], mut trial: impl FnMut(&mut Ours, Backend) -> Result<()>) -> Result<()> {
    for &backend in BACKENDS {
        let name = backend.name();
        if runs_here(backend) {
            trial(&mut Ours::load(blob)?, backend).context(name)?;
        } else {
            println!("SKIPPED: {name}: this CPU lacks it");
        }
    }
    Ok(())
}

/// Returns the digest on record, as files have it.
fn computed(status: &Status) -> Digest {
    zerocopy::transmute!(status.digest.read())
}

fn hash(pieces: &[&[u8]]) -> Digest {
    let mut message = Sha256::new();
    pieces.iter().for_each(|piece| message.update(piece));
    message.finalize().into()
}

/// Compares a check of `pieces` with what must come of it.
fn expect(
    blob: &mut Ours,
    backend: Backend,
    pieces: &[&[u8]],
    expected: &Digest,
    (code, verdict): (u32, Verdict),
) -> Result<()> {
    let mut check = blob.describe(pieces, expected)?;
    let returned = check.run(backend);
    ensure!(returned == code, "it returns {returned}, not {code}");
    let status = check.status();
    let found = Verdict::from_number(status.verdict.read());
    ensure!(
        found == verdict,
        "its verdict is {found:?}, not {verdict:?}"
    );
    ensure!(
        computed(status) == hash(pieces),
        "it computes another digest"
    );
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    ensure!(status.bytes.read() == bytes as u64, "it counts wrong");
    ensure!(
        status.backend.read() == backend.number(),
        "another backend ran"
    );
    Ok(())
}

/// Lengths around the block's seams, and longer ones; a new table for every seed.
fn agrees(blob: &[u8]) -> Result<()> {
    let mut memory = [0; 24_000];
    with_each(blob, |blob, backend| {
        for seed in 0..256 {
            let mut random = fastrand::Rng::with_seed(seed);
            random.fill(&mut memory);
            let mut piece = |_| {
                let longest = if random.bool() { 131 } else { 20_000 };
                let (start, len) = (random.usize(..memory.len()), random.usize(..longest));
                &memory[start..(start + len).min(memory.len())]
            };
            let pieces: Vec<&[u8]> = (0..seed % 17).map(&mut piece).collect();
            let is_empty = pieces.iter().all(|piece| piece.is_empty());
            let (right, wrong) = match is_empty {
                true => (Verdict::Nothing, Verdict::TableWiped),
                false => (Verdict::Match, Verdict::Mismatch),
            };
            let mut digest = hash(&pieces);
            let table = || format!("table {seed}");
            expect(blob, backend, &pieces, &digest, (MATCHES, right)).with_context(table)?;
            digest[random.usize(..32)] ^= 1 << random.u8(..8);
            expect(blob, backend, &pieces, &digest, (REFUSED, wrong)).with_context(table)?;
        }
        ensure!(
            blob.describe(&[&[][..]; 17], &[0; 32]).is_err(),
            "a table of 17 entries is taken"
        );
        Ok(())
    })
}

fn refuses(blob: &[u8]) -> Result<()> {
    let mut memory: Vec<u8> = (0..700_usize).map(|i| (i * i / 7) as u8).collect();
    let expected = hash(&[&memory]);
    with_each(blob, |blob, backend| {
        for at in 0..memory.len() {
            memory[at] ^= 1 << (at % 8);
            let pieces = [&memory[..1], &memory[1..130], &memory[130..]];
            let code = blob.describe(&pieces, &expected)?.run(backend);
            ensure!(code == REFUSED, "byte {at}");
            memory[at] ^= 1 << (at % 8);
        }
        for at in 0..expected.len() {
            let mut wrong = expected;
            wrong[at] ^= 0x80;
            let code = blob.describe(&[&memory], &wrong)?.run(backend);
            ensure!(code == REFUSED, "digest byte {at}");
        }
        let code = blob.describe(&[&memory], &expected)?.run(backend);
        ensure!(code == MATCHES, "nothing was changed");
        Ok(())
    })
}

/// Returns the values of a response file under one key, in order.
fn values<'a>(file: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    file.lines().filter_map(move |line| line.strip_prefix(key))
}

fn digest(hex: &str) -> Result<Digest> {
    Ok(Digest::try_from(
        base16ct::lower::decode_vec(hex)?.as_slice(),
    )?)
}

fn hashes(blob: &[u8]) -> Result<()> {
    const FILES: [(&str, usize); 2] = [
        (
            include_str!("../../../purgatory/tests/vectors/SHA256ShortMsg.rsp"),
            65,
        ),
        (
            include_str!("../../../purgatory/tests/vectors/SHA256LongMsg.rsp"),
            64,
        ),
    ];
    for (file, count) in FILES {
        let mut messages = Vec::new();
        let rows = values(file, "Len = ").zip(values(file, "Msg = "));
        for ((bits, message), expected) in rows.zip(values(file, "MD = ")) {
            let mut message = base16ct::lower::decode_vec(message)?;
            // That of no bytes is written as one.
            message.truncate(bits.parse::<usize>()? / 8);
            messages.push((message, digest(expected)?));
        }
        ensure!(messages.len() == count, "{} messages", messages.len());
        with_each(blob, |blob, backend| {
            for (message, expected) in &messages {
                let verdict = match message.is_empty() {
                    true => Verdict::Nothing,
                    false => Verdict::Match,
                };
                expect(blob, backend, &[message], expected, (MATCHES, verdict))
                    .with_context(|| format!("a message of {} bytes", message.len()))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn chains(blob: &[u8]) -> Result<()> {
    let file = include_str!("../../../purgatory/tests/vectors/SHA256Monte.rsp");
    let values = |key| values(file, key).map(digest);
    let seed = values("Seed = ").next().context("no seed")??;
    let rounds = values("MD = ").collect::<Result<Vec<_>>>()?;
    ensure!(rounds.len() == 100, "{} rounds", rounds.len());
    with_each(blob, |blob, backend| {
        let mut seed = seed;
        for (round, expected) in rounds.iter().enumerate() {
            let mut last = [seed; 3];
            for _ in 0..1000 {
                // Whatever is expected, the record holds what was computed.
                let mut check = blob.describe(&[last.as_flattened()], &seed)?;
                check.run(backend);
                last = [last[1], last[2], computed(check.status())];
            }
            seed = last[2];
            ensure!(seed == *expected, "round {round}");
        }
        Ok(())
    })
}

/// Only the fastest backend, which takes seconds here: lengths are counted by
/// code that all of them share.
fn counts(blob: &[u8]) -> Result<()> {
    const HUGE: usize = (1 << 32) + 64 * 1000 + 7;
    /// `(printf before; head -c 4295031303 /dev/zero; printf behind) | sha256sum`
    const EXPECTED: &str = "97405b8653ea4e57aa9c4e32d953d186a6ae6f3ef65423e0ca1d8e858d4d86d8";
    let backend = BACKENDS.iter().copied().find(|backend| runs_here(*backend));
    let backend = backend.context("no backend")?;
    // Takes no memory: every page is the kernel's one page of zeros.
    let zeros = MmapOptions::new().len(HUGE).no_reserve_swap().map_anon()?;
    let zeros = zeros.make_read_only()?;
    let expected = base16ct::lower::decode_vec(EXPECTED)?;
    let pieces: [&[u8]; 3] = [b"before", &zeros, b"behind"];
    let mut blob = Ours::load(blob)?;
    let mut check = blob.describe(&pieces, &Digest::try_from(expected.as_slice())?)?;
    ensure!(check.run(backend) == MATCHES, "{} refuses", backend.name());
    let bytes = check.status().bytes.read();
    ensure!(bytes == HUGE as u64 + 12, "it counts {bytes} bytes");
    Ok(())
}
