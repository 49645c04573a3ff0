//! Takes turns: in every round each contender runs, so that all of them meet the
//! same machine.
//!
//! Time is this thread's time on its processor: on a busy machine the rest of the
//! clock's belongs to others. What they still do to caches and clocks can only
//! make a sample slower; so samples are short, a round is worth its fastest one,
//! and ratios are formed within a round before their median is taken.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::{
    thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Bytes hashed in one sample, at least.
const SAMPLE: u64 = 256 << 10;
/// Bytes hashed by a contender in a round, at most, if one sample allows it.
const ROUND: u64 = 8 << 20;
/// Samples of a contender in a round, at most.
const SAMPLES: u64 = 12;
/// How long a processor takes to reach its clock, amply.
const WARM_UP: Duration = Duration::from_millis(300);

/// One who takes part: what runs once, and how many bytes that is.
pub(super) struct Entry<'a> {
    pub(super) bytes: u64,
    pub(super) run: Box<dyn FnMut() + 'a>,
}

impl Entry<'_> {
    /// Takes a sample; returns bytes a second.
    fn sample(&mut self) -> f64 {
        let calls = SAMPLE.div_ceil(self.bytes);
        let start = clock_gettime(ClockId::ThreadCPUTime);
        for _ in 0..calls {
            (self.run)();
        }
        let spent = clock_gettime(ClockId::ThreadCPUTime) - start;
        let seconds = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
        (calls * self.bytes) as f64 / seconds
    }

    fn samples(&self) -> u64 {
        (ROUND / self.bytes.max(SAMPLE)).clamp(1, SAMPLES)
    }
}

/// Returns the bytes a second of every entry in every round; `tick` is called
/// after every sample.
pub(super) fn run(entries: &mut [Entry<'_>], rounds: usize, tick: impl Fn()) -> Vec<Vec<f64>> {
    let start = Instant::now();
    for entry in entries.iter_mut() {
        entry.sample();
    }
    while start.elapsed() < WARM_UP {
        entries.iter_mut().for_each(|entry| (entry.run)());
    }
    let mut rates = vec![Vec::with_capacity(rounds); entries.len()];
    for round in 0..rounds {
        let mut fastest = vec![0_f64; entries.len()];
        for sample in 0..samples(entries) {
            for turn in 0..entries.len() {
                // Nobody always runs after the same neighbour.
                let index = (turn + sample as usize + round) % entries.len();
                fastest[index] = fastest[index].max(entries[index].sample());
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

    use sha2::{Digest as _, Sha256};

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
        let ran = RefCell::new(Vec::new());
        let mut entries: Vec<_> = (0..COUNT)
            .map(|index| Entry {
                bytes: 300 << 10,
                run: Box::new({
                    let ran = &ran;
                    move || ran.borrow_mut().push(index)
                }),
            })
            .collect();
        let ticks = Cell::new(0);
        let rates = run(&mut entries, 9, || ticks.set(ticks.get() + 1));
        assert_eq!(ticks.get(), 9 * 12 * COUNT);
        assert!(rates.iter().all(|rounds| rounds.len() == 9));
        assert!(rates.iter().flatten().all(|&rate| rate > 0.0));
        drop(entries);
        // What came before is the warm-up.
        let ran = ran.into_inner();
        let turns = ran[ran.len() - ticks.get()..].chunks(COUNT);
        for (one, next) in turns.clone().zip(turns.skip(1)) {
            assert!((0..COUNT).all(|index| one.contains(&index)), "{one:?}");
            assert_ne!(one[0], next[0], "{one:?} {next:?}");
        }
    }

    #[test]
    fn a_rate_is_that_of_all_the_bytes_of_a_sample() {
        let memory = vec![0x5a; SAMPLE as usize];
        let mut entries = [16, 1].map(|calls| {
            let message = &memory[..memory.len() / calls];
            Entry {
                bytes: message.len() as u64,
                run: Box::new(move || {
                    std::hint::black_box(Sha256::digest(message));
                }),
            }
        });
        let rates = run(&mut entries, 9, || ());
        let median = |index: usize| Spread::of(rates[index].iter().copied()).unwrap().median;
        let ratio = median(0) / median(1);
        assert!((0.25..4.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_round_is_worth_its_fastest_sample() {
        let message = vec![0x5a; SAMPLE as usize];
        // All samples take long, but for one of the twelve of a round.
        let median = |short: Option<u64>| {
            let ticks = Cell::new(0);
            let run_once = || {
                let is_short = Some(ticks.get() % SAMPLES) == short;
                for _ in 0..if is_short { 1 } else { 4 } {
                    std::hint::black_box(Sha256::digest(&message));
                }
            };
            let mut entries = [Entry {
                bytes: SAMPLE,
                run: Box::new(run_once),
            }];
            let rates = run(&mut entries, 9, || ticks.set(ticks.get() + 1));
            Spread::of(rates[0].iter().copied()).unwrap().median
        };
        let ratio = median(Some(5)) / median(None);
        assert!(ratio > 2.0, "{ratio}");
    }
}
