// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run of tests prints: a line each, and how many there were.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{fmt, panic, thread};

use anyhow::Result;

/// Guests at once: each has one processor, and the host waits for it.
const AT_ONCE: usize = 2;

/// How many tests there were: the last line of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// Runs a test, prints its line and what is wrong, and counts it.
    pub(crate) fn test(&mut self, name: &str, test: impl FnOnce() -> Result<()>) {
        let started = Instant::now();
        let outcome = test();
        print_line(outcome.is_ok(), started, name);
        if let Err(error) = &outcome {
            eprintln!("\n{name}: {error:#}\n");
        }
        self.count(outcome.is_ok());
    }

    /// Says why tests are not run, and counts them.
    pub(crate) fn skip(&mut self, count: usize, what: impl fmt::Display) {
        println!("SKIPPED: {what}");
        self.skipped += count;
    }

    /// Counts a test.
    pub(crate) const fn count(&mut self, passed: bool) {
        match passed {
            true => self.passed += 1,
            false => self.failed += 1,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(formatter, ", {skipped} skipped"),
        }
    }
}

/// Prints the line of a test that began at `started`.
pub(crate) fn print_line(passed: bool, started: Instant, what: &str) {
    let word = if passed { "ok" } else { "FAIL" };
    let seconds = started.elapsed().as_secs_f64();
    println!("{word:4} {seconds:5.1} s  {what}");
}

/// Does `work` for every item, a few at once; returns what came of each, in no order.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    by_workers(AT_ONCE, items, work)
}

/// Does as [`in_parallel`], by so many at once.
pub(crate) fn by_workers<T: Sync, R: Send>(
    count: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            results.push(work(item));
        }
        results
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        let results = workers.into_iter().flat_map(|worker| {
            // One that panicked is not to be missing quietly.
            worker
                .join()
                .unwrap_or_else(|panic| panic::resume_unwind(panic))
        });
        results.collect()
    })
}
