// SPDX-License-Identifier: MIT OR Apache-2.0
//! `purgatory_config` in a finished blob: where it is, and what it says.

use std::fmt;
use std::mem::offset_of;
use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use purgatory::abi::{Backend, Config};

use crate::arch::Arch;
use crate::get;
use crate::load::File;

/// The UARTs of a PC, by number.
pub const COM_PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
/// The highest speed of an 8250.
pub const FULL_SPEED: u32 = 115_200;

/// Finds the record in the file's bytes.
pub fn find(blob: &[u8]) -> Result<Range<usize>> {
    let file = File::parse(blob)?;
    let symbol = file
        .find_symbol("purgatory_config")?
        .context("it has no purgatory_config: it is not a blob of this project")?;
    let section = &file.sections[usize::from(symbol.section.0)];
    let start = section
        .offset
        .checked_add(symbol.value)
        .and_then(|start| usize::try_from(start).ok());
    let record = start.and_then(|start| {
        let size = usize::try_from(symbol.size).ok()?;
        Some(start..start.checked_add(size)?)
    });
    let record = record
        .filter(|record| !section.is_nobits() && record.end <= blob.len())
        .context("its purgatory_config is not inside the file")?;
    // Magic, version and size come first in every version.
    ensure!(
        record.len() >= offset_of!(Config, consoles),
        "its purgatory_config has {} bytes, too few for any version",
        record.len()
    );
    let bytes = &blob[record.clone()];
    ensure!(
        get!(bytes, Config.magic).to_ne_bytes() == Config::MAGIC,
        "its purgatory_config does not begin with {}: it is no blob of this project, or damaged",
        Config::MAGIC.escape_ascii()
    );
    let version = get!(bytes, Config.version);
    ensure!(
        version == Config::VERSION,
        "its purgatory_config has version {version}, this tool knows {}: use the tool that the blob came with",
        Config::VERSION
    );
    let size = get!(bytes, Config.size);
    ensure!(
        size as usize == size_of::<Config>() && record.len() == size_of::<Config>(),
        "its purgatory_config says {size} bytes and has {}, version {version} has {}: the file is damaged",
        record.len(),
        size_of::<Config>()
    );
    Ok(record)
}

/// The record of an architecture's blob in words.
pub struct Words<'a>(pub Arch, pub &'a [u8]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(arch, config) = *self;
        let port = get!(config, Config.uart_port);
        let mut port_name = format!("8250 at port {port:#x}");
        if let Some(index) = COM_PORTS.iter().position(|&com| com == port) {
            port_name += &format!(" (COM{})", index + 1);
        }
        let memory_name = format!("8250 in memory at {:#x}", get!(config, Config.uart_mmio));
        let flags = get!(config, Config.consoles);
        let consoles: Vec<_> = [
            (Config::CONSOLE_PORT, port_name.as_str()),
            (Config::CONSOLE_MMIO, &memory_name),
            (Config::CONSOLE_DEBUG, arch.debug_console),
            (Config::CONSOLE_VGA, "VGA text"),
            (Config::CONSOLE_FRAMEBUFFER, "frame buffer (reports only)"),
        ]
        .into_iter()
        .filter_map(|(flag, name)| (flags & flag != 0).then_some(name))
        .collect();
        let consoles = match consoles[..] {
            [] => "none: it never speaks".to_owned(),
            _ => consoles.join(", "),
        };
        writeln!(formatter, "  consoles    {consoles}")?;
        if flags & Config::CONSOLE_RAMOOPS != 0 {
            let (zone, size) = (
                get!(config, Config.ramoops),
                get!(config, Config.ramoops_size),
            );
            writeln!(formatter, "  ramoops     {size:#x} bytes at {zone:#x}")?;
        }
        if flags & (Config::CONSOLE_PORT | Config::CONSOLE_MMIO) != 0 {
            match get!(config, Config.uart_divisor) {
                0 => writeln!(formatter, "  speed       as the firmware set it")?,
                divisor => {
                    let baud = FULL_SPEED / u32::from(divisor);
                    writeln!(formatter, "  speed       {baud} baud (divisor {divisor})")?;
                }
            }
        }
        let speaks = match get!(config, Config.verbosity) {
            0 => "only to refuse",
            _ => "at entry, during long checks and at the end; and to refuse",
        };
        if flags != 0 {
            writeln!(formatter, "  speaks      {speaks}")?;
        }
        if flags & (Config::CONSOLE_PORT | Config::CONSOLE_MMIO) != 0 {
            let patience = get!(config, Config.patience);
            writeln!(formatter, "  patience    about {patience} s a report")?;
        }
        let number = get!(config, Config.backend);
        let backend = match Backend::from_number(number) {
            Some(Backend::Portable) => "portable".to_owned(),
            Some(backend) => format!("{}, else portable", backend.name()),
            None if number == 0 => "the fastest that works".to_owned(),
            None => format!("number {number}, which is none: portable"),
        };
        writeln!(formatter, "  backend     {backend}")?;
        let action = |action, delay| match (action, delay) {
            (Config::RESET, 0) => "resets the machine".to_owned(),
            (Config::RESET, delay) => format!("resets the machine after {delay} s"),
            _ => "halts".to_owned(),
        };
        let refusal = action(
            get!(config, Config.on_refusal),
            get!(config, Config.refusal_delay),
        );
        let exception = action(
            get!(config, Config.on_exception),
            get!(config, Config.exception_delay),
        );
        writeln!(formatter, "  refusal     {refusal}")?;
        writeln!(formatter, "  exception   {exception}")
    }
}
