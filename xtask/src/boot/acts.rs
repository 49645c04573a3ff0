// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to a purgatory while it runs, by a debugger.
//!
//! The guest begins stopped, runs to the purgatory's entry, and from there from
//! one exported word to the next: no symbol of the code is needed, so that any
//! blob can be put to the test.

use std::mem::offset_of;

use anyhow::{Context as _, Result};
use purgatory::abi::Config;
use purgatory::status::{Phase, Status};
use purgatory_tests::cases::{Act, When};
use serde_json::json;

use super::case::Prepared;
use crate::vm::gdb::{Debugger, Watch};
use crate::vm::run::Run;

/// Runs to the entry of the purgatory.
pub(super) fn to_entry(run: &Run, prepared: &Prepared) -> Result<Debugger> {
    let mut debugger = run.debugger()?;
    debugger.set_breakpoint(prepared.entry)?;
    debugger.resume()?;
    debugger.wait_stop()?;
    debugger.clear_breakpoint(prepared.entry)?;
    Ok(debugger)
}

/// Does `acts`, each at its moment; the guest is stopped at the last one.
pub(super) fn perform(
    run: &mut Run,
    debugger: &mut Debugger,
    prepared: &Prepared,
    acts: &[(When, Act)],
) -> Result<()> {
    for (when, act) in acts {
        wait(debugger, prepared, *when).with_context(|| format!("waiting for {when:?}"))?;
        match act {
            Act::Nmi => {
                run.monitor()?.execute("inject-nmi", json!({}))?;
            }
            Act::Monitor(command) => {
                run.monitor()?.human(command)?;
            }
            Act::Flip(region, byte) => {
                let address = prepared.byte(*region, *byte)?;
                debugger.flip(address, 4)?;
            }
            Act::Answer => debugger.flip(prepared.answer, 0)?,
            // In the place of a function that no boot calls.
            Act::Run(code) => {
                debugger.write(prepared.verify, code)?;
                debugger.set_pc(prepared.verify)?;
            }
        }
    }
    Ok(())
}

fn wait(debugger: &mut Debugger, prepared: &Prepared, when: When) -> Result<()> {
    let (watch, address) = match when {
        When::Hashing => (
            Watch::Write,
            prepared.status + offset_of!(Status, bytes) as u64,
        ),
        When::Entered | When::Faulted => (
            Watch::Write,
            prepared.status + offset_of!(Status, phase) as u64,
        ),
        When::Doubting => (
            Watch::Write,
            prepared.status + offset_of!(Status, doubted) as u64,
        ),
        When::Opening => (
            Watch::Read,
            prepared.config + offset_of!(Config, consoles) as u64,
        ),
    };
    debugger.set_watchpoint(watch, address)?;
    loop {
        debugger.resume()?;
        debugger.wait_stop()?;
        let come = match when {
            // The count is set to 0 before it counts.
            When::Hashing => word(debugger, address)? > 0,
            When::Faulted => word(debugger, address)? == Phase::Faulted.number(),
            When::Opening => true,
            When::Entered => word(debugger, address)? == Phase::Entered.number(),
            When::Doubting => word(debugger, address)? != 0,
        };
        if come {
            return debugger.clear_watchpoint(watch, address);
        }
    }
}

/// Hears an 8250 that a page of RAM plays: every byte written to its data
/// register while that is not the divisor, up to and with the line `last`.
pub(super) fn hear(debugger: &mut Debugger, uart: u64, last: &str) -> Result<String> {
    const LINE_CONTROL: u64 = 3 * 4;
    const DIVISOR_ACCESS: u32 = 0x80;
    let mut said = String::new();
    debugger.set_watchpoint(Watch::Write, uart)?;
    while !said.ends_with(last) {
        debugger.resume()?;
        debugger
            .wait_stop()
            .with_context(|| format!("the 8250 in memory has been told only {said:?}"))?;
        if word(debugger, uart + LINE_CONTROL)? & DIVISOR_ACCESS == 0 {
            said.extend(char::from_u32(word(debugger, uart)?));
        }
    }
    debugger.clear_watchpoint(Watch::Write, uart)?;
    Ok(said)
}

fn word(debugger: &mut Debugger, address: u64) -> Result<u32> {
    let bytes = debugger.read(address, 4)?;
    Ok(bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes)))
}
