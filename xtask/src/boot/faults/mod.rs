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

use std::{
    fs,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context, Result};
use blob::arch::x86_64::instructions::{self, Listed};

use super::{Programs, case};
use crate::host::{
    paths::target_directory,
    progress,
    tally::{Tally, print_line, word},
};
use plan::{Boot, Plan};
use scenario::SCENARIOS;
use session::Stage;

/// Names the scenarios.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name)
}

/// Boots every instruction's faults in the named scenarios, or in all, so many boots at
/// once; prints a line a scenario, then what is wrong. `linked` is the linked program of
/// the same build.
pub(crate) fn test(
    programs: &Programs,
    linked: &[u8],
    names: &[String],
    parallel: usize,
) -> Result<Tally> {
    let list = instructions::listed(&programs.blob, linked)?;
    let runs = target_directory().join("runs");
    fs::create_dir_all(&runs)?;
    let images = tempfile::Builder::new()
        .prefix("faults-")
        .tempdir_in(runs)?;
    let busy = progress::spinner("finding out when which instruction is executed");
    let indices: Vec<usize> = (0..SCENARIOS.len()).collect();
    let stages = spread(&indices, parallel, |index| {
        let scenario = &SCENARIOS[*index];
        let image = images.path().join(scenario.name);
        let (bytes, prepared) = case::prepare(
            &scenario.case,
            scenario.profile,
            &programs.blob,
            &programs.payload,
        )?;
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
    let failed = run(&stages, &list, &boots, parallel);
    for problem in missing.iter().chain(&failed) {
        eprintln!("\n{problem}");
    }
    Ok(Tally {
        passed: boots.len() - failed.len(),
        failed: failed.len() + missing.len(),
        skipped: 0,
    })
}

/// Runs the boots; returns what is wrong with those that failed.
fn run(stages: &[Stage<'_>], list: &[Listed], boots: &[Boot], parallel: usize) -> Vec<String> {
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
    let outcomes = spread(boots, parallel, |boot| {
        let line = &lines[boot.scenario];
        let started = *line.started.get_or_init(Instant::now);
        let outcome = stages[boot.scenario].boot(boot);
        if outcome.is_err() {
            line.failed.fetch_add(1, Ordering::Relaxed);
        }
        if line.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let (name, count) = (SCENARIOS[boot.scenario].name, of(boot.scenario).count());
            let failed = line.failed.load(Ordering::Relaxed);
            let what = match failed {
                0 => format!("faults in {name}: {count}"),
                _ => format!("faults in {name}: {failed} of {count} failed"),
            };
            print_line(word(failed == 0), started, &what);
        }
        outcome
    });
    let failed = boots.iter().zip(outcomes).filter_map(|(boot, outcome)| {
        let error = outcome.err()?;
        Some(format!("{}: {error:#}", boot.describe(list)))
    });
    failed.collect()
}

/// Does `work` with every item, so many at once; returns what comes of it in order.
fn spread<T: Sync, R: Send>(items: &[T], parallel: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(item);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
