// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole boots with one bit flipped, by the first kernel, right before its jump.

use std::time::Duration;

use anyhow::Result;
use blob::get;
use blob::status::Record;
use purgatory::status::{Status, Verdict};
use purgatory_tests::cases::INTACT;
use purgatory_tests::plan::{Flip, exit};

use super::programs::Programs;
use super::{Boot, equipped, observe, prepare};
use crate::vm::run::Stuck;

/// How such a boot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It stopped, or reset the machine, with this verdict on record.
    Stopped(Verdict),
    /// The machine was reset, and the record says nothing.
    Reset,
    /// Neither an end nor a word.
    Hung,
    /// The next kernel found everything as it should be.
    Ran,
    /// The next kernel ran, and something was not.
    RanDamaged,
}

/// Much longer than a boot takes; most of it is firmware and test kernels.
const LIMIT: Duration = Duration::from_secs(30);

/// Boots with the bits of `mask` flipped at what `at` makes of the purgatory's place
/// and the regions.
pub(crate) fn boot(
    programs: &Programs,
    name: &str,
    at: impl FnOnce(u64, &[(u64, u64)]) -> (u64, u8),
) -> Result<Ending> {
    let boot = Boot {
        case: &INTACT,
        state: programs.machine.states[0],
    };
    let (mut image, prepared) = prepare(&boot, programs)?;
    let regions = image.plan.regions.iter().filter(|region| region.len > 0);
    let regions: Vec<_> = regions.map(|region| (region.start, region.len)).collect();
    let (at, mask) = at(image.plan.purgatory.start, &regions);
    image.plan.flips[0] = Flip {
        at,
        mask: mask.into(),
    };
    let (qemu, mut ram, _) = equipped(name, LIMIT, programs, &INTACT)?;
    image.write(&qemu.directory().join("image"))?;
    let mut run = ram.start(qemu)?;
    let observed = observe(&INTACT, programs.machine, &mut run, &ram, &prepared, false);
    let observed = match observed {
        Ok(observed) => observed,
        Err(error) if error.is::<Stuck>() => return Ok(Ending::Hung),
        Err(error) => return Err(error),
    };
    let record: Record = ram.read(prepared.status)?;
    let verdict = Verdict::from_number(get!(record, Status.verdict));
    let is_record = get!(record, Status.magic).to_ne_bytes() == Status::MAGIC;
    let talk = run.text("talk")?;
    let code = |code| (programs.machine.exit_code)(code).cast_signed();
    Ok(match observed.ended {
        _ if !talk.contains("harness: ready\n") => {
            return Err(run.failure("the first kernel did not come as far as its jump"));
        }
        Some(exit) if talk.contains("payload:") => match exit.code == Some(code(exit::PASSED)) {
            true => Ending::Ran,
            false => Ending::RanDamaged,
        },
        None => Ending::Stopped(verdict),
        Some(_) if is_record && verdict != Verdict::None => Ending::Stopped(verdict),
        Some(_) => Ending::Reset,
    })
}
