// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask configure`: sets what a finished blob does beyond the kernel's
//! contract, where it speaks and how it ends.
//!
//! Only `purgatory_config` is written; every other byte stays. A record of
//! another version is refused: its fields would be guesses.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Context, Result};
use blob::arch::Arch;
use blob::config::{COM_PORTS, FULL_SPEED};
use blob::load::File;
use blob::number::{ADDRESS_LIMIT, number};
use blob::{config, get, set};
use clap::ArgGroup;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use purgatory::abi::{Backend, Config};

use crate::host::failure::{read_blob, usage};
use crate::host::output;

/// Options of `cargo xtask configure`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group = ArgGroup::new("setting").multiple(true).required(true))]
pub(crate) struct Options {
    /// The blob, as in `purgatory.ro`
    file: PathBuf,
    /// Speak there and nowhere else (may be given more than once): com1 to com4,
    /// port=0x…, mmio=0x… (registers 4 bytes apart), e9, vga, or none; on riscv64
    /// mmio=0x…, firmware, or none
    #[arg(long = "console", value_name = "CONSOLE", value_parser = console, group = "setting")]
    consoles: Vec<Console>,
    /// Speed of the UARTs
    #[arg(long, value_parser = divisor_of, conflicts_with = "divisor", group = "setting")]
    baud: Option<u16>,
    /// The same, as the divisor of 115200 baud; 0 keeps what the firmware set
    #[arg(long, value_name = "N", group = "setting")]
    divisor: Option<u16>,
    /// Speak on the VGA text screen as well
    #[arg(long, group = "setting")]
    vga: bool,
    /// Speak at entry, during long checks and at the end
    #[arg(long, conflicts_with = "quiet", group = "setting")]
    verbose: bool,
    /// Speak only to refuse
    #[arg(long, group = "setting")]
    quiet: bool,
    /// What follows a refusal: halt, reset, or reset-after=SECONDS
    #[arg(long, value_name = "ACTION", value_parser = action, group = "setting")]
    on_refusal: Option<Action>,
    /// What follows an exception, likewise
    #[arg(long, value_name = "ACTION", value_parser = action, group = "setting")]
    on_exception: Option<Action>,
    /// Hash with this backend, or with portable code where it does not work; auto
    /// takes the fastest that works
    #[arg(long, value_parser = backend(), group = "setting")]
    backend: Option<u32>,
    /// Seconds, roughly, that a report may wait for UARTs in all
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=86_400), group = "setting")]
    patience: Option<u32>,
    /// Print what is set; alone, it changes nothing
    #[arg(long, group = "setting")]
    show: bool,
}

/// Where the blob may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Console {
    Port(u16),
    Memory(u64),
    Debug,
    Vga,
    None,
}

/// What follows a refusal or an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Halt,
    /// After so many seconds.
    Reset(u32),
}

impl Action {
    /// Returns it as the record has it: what, and after how many seconds.
    const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Halt => (Config::HALT, 0),
            Self::Reset(delay) => (Config::RESET, delay),
        }
    }
}

/// Ports that an 8250 takes.
const UART_PORTS: u64 = 8;

/// Runs `cargo xtask configure`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut blob = read_blob(&options.file)?;
    let name = options.file.display();
    let place = config::find(&blob).with_context(|| format!("{name} cannot be configured"))?;
    let arch = File::parse(&blob)?.arch;
    let config = &mut blob[place];
    let found = config.to_vec();
    options.apply(config)?;
    suits(arch, config)?;
    let changed = found != config;
    let words = config::Words(arch, config).to_string();
    if changed {
        output::replace(&options.file, &blob)?;
    }
    print!("{name}\n{words}");
    Ok(())
}

/// Refuses what the architecture does not have.
fn suits(arch: Arch, config: &[u8]) -> Result<()> {
    if get!(config, Config.consoles) & !arch.consoles != 0 {
        return Err(usage(format!(
            "{arch} has neither I/O ports nor a text screen: give mmio=0x…, firmware or none"
        )));
    }
    let backend = Backend::from_number(get!(config, Config.backend));
    match backend.filter(|backend| !arch.backends.contains(backend)) {
        Some(backend) => Err(usage(format!("{arch} has no {}", backend.name()))),
        None => Ok(()),
    }
}

impl Options {
    /// Writes what was asked for into the record.
    fn apply(&self, config: &mut [u8]) -> Result<()> {
        if !self.consoles.is_empty() {
            self.set_consoles(config)?;
        }
        if self.vga {
            let consoles = get!(config, Config.consoles);
            set!(config, Config.consoles, consoles | Config::CONSOLE_VGA);
        }
        if let Some(divisor) = self.baud.or(self.divisor) {
            set!(config, Config.uart_divisor, divisor);
        }
        if self.verbose || self.quiet {
            set!(config, Config.verbosity, u32::from(self.verbose));
        }
        if let Some(action) = self.on_refusal {
            let (action, delay) = action.numbers();
            set!(config, Config.on_refusal, action);
            set!(config, Config.refusal_delay, delay);
        }
        if let Some(action) = self.on_exception {
            let (action, delay) = action.numbers();
            set!(config, Config.on_exception, action);
            set!(config, Config.exception_delay, delay);
        }
        if let Some(backend) = self.backend {
            set!(config, Config.backend, backend);
        }
        if let Some(patience) = self.patience {
            set!(config, Config.patience, patience);
        }
        Ok(())
    }

    fn set_consoles(&self, config: &mut [u8]) -> Result<()> {
        let mut flags = 0;
        for &console in &self.consoles {
            let flag = match console {
                Console::Port(port) => {
                    set!(config, Config.uart_port, port);
                    Config::CONSOLE_PORT
                }
                Console::Memory(address) => {
                    set!(config, Config.uart_mmio, address);
                    Config::CONSOLE_MMIO
                }
                Console::Debug => Config::CONSOLE_DEBUG,
                Console::Vga => Config::CONSOLE_VGA,
                Console::None if self.consoles.len() > 1 || self.vga => {
                    return Err(usage("--console none excludes every other console"));
                }
                Console::None => 0,
            };
            if flags & flag != 0 {
                return Err(usage(
                    "the blob speaks to one UART behind ports and to one in memory: \
                     give each kind of console once",
                ));
            }
            flags |= flag;
        }
        set!(config, Config.consoles, flags);
        Ok(())
    }
}

fn console(text: &str) -> Result<Console, String> {
    if let Some(place) = text.strip_prefix("port=") {
        let port = number(place)?;
        return u16::try_from(port)
            .ok()
            .filter(|_| port + UART_PORTS <= 1 << 16)
            .map(Console::Port)
            .ok_or_else(|| "the last UART begins at port 0xfff8".to_owned());
    }
    if let Some(place) = text.strip_prefix("mmio=") {
        let address = number(place)?;
        return if address == 0 || !address.is_multiple_of(4) {
            Err("registers are 32-bit words: give a multiple of 4, not 0".to_owned())
        } else if address >= ADDRESS_LIMIT {
            Err("no physical address has more than 52 bits".to_owned())
        } else {
            Ok(Console::Memory(address))
        };
    }
    let com = text
        .strip_prefix("com")
        .and_then(|digit| digit.parse::<usize>().ok());
    let port = com.and_then(|number| COM_PORTS.get(number.checked_sub(1)?));
    match (port, text) {
        (Some(&port), _) => Ok(Console::Port(port)),
        (_, "e9" | "firmware") => Ok(Console::Debug),
        (_, "vga") => Ok(Console::Vga),
        (_, "none") => Ok(Console::None),
        _ => Err("give com1 to com4, port=0x…, mmio=0x…, e9 (firmware), vga or none".to_owned()),
    }
}

/// Returns the divisor of a speed.
fn divisor_of(baud: &str) -> Result<u16, String> {
    let baud: u32 = baud
        .parse()
        .map_err(|_| "give a number such as 9600".to_owned())?;
    FULL_SPEED
        .checked_div(baud)
        .filter(|divisor| divisor * baud == FULL_SPEED)
        .and_then(|divisor| u16::try_from(divisor).ok())
        .filter(|&divisor| divisor > 0)
        .ok_or_else(|| format!("a UART divides {FULL_SPEED} by a whole number up to 65535"))
}

/// Takes the name of a backend for its number.
fn backend() -> impl TypedValueParser<Value = u32> {
    let names = Backend::ALL.map(Backend::name);
    PossibleValuesParser::new(["auto"].into_iter().chain(names)).map(|name: String| {
        let known = Backend::ALL
            .into_iter()
            .find(|backend| backend.name() == name);
        known.map_or(0, Backend::number)
    })
}

fn action(text: &str) -> Result<Action, String> {
    match (text, text.strip_prefix("reset-after=").map(str::parse)) {
        ("halt", _) => Ok(Action::Halt),
        ("reset", _) => Ok(Action::Reset(0)),
        (_, Some(Ok(seconds))) => Ok(Action::Reset(seconds)),
        (_, Some(Err(_))) => Err("give whole seconds, as in reset-after=30".to_owned()),
        _ => Err("give halt, reset or reset-after=SECONDS".to_owned()),
    }
}
