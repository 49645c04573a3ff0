// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many instructions a backend takes for a byte: QEMU counts them, where each is
//! made to take a nanosecond.

use std::time::Duration;

use anyhow::{Result, ensure};
use blob::get;
use blob::status::Record;
use purgatory::abi::Backend;
use purgatory::status::Status;
use purgatory_tests::cases::{Case, Config, INTACT, Regions};
use purgatory_tests::plan::exit;

use super::programs::Programs;
use super::{Boot, bare, prepare};

const LIMIT: Duration = Duration::from_secs(300);
const ARGUMENTS: [&str; 2] = ["-icount", "shift=0,sleep=off"];

/// Counts them over 8 MiB and what there is besides; `tick` is that of the clock, in
/// nanoseconds.
pub(crate) fn per_byte(programs: &Programs, backend: Backend, tick: f64) -> Result<f64> {
    let machine = programs.machine;
    let case = Case {
        regions: Regions::Large(8),
        config: Some(Config {
            backend: backend.number(),
            ..machine.defaults
        }),
        ..INTACT
    };
    let boot = Boot {
        case: &case,
        state: machine.states[0],
    };
    let (image, prepared) = prepare(&boot, programs)?;
    let (qemu, mut ram) = bare("count", LIMIT, programs, &case)?;
    image.write(&qemu.directory().join("image"))?;
    let mut run = ram.start(qemu.args(ARGUMENTS))?;
    let code = run.wait_exit()?.code.map(i32::cast_unsigned);
    let passed = (machine.exit_code)(exit::PASSED);
    ensure!(
        code == Some(passed),
        "{}",
        run.failure("the second kernel found something wrong")
    );
    let record: Record = ram.read(prepared.status)?;
    let ran = get!(record, Status.backend);
    ensure!(ran == backend.number(), "backend {ran} hashed");
    let (ticks, bytes) = (get!(record, Status.cycles), get!(record, Status.bytes));
    Ok(ticks as f64 * tick / bytes as f64)
}
