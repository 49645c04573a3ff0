//! What a run of tests prints: a line each, and how many there were.

use std::{fmt, ops::AddAssign, time::Instant};

/// How many tests there were: the last line of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
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

/// How a line begins.
pub(crate) const fn word(passed: bool) -> &'static str {
    if passed { "ok" } else { "FAIL" }
}

/// Prints the line of a test that began at `started`.
pub(crate) fn print_line(word: &str, started: Instant, what: &str) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{word:4} {seconds:5.1} s  {what}");
}
