//! Judges a boot that is over: how it ended, what was said where, what was
//! touched, and how long it took. Every one of them must be as the case says.

use std::mem::offset_of;

use anyhow::{Context, Result, bail, ensure};
use purgatory::{
    abi::Backend,
    status::{Status, Verdict},
};
use purgatory_tests::{
    cases::{Act, Case, Config, Console, DEFAULTS, Expect, Reset},
    exit, exit_code,
};

use super::{
    Ended, Observed, Ram,
    golden::{self, Facts},
    meaning,
    trace::Trace,
};
use crate::{boot::case::Prepared, vm::qemu::Run};

/// The serial ports of a PC, and what they are called here.
pub(super) const PORTS: [(u16, &str); 4] = [
    (0x3f8, "com1"),
    (0x2f8, "com2"),
    (0x3e8, "com3"),
    (0x2e8, "com4"),
];

const CHIPSET_RESET: u16 = 0xcf9;
const KEYBOARD: u16 = 0x64;
/// The 8254's ports, and the one that gates its channel 2.
const TIMER: [u16; 5] = [0x40, 0x41, 0x42, 0x43, 0x61];

/// Judges everything.
pub(super) fn judge(
    case: &Case,
    run: &Run,
    ram: &Ram,
    prepared: &Prepared,
    observed: &Observed,
    trace: &Trace,
) -> Result<()> {
    let talk = run.text("talk")?;
    ensure!(
        talk.contains("harness: ready\n"),
        "the first kernel did not come as far as its jump"
    );
    // The payload leaves the purgatory's memory alone.
    let verdict = ram.word(prepared.status, offset_of!(Status, verdict))?;
    ending(case, &observed.ended, verdict, &talk)?;
    let number = ram.word(prepared.status, offset_of!(Status, backend))?;
    backend(case, number, &talk)?;
    let nmis = ram.word(prepared.status, offset_of!(Status, nmis))?;
    let sent = case.acts.iter().filter(|(_, act)| matches!(act, Act::Nmi));
    ensure!(
        nmis as usize == sent.count(),
        "{nmis} NMIs are on record, another number was sent"
    );
    touched(case, trace)?;
    if let Expect::Resets(_, by) = case.expect {
        reset(case, trace, by)?;
    }
    divisor(case, ram, trace)?;
    voices(case, run, &prepared.facts, observed, trace)?;
    if case.says.contains("{ms}") {
        pace(&run.text("e9")?)?;
    }
    time(case, trace)
}

fn ending(case: &Case, ended: &Ended, verdict: u32, talk: &str) -> Result<()> {
    let ran = talk.contains("payload:");
    match (case.expect, ended) {
        (Expect::Boots, Ended::Exit(Some(code), _)) => {
            ensure!(
                code.cast_unsigned() == exit_code(exit::PASSED)
                    && talk.ends_with("payload: all checks held\n"),
                "the second kernel found something wrong (exit code {code})"
            );
        }
        (Expect::Boots, Ended::Stopped) => {
            bail!(
                "the purgatory stopped with verdict {verdict} ({})",
                meaning(verdict)
            )
        }
        (Expect::Refuses(_) | Expect::Resets(..), _) if ran => {
            bail!("the second kernel ran; the purgatory should have refused")
        }
        (Expect::Refuses(wanted), Ended::Stopped) => {
            ensure!(verdict == wanted, "verdict {verdict}, not {wanted}");
        }
        (Expect::Resets(wanted, _), Ended::Exit(Some(0), Some(reason))) => {
            ensure!(reason == "guest-reset", "QEMU ended for {reason}");
            ensure!(verdict == wanted, "verdict {verdict}, not {wanted}");
        }
        (Expect::Resets(..), Ended::Stopped) => bail!("the machine halted; no reset"),
        (_, Ended::Exit(code, reason)) => {
            bail!("QEMU ended with code {code:?}, reason {reason:?}")
        }
    }
    Ok(())
}

/// Compares the backend on record with the case, and with the traces that it left.
fn backend(case: &Case, number: u32, talk: &str) -> Result<()> {
    let on_record = Backend::from_number(number);
    let ran = on_record.map_or("none", Backend::name);
    ensure!(
        case.backend.is_empty() || case.backend == ran,
        "backend {ran} hashed, not {}",
        case.backend
    );
    if case.dirty && case.expect == Expect::Boots {
        // Behind every backend that was tried, but the portable one.
        let zeroed = 0xffff;
        ensure!(
            talk.contains(&format!("zeroed vector registers {zeroed:#x}\n")),
            "backend {ran} is on record, but the vector registers are not as it leaves them: \
             those of mask {zeroed:#x} zero, the others as they were"
        );
    }
    Ok(())
}

/// Holds the purgatory to the devices that it was given, and on a quiet good
/// path to none at all.
pub(super) fn touched(case: &Case, trace: &Trace) -> Result<()> {
    let config = case.config.unwrap_or(DEFAULTS);
    let mut allowed: Vec<std::ops::Range<u64>> = Vec::new();
    let mut allow = |port: u16, count: u16| allowed.push(port.into()..(port + count).into());
    if config.verbose || case.expect != Expect::Boots {
        for console in config.consoles {
            match console {
                Console::Ports => allow(config.port, 8),
                Console::Debug => allow(0xe9, 1),
                Console::Memory | Console::Screen => (),
            }
        }
    }
    if config.verbose || reset_after(case) > Some(0) {
        for port in TIMER {
            allow(port, 1);
        }
    }
    if matches!(case.expect, Expect::Resets(..)) {
        allow(CHIPSET_RESET, 1);
        allow(KEYBOARD, 1);
    }
    if config.consoles.contains(&Console::Screen) {
        allowed.push(0xb_8000..0xb_8fa0);
    }
    let stray = trace
        .accesses
        .iter()
        .find(|access| !allowed.iter().any(|range| range.contains(&access.address)));
    if let Some(access) = stray {
        bail!("it touched a device that is none of its business: {access:x?}");
    }
    Ok(())
}

/// Seconds from the end of the report to the reset, where there is to be one.
fn reset_after(case: &Case) -> Option<u32> {
    let exception = case.expect.verdict()? == Verdict::Exception.number();
    case.config.unwrap_or(DEFAULTS).reset_after(exception)
}

/// Compares how the machine was reset, and when.
fn reset(case: &Case, trace: &Trace, by: Reset) -> Result<()> {
    let chipset = trace.written(CHIPSET_RESET).map(|access| access.value);
    ensure!(
        chipset.eq([0x02, 0x06]),
        "port 0xcf9 was not armed and fired"
    );
    let keyboard = trace.written(KEYBOARD).any(|access| access.value == 0xfe);
    let done = match (keyboard, trace.triple_fault) {
        (false, false) => Reset::Chipset,
        (true, false) => Reset::Keyboard,
        (_, true) => Reset::TripleFault,
    };
    ensure!(done == by, "reset by {done:?}, not by {by:?}");
    let Some(seconds @ 1..) = reset_after(case) else {
        return Ok(());
    };
    let announced = trace.written(0xe9).last();
    let fired = trace.written(CHIPSET_RESET).next();
    let waited = announced
        .zip(fired)
        .map(|(announced, fired)| fired.time - announced.time)
        .context("no announcement, or no reset")?;
    ensure!(
        waited >= f64::from(seconds),
        "it waited {waited:.3} s instead of {seconds}"
    );
    Ok(())
}

/// Compares how a UART was set up.
fn divisor(case: &Case, ram: &Ram, trace: &Trace) -> Result<()> {
    let Some(
        config @ Config {
            divisor: 1.., port, ..
        },
    ) = case.config
    else {
        return Ok(());
    };
    let [low, high] = config.divisor.to_le_bytes();
    if config.consoles.contains(&Console::Ports) {
        let writes = trace.accesses.iter().filter(|access| access.write);
        let begun = writes.map(|access| (access.address, access.value)).take(4);
        let port = u64::from(port);
        ensure!(
            begun.eq([
                (port + 3, 0x83),
                (port, low),
                (port + 1, high),
                (port + 3, 0x03)
            ]),
            "the UART was not given divisor {}",
            config.divisor
        );
    }
    if config.consoles.contains(&Console::Memory) {
        ensure!(
            ram.word(config.memory, 4)? == u32::from(high) && ram.word(config.memory, 12)? == 0x03,
            "the UART in memory was not given divisor {}",
            config.divisor
        );
    }
    Ok(())
}

/// Compares what every console carried, the silent ones too.
fn voices(case: &Case, run: &Run, facts: &Facts, observed: &Observed, trace: &Trace) -> Result<()> {
    let port = case.config.unwrap_or(DEFAULTS).port;
    let compare = |console: Console, name: &str, said: &str| {
        let golden = if case.heard.contains(&console) {
            case.says
        } else {
            ""
        };
        golden::compare(golden, facts, said).with_context(|| format!("on {name}"))
    };
    for (number, name) in PORTS {
        let said = run.text(name)?;
        if number == port {
            compare(Console::Ports, name, &unfold(&said)?)?;
        } else {
            ensure!(said.is_empty(), "{name} carried {said:?}");
        }
    }
    if !PORTS.iter().any(|(number, _)| *number == port) {
        let said: String = trace
            .written(port)
            .map(|access| char::from(access.value))
            .collect();
        compare(Console::Ports, "that port", &unfold(&said)?)?;
    }
    compare(Console::Debug, "port 0xe9", &run.text("e9")?)?;
    compare(
        Console::Memory,
        "the 8250 in memory",
        &unfold(&observed.memory)?,
    )?;
    compare(Console::Screen, "the screen", &observed.screen)
}

/// Compares the figures of a verbose check with each other: a line a second
/// after the first two, each with more bytes than the one before, and the rate.
fn pace(said: &str) -> Result<()> {
    let numbers = |line: &str| -> Vec<u64> {
        line.split(' ')
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let lines: Vec<Vec<u64>> = said.lines().skip(1).map(numbers).collect();
    let Some(([bytes, milliseconds, rate], progress)) = lines
        .split_last()
        .and_then(|(last, progress)| Some((last.first_chunk()?, progress)))
    else {
        bail!("there is no line with bytes, time and rate");
    };
    // The purgatory knows the time in us, and cuts it off to say it in ms.
    let microseconds = milliseconds * 1000;
    let slowest = bytes / (microseconds + 999);
    let fastest = bytes.checked_div(microseconds).unwrap_or(u64::MAX);
    ensure!(
        (slowest..=fastest).contains(rate),
        "{bytes} bytes in {milliseconds} ms are not {rate} MB/s"
    );
    let seconds = milliseconds / 1000;
    ensure!(
        (seconds.saturating_sub(3)..=seconds.saturating_sub(1)).contains(&(progress.len() as u64)),
        "{} lines of progress in {milliseconds} ms",
        progress.len()
    );
    ensure!(
        progress.is_sorted_by(|one, next| one < next),
        "the progress goes backwards"
    );
    Ok(())
}

/// Turns the line ends of a serial line into those of a text.
pub(super) fn unfold(said: &str) -> Result<String> {
    let text = said.replace("\r\n", "\n");
    ensure!(
        !text.contains('\r') && text.matches('\n').count() == said.matches("\r\n").count(),
        "a serial line ends its lines with a bare line feed or carriage return"
    );
    Ok(text)
}

fn time(case: &Case, trace: &Trace) -> Result<()> {
    let mut accesses = trace.accesses.iter();
    let (Some(first), Some(last)) = (accesses.next(), accesses.next_back()) else {
        return Ok(());
    };
    let took = last.time - first.time;
    ensure!(
        took <= case.seconds as f64,
        "it took {took:.1} s, more than {}",
        case.seconds
    );
    Ok(())
}

/// The last line that a case says, to wait for.
pub(super) fn last_line(case: &Case, facts: &Facts) -> String {
    let ending = facts.get("ending").map_or("", String::as_str);
    let last = case.says.lines().last().unwrap_or_default();
    format!("{}\r\n", last.replace("{ending}", ending))
}

#[cfg(test)]
mod tests {
    use super::pace;

    #[test]
    fn a_rate_fits_its_time_to_the_microsecond() {
        let fits = |rate| {
            let said =
                "purgatory: verifying\npurgatory: verified 1339392 bytes with sha-ni in 9 ms";
            pace(&format!("{said}, {rate} MB/s\n")).is_ok()
        };
        assert!(fits(133) && fits(148));
        assert!(!fits(132) && !fits(149));
    }
}
