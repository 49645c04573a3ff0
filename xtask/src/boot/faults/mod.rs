// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots in which one instruction faults: each one of the shipped blob that a
//! hypervisor, an emulator or a CPU may refuse, from each moment on at which it is
//! executed, by a debugger that enters an exception in its place.
//!
//! Which instructions those are is derived from the code, and when they are executed
//! from boots without a fault: a new instruction is a new boot, or a failure.

mod exception;
mod exempt;
mod plan;
mod scenario;
mod session;

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use blob::check::listed;

use super::programs::Programs;
use super::{Boot as Plain, prepare};
use crate::host::paths::target_directory;
use crate::host::progress;
use crate::host::tally::{Tally, in_parallel, print_line};
use crate::vm::run::Stuck;
use plan::{Boot, Plan};
use scenario::SCENARIOS;
use session::Stage;

/// So many hangs are taken for all.
const HANGS: usize = 3;

/// Names the scenarios.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name)
}

/// Boots every instruction's faults in the named scenarios, or in all; prints a line a scenario, then what is wrong. `linked` is the linked program of
/// the same build.
pub(crate) fn test(
    programs: &Programs,
    linked: &[u8],
    names: &[String],
    keep_going: bool,
) -> Result<Tally> {
    let list = listed(&programs.blob, linked)?;
    let runs = target_directory().join("runs");
    fs::create_dir_all(&runs)?;
    let images = tempfile::Builder::new()
        .prefix("faults-")
        .tempdir_in(runs)?;
    let busy = progress::spinner("finding out when which instruction is executed");
    let indices: Vec<usize> = (0..SCENARIOS.len()).collect();
    let stages = in_order(&indices, |index| {
        let scenario = &SCENARIOS[*index];
        let image = images.path().join(scenario.name);
        let plain = Plain {
            case: &scenario.case,
            state: scenario.state,
        };
        let (bytes, prepared) = prepare(&plain, programs)?;
        bytes.write(&image)?;
        let stage = Stage {
            scenario,
            prepared,
            image,
            programs,
            list: &list,
        };
        let executed = stage.watch().with_context(|| scenario.name)?;
        Ok((stage, executed))
    });
    let (stages, executed): (Vec<_>, Vec<_>) = stages
        .into_iter()
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    drop(busy);

    let Plan { mut boots, missing } = plan::plan(&list, &executed)?;
    boots.retain(|boot| {
        names.is_empty()
            || names
                .iter()
                .any(|name| name == SCENARIOS[boot.scenario].name)
    });
    let mut tally = Tally::default();
    let outcomes = run(&stages, &boots, keep_going);
    for problem in &missing {
        tally.count(false);
        eprintln!("\n{problem}");
    }
    let mut left = 0;
    for (boot, outcome) in boots.iter().zip(outcomes) {
        match outcome {
            Some(Ok(())) => tally.count(true),
            Some(Err(error)) => {
                tally.count(false);
                eprintln!("\n{}: {error:#}", boot.describe(&list));
            }
            None => left += 1,
        }
    }
    if left > 0 {
        let what = format!("{left} faults, after those that hung: --keep-going boots them all");
        tally.skip(left, what);
    }
    Ok(tally)
}

/// Runs the boots; returns what came of each, nothing of those that were left.
fn run(stages: &[Stage<'_>], boots: &[Boot], keep_going: bool) -> Vec<Option<Result<()>>> {
    struct Line {
        started: OnceLock<Instant>,
        left: AtomicUsize,
        failed: AtomicUsize,
    }
    let of = |scenario| boots.iter().filter(move |boot| boot.scenario == scenario);
    let lines: Vec<Line> = (0..stages.len())
        .map(|scenario| Line {
            started: OnceLock::new(),
            left: of(scenario).count().into(),
            failed: 0.into(),
        })
        .collect();
    let hangs = AtomicUsize::new(0);
    in_order(boots, |boot| {
        if hangs.load(Ordering::Relaxed) >= HANGS && !keep_going {
            return None;
        }
        let line = &lines[boot.scenario];
        let started = *line.started.get_or_init(Instant::now);
        let outcome = stages[boot.scenario].boot(boot);
        if let Err(error) = &outcome {
            line.failed.fetch_add(1, Ordering::Relaxed);
            hangs.fetch_add(usize::from(error.is::<Stuck>()), Ordering::Relaxed);
        }
        if line.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let (name, count) = (SCENARIOS[boot.scenario].name, of(boot.scenario).count());
            let failed = line.failed.load(Ordering::Relaxed);
            let what = match failed {
                0 => format!("faults in {name}: {count}"),
                _ => format!("faults in {name}: {failed} of {count} failed"),
            };
            print_line(failed == 0, started, &what);
        }
        Some(outcome)
    })
}

/// Does `work` with every item, a few at once; returns what comes of it in order.
fn in_order<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let numbered: Vec<_> = items.iter().enumerate().collect();
    let mut done = in_parallel(&numbered, |(index, item)| (*index, work(item)));
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
