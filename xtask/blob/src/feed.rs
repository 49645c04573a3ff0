// SPDX-License-Identifier: MIT OR Apache-2.0
//! What fuzz tests eat: seeds, damaged at random, the same ones everywhere.

use std::env;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Where [`random`] begins.
pub(crate) const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Xorshift: the same numbers everywhere.
pub(crate) const fn random(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as usize % below
}

/// Feeds damaged seeds to a reader that must not panic, whatever it makes of them: for a
/// second, or for `FUZZ_SECONDS`. `FUZZ_STATE` repeats what a failure named.
pub(crate) fn fuzz(seeds: &[Vec<u8>], body: impl Fn(&[u8]) + RefUnwindSafe) {
    let given = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let limit = Duration::from_secs(given("FUZZ_SECONDS").unwrap_or(1));
    let mut state = given("FUZZ_STATE").unwrap_or(SEED);
    let started = Instant::now();
    while started.elapsed() < limit {
        let before = state;
        let mut input = seeds[random(&mut state, seeds.len())].clone();
        for _ in 0..=random(&mut state, 6) {
            let start = random(&mut state, input.len());
            let end = (start + 1 + random(&mut state, 8)).min(input.len());
            let values = [0, 1, 0x7f, 0x80, 0xff, random(&mut state, 256) as u8];
            let value = values[random(&mut state, values.len())];
            match random(&mut state, 8) {
                0 => input.truncate(end),
                1 => input.extend_from_within(start..end),
                2 => drop(input.drain(start + 1..end)),
                3 => input[start] ^= 1 << random(&mut state, 8),
                _ => input[start..end].fill(value),
            }
        }
        if catch_unwind(|| body(&input)).is_err() {
            panic!("it panics: FUZZ_STATE={before} repeats it");
        }
    }
}
