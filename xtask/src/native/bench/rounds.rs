// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes turns: in every round each contender runs, so that all of them meet the
//! same machine.
//!
//! Time is this thread's time on its processor: on a busy machine the rest of the
//! clock's belongs to others. What they still do to caches and clocks can only
//! make a sample slower; so samples are short, a round is worth its fastest one,
//! and ratios are formed within a round before their median is taken.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Bytes hashed in one sample, at least.
const SAMPLE: u64 = 256 << 10;
/// Bytes hashed by a contender in a round, at most, if one sample allows it.
const ROUND: u64 = 8 << 20;
/// Samples of a contender in a round, at most.
const SAMPLES: u64 = 12;
/// How long a processor takes to reach its clock, amply.
const WARM_UP: f64 = 0.3;

/// Tells the time, in seconds.
pub(super) type Clock<'a> = &'a dyn Fn() -> f64;

/// This thread's time on its processor.
pub(super) fn own_time() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// One who takes part: what runs once, and how many bytes that is.
pub(super) struct Entry<'a> {
    pub(super) bytes: u64,
    pub(super) run: Box<dyn FnMut() + 'a>,
}

impl Entry<'_> {
    /// Takes a sample; returns bytes a second.
    fn sample(&mut self, clock: Clock<'_>) -> f64 {
        let calls = SAMPLE.div_ceil(self.bytes);
        let start = clock();
        for _ in 0..calls {
            (self.run)();
        }
        (calls * self.bytes) as f64 / (clock() - start)
    }

    fn samples(&self) -> u64 {
        (ROUND / self.bytes.max(SAMPLE)).clamp(1, SAMPLES)
    }
}

/// Returns the bytes a second of every entry in every round; `tick` is called
/// after every sample.
pub(super) fn run(
    entries: &mut [Entry<'_>],
    rounds: usize,
    clock: Clock<'_>,
    tick: impl Fn(),
) -> Vec<Vec<f64>> {
    let start = clock();
    for entry in entries.iter_mut() {
        entry.sample(clock);
    }
    while clock() - start < WARM_UP {
        entries.iter_mut().for_each(|entry| (entry.run)());
    }
    let mut rates = vec![Vec::with_capacity(rounds); entries.len()];
    for round in 0..rounds {
        let mut fastest = vec![0_f64; entries.len()];
        for sample in 0..samples(entries) {
            for turn in 0..entries.len() {
                // Nobody always runs after the same neighbour.
                let index = (turn + sample as usize + round) % entries.len();
                fastest[index] = fastest[index].max(entries[index].sample(clock));
                tick();
            }
        }
        for (rates, rate) in rates.iter_mut().zip(fastest) {
            rates.push(rate);
        }
    }
    rates
}

/// Returns how many samples each entry takes in a round.
pub(super) fn samples(entries: &[Entry<'_>]) -> u64 {
    entries.iter().map(Entry::samples).max().unwrap_or(0)
}

/// Smallest, middle and largest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Sums up numbers; `None` if there are none.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let lower = sorted.get(sorted.len().checked_sub(1)? / 2)?;
        Some(Self {
            min: *sorted.first()?,
            median: (lower + sorted[middle]) / 2.0,
            max: *sorted.last()?,
        })
    }
}

/// Keeps the calling thread on one processor until dropped.
pub(super) struct Pin(CpuSet);

impl Pin {
    pub(super) fn here() -> Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        sched_setaffinity(None, &one).context("cannot stay on one processor")?;
        Ok(Self(before))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // What was allowed before is allowed again; if not, nothing is lost.
        _ = sched_setaffinity(None, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn finds_the_middle_of_odd_and_even_counts() {
        let spread = |numbers: &[f64]| Spread::of(numbers.iter().copied());
        let (min, median, max) = (1.0, 2.0, 9.0);
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some(Spread { min, median, max }));
        let median = 2.5;
        assert_eq!(
            spread(&[3.0, 9.0, 1.0, 2.0]),
            Some(Spread { min, median, max })
        );
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn every_entry_has_its_turn_and_none_always_the_first() {
        const COUNT: usize = 4;
        let (now, ran) = (Cell::new(0.0), RefCell::new(Vec::new()));
        let mut entries: Vec<_> = (0..COUNT)
            .map(|index| Entry {
                bytes: 300 << 10,
                run: Box::new({
                    let (now, ran) = (&now, &ran);
                    move || {
                        now.set(now.get() + 0.001);
                        ran.borrow_mut().push(index);
                    }
                }),
            })
            .collect();
        let ticks = Cell::new(0);
        let rates = run(&mut entries, 9, &|| now.get(), || {
            ticks.set(ticks.get() + 1)
        });
        assert_eq!(ticks.get(), 9 * 12 * COUNT);
        assert!(rates.iter().all(|rounds| rounds.len() == 9));
        drop(entries);
        // What came before is the warm-up.
        let ran = ran.into_inner();
        let turns = ran[ran.len() - ticks.get()..].chunks(COUNT);
        for (one, next) in turns.clone().zip(turns.skip(1)) {
            assert!((0..COUNT).all(|index| one.contains(&index)), "{one:?}");
            assert_ne!(one[0], next[0], "{one:?} {next:?}");
        }
    }

    /// Runs one entry whose calls take the seconds that `cost` says of their sample.
    fn rates(bytes: u64, cost: impl Fn(u64) -> f64) -> Vec<f64> {
        let (now, sample) = (Cell::new(0.0), Cell::new(0));
        let mut entries = [Entry {
            bytes,
            run: Box::new(|| now.set(now.get() + cost(sample.get()))),
        }];
        let tick = || sample.set(sample.get() + 1);
        let mut rates = run(&mut entries, 9, &|| now.get(), tick);
        rates.remove(0)
    }

    #[test]
    fn a_rate_is_that_of_all_the_bytes_of_a_sample() {
        for bytes in [SAMPLE / 16, SAMPLE] {
            let seconds = bytes as f64 / 1e6;
            for rate in rates(bytes, |_| seconds) {
                assert!((rate - 1e6).abs() < 1.0, "{rate}");
            }
        }
    }

    #[test]
    fn a_round_is_worth_its_fastest_sample() {
        // All samples take long, but for one of the twelve of a round.
        let cost = |sample| if sample % SAMPLES == 5 { 1.0 } else { 4.0 };
        for rate in rates(SAMPLE, cost) {
            assert!((rate - SAMPLE as f64).abs() < 1.0, "{rate}");
        }
    }
}
