// SPDX-License-Identifier: MIT OR Apache-2.0
//! The work: a child for every processor, each watched and, where its flip took it
//! along, followed by another.

use std::ops::Range;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use blob::load::{Loaded, Series};
use purgatory::abi::Backend;

use super::plan::{Parts, Place, Share};
use super::results::{Outcome, Results};
use crate::host::process::{this_program, wait_until};
use crate::host::tally::by_workers;
use crate::native::arch::MATCHES;

/// The hidden subcommand.
const NAME: &str = "campaign-child";
/// How long a child may take for one flip.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// Makes all flips of a share that have no result yet, on every processor; `progress`
/// learns how many more have one.
pub(crate) fn work(
    blob: &Path,
    path: &Path,
    share: Share,
    progress: impl Fn(u64) + Sync,
) -> Result<Vec<u8>> {
    let results = Results::open(path, share.flips)?;
    let workers = thread::available_parallelism()?.get() as u64;
    let part = |worker| share.flips * worker / workers;
    let ranges: Vec<_> = (0..workers)
        .map(|worker| part(worker)..part(worker + 1))
        .collect();
    let done = by_workers(ranges.len(), &ranges, |range| {
        let begin = |left| start(blob, path, share, left);
        tend(begin, range.clone(), &results, &progress)
            .with_context(|| format!("making {}", path.display()))
    });
    done.into_iter().collect::<Result<()>>()?;
    results.all()
}

/// Sees one child after the other through a range.
fn tend(
    begin: impl Fn(Range<u64>) -> Result<Child>,
    range: Range<u64>,
    results: &Results,
    progress: impl Fn(u64),
) -> Result<()> {
    let mut at = results.first_left(range.clone())?;
    progress(at - range.start);
    while at < range.end {
        let (first, mut since) = (at, Instant::now());
        let mut child = begin(at..range.end)?;
        let outcome = loop {
            let ended = wait_until(&mut child, Instant::now() + LOOK)?;
            let next = results.first_left(at..range.end)?;
            if next > at {
                progress(next - at);
                (at, since) = (next, Instant::now());
            }
            match ended {
                // Beyond what it catches; else what damaged code left behind ended it.
                Some(status) if at < range.end => {
                    ensure!(
                        status.code() != Some(1),
                        "a child of the campaign failed: see what `{NAME}` says"
                    );
                    break (!status.success()).then_some(Outcome::Reported);
                }
                Some(_) => break None,
                None if at < range.end && since.elapsed() > PATIENCE => {
                    child.kill()?;
                    child.wait()?;
                    break Some(Outcome::Hung);
                }
                None => {}
            }
        };
        // A busy machine, or damage from before: it gets another chance.
        if let Some(outcome) = outcome
            && at == first
        {
            results.note(at, outcome)?;
            progress(1);
            at += 1;
        }
    }
    Ok(())
}

fn start(blob: &Path, results: &Path, share: Share, left: Range<u64>) -> Result<Child> {
    let numbers = [
        ("--seed", share.seed),
        ("--backend", share.backend.number().into()),
        ("--from", left.start),
        ("--to", left.end),
    ];
    let mut command = this_program();
    command.arg(NAME).arg(blob).arg(results);
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    // It may end in any way.
    command.stderr(Stdio::null());
    command
        .spawn()
        .context("cannot start a child of the campaign")
}

/// A campaign on trial: of the blob as it is nothing escapes; of one whose check says yes
/// to everything, all that its check would have found.
pub(crate) fn sees(blob: &[u8]) -> Result<()> {
    const FLIPS: u64 = 2000;
    if MATCHES.is_empty() {
        println!("SKIPPED: campaigns run on x86_64 only");
        return Ok(());
    }
    let loaded = Loaded::place(blob, 0x1000, Series::V7_2)?;
    let verify = (loaded.symbol_address("purgatory_verify")? - loaded.mem) as usize;
    let verify = memchr::memmem::find(blob, &loaded.buf[verify..verify + 16]);
    let mut blind = blob.to_vec();
    let verify = blind.get_mut(verify.context("purgatory_verify is not in the file")?..);
    verify.unwrap_or_default()[..MATCHES.len()].copy_from_slice(MATCHES);
    let folder = tempfile::tempdir()?;
    let [file, made] = ["blob.ro", "flips"].map(|name| folder.path().join(name));
    for (bytes, is_blind) in [(blob, false), (&blind, true)] {
        std::fs::write(&file, bytes)?;
        let share = Share {
            seed: u64::from(is_blind),
            backend: Backend::Portable,
            flips: FLIPS,
        };
        // Results are not made anew.
        let _ = std::fs::remove_file(&made);
        let results = work(&file, &made, share, |_| ())?;
        let parts = Parts::of(bytes)?;
        let vouched = (0..FLIPS).filter(|&number| {
            [Place::Memory, Place::Digest].contains(&share.flip(&parts, number).place)
        });
        for number in vouched {
            let outcome = Outcome::from_number(results[number as usize]);
            let wanted = if is_blind {
                Outcome::Escaped
            } else {
                Outcome::Refused
            };
            ensure!(
                outcome == Some(wanted),
                "flip {number} ends in {outcome:?}, not {wanted:?}"
            );
        }
    }
    Ok(())
}
