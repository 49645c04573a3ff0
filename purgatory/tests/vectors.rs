// SPDX-License-Identifier: MIT OR Apache-2.0
//! NIST's CAVP vectors for byte-oriented SHA-256, on every backend of the host.
//!
//! The files are NIST's own, as published in "SHA Test Vectors for Hashing
//! Byte-Oriented Messages". They know nothing of the seams where a message was
//! cut, so cut messages are compared with uncut ones and with the `sha2` crate.

use std::io::{Write as _, stderr};

use proptest::{collection::vec, prelude::*, sample::Index};
use purgatory::{
    abi::Backend,
    arch::{BACKENDS, BLOCK, Usable},
    sha256::Sha256,
};
use sha2::Digest as _;

/// Returns the backends that this CPU runs. What it lacks is said past the test
/// harness, which would swallow the message of a test that passes.
fn backends(test: &str) -> impl Iterator<Item = Backend> {
    BACKENDS.iter().copied().filter(move |backend| {
        let runs = runs_here(*backend);
        if !runs {
            _ = writeln!(
                stderr(),
                "{test}: skipped for {backend:?}: this CPU lacks it"
            );
        }
        runs
    })
}

#[cfg(target_arch = "x86_64")]
fn runs_here(backend: Backend) -> bool {
    use std::arch::is_x86_feature_detected as has;
    match backend {
        Backend::ShaNi => has!("sha") && has!("ssse3") && has!("sse4.1"),
        _ => true,
    }
}

/// What the kernel tells of the CPU; `std` cannot be asked for the vector extensions yet.
#[cfg(target_arch = "riscv64")]
fn runs_here(backend: Backend) -> bool {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let isa = cpus.lines().find(|line| line.starts_with("isa"));
    let has = |name| isa.is_some_and(|isa| isa.split('_').any(|extension| extension == name));
    match backend {
        Backend::Zknh => has("zknh"),
        Backend::Zvknh => has("zvkb") && (has("zvknha") || has("zvknhb")),
        _ => true,
    }
}

#[cfg(not(any(target_arch = "riscv64", target_arch = "x86_64")))]
fn runs_here(backend: Backend) -> bool {
    backend == Backend::Portable
}

/// As files and libraries have it.
type Digest = [u8; 32];

/// Hashes a message that arrives in pieces.
fn digest<'a>(backend: Backend, pieces: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    // SAFETY: `backends` hands out only what the CPU has.
    let mut message = Sha256::new(unsafe { Usable::vouched(backend) });
    for piece in pieces {
        message.update(piece);
    }
    let words = message.finish().map(u64::to_ne_bytes);
    words.as_flattened().try_into().unwrap()
}

/// Returns the values of a response file under one key, in order.
fn values<'a>(file: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    file.lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(move |(name, _)| *name == key)
        .map(|(_, value)| value)
}

fn hex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "half a byte in {text}");
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Hashes every message of a response file; returns how many there were.
fn check_messages(name: &str, file: &str) -> usize {
    let cases: Vec<_> = values(file, "Len")
        .zip(values(file, "Msg"))
        .zip(values(file, "MD"))
        .map(|((bits, message), expected)| {
            // An empty message is written as one byte.
            let length = bits.parse::<usize>().unwrap() / 8;
            let mut message = hex(message);
            assert_eq!(message.len(), length.max(1), "{name}, Len = {bits}");
            message.truncate(length);
            (message, hex(expected))
        })
        .collect();
    assert_eq!(cases.len(), values(file, "Len").count());
    assert_eq!(cases.len(), values(file, "MD").count());
    for backend in backends(name) {
        for (message, expected) in &cases {
            let computed = digest(backend, [&**message]);
            let length = message.len();
            assert_eq!(computed, **expected, "{name}: {backend:?}, {length} bytes");
        }
    }
    cases.len()
}

#[test]
fn hashes_short_messages() {
    let count = check_messages("ShortMsg", include_str!("vectors/SHA256ShortMsg.rsp"));
    assert_eq!(count, 65, "every length from 0 to 64 bytes");
}

#[test]
fn hashes_long_messages() {
    let count = check_messages("LongMsg", include_str!("vectors/SHA256LongMsg.rsp"));
    assert_eq!(count, 64);
}

/// The Secure Hash Algorithm Validation System (SHAVS), section 6.4.
#[test]
fn computes_the_monte_carlo_chain() {
    let file = include_str!("vectors/SHA256Monte.rsp");
    let seeds: Vec<_> = values(file, "Seed").map(hex).collect();
    let [seed] = &*seeds else {
        panic!("{} seeds", seeds.len());
    };
    let rounds: Vec<_> = values(file, "MD").map(hex).collect();
    assert_eq!(rounds.len(), 100);
    for backend in backends("Monte Carlo") {
        let mut seed: Digest = seed.as_slice().try_into().unwrap();
        for (round, expected) in rounds.iter().enumerate() {
            let mut last = [seed; 3];
            for _ in 0..1000 {
                let next = digest(backend, last.iter().map(<[u8; 32]>::as_slice));
                last = [last[1], last[2], next];
            }
            seed = last[2];
            assert_eq!(seed, **expected, "{backend:?}, round {round}");
        }
    }
}

#[test]
fn is_blind_to_where_a_message_is_cut() {
    let message: [u8; 3 * BLOCK] = std::array::from_fn(|i| i as u8);
    for backend in backends("cuts") {
        for length in 0..=message.len() {
            let message = &message[..length];
            let expected: Digest = sha2::Sha256::digest(message).into();
            for cut in 0..=length {
                let (head, tail) = message.split_at(cut);
                let computed = digest(backend, [head, tail]);
                assert_eq!(
                    computed, expected,
                    "{backend:?}: {length} bytes cut at {cut}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_sha2_however_a_message_is_cut(
        message in vec(any::<u8>(), 0..20 * BLOCK),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let expected: Digest = sha2::Sha256::digest(&message).into();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect();
        cuts.sort_unstable();
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([message.len()]);
        let pieces: Vec<_> = starts.zip(ends).map(|(start, end)| &message[start..end]).collect();
        for backend in backends("random cuts") {
            prop_assert_eq!(digest(backend, pieces.iter().copied()), expected, "{:?}", backend);
        }
    }
}
