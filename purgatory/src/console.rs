// SPDX-License-Identifier: MIT OR Apache-2.0
//! The consoles that were configured: a byte goes to every one that still works.
//!
//! Every access is guarded and every wait bounded. A console that faults or does
//! not drain is left alone from then on, and the others go on.

use crate::{
    abi::{Config, Exported, Region},
    arch::{self, Bus},
    config::config,
    memory,
    print::say,
    ramoops::Zone,
    uart::{self, Uart},
};

/// `CONSOLE_` flags of those that were taken into use.
static OPENED: Exported<u32> = Exported::new(0);
/// Of those that still work.
static LIVE: Exported<u32> = Exported::new(0);

/// What is done with a console.
#[derive(Clone, Copy)]
enum Action {
    Open,
    Write(u8),
}

/// Takes the configured ones of these consoles into use, each once.
pub(crate) fn open(asked: u32) {
    let config = config();
    let opened = OPENED.read();
    let new = config.consoles.read() & asked & !opened;
    if opened == 0 {
        uart::wait_at_most(config.patience.read());
    }
    OPENED.write(opened | new);
    LIVE.write(LIVE.read() | new);
    each(new, Action::Open);
    // Said once there is where to say it.
    if (opened | new) & !LIVE.read() & Config::CONSOLE_RAMOOPS != 0 {
        say!(NoRamoops);
    }
}

/// Writes one byte to every console that still works.
#[inline(never)]
pub(crate) fn byte(byte: u8) {
    each(Config::CONSOLES, Action::Write(byte));
}

/// Uses each of these consoles that is live; one is dead once it faults or is stuck.
#[inline(never)]
fn each(consoles: u32, action: Action) {
    for place in 0..6 {
        let console = 1 << place;
        let live = LIVE.read();
        if live & consoles & console != 0 {
            LIVE.write(live & !console);
            if arch::guarded(move || perform(action, console)) == Some(true) {
                LIVE.write(live);
            }
        }
    }
}

/// Does it with one console; false if that is of no use.
fn perform(action: Action, console: u32) -> bool {
    let config = config();
    let uart = match console {
        Config::CONSOLE_PORT => Uart {
            bus: Bus::Ports,
            base: config.uart_port.read().into(),
        },
        Config::CONSOLE_MMIO => Uart {
            bus: Bus::Words,
            base: config.uart_mmio.read(),
        },
        Config::CONSOLE_RAMOOPS => {
            let zone = Zone {
                start: config.ramoops.read(),
                size: config.ramoops_size.read(),
            };
            return match action {
                Action::Open => zone.open(),
                Action::Write(byte) => zone.write(byte),
            };
        }
        _ => {
            return match action {
                Action::Open => arch::open(console),
                Action::Write(byte) => {
                    arch::show(console, byte);
                    true
                }
            };
        }
    };
    match action {
        Action::Open => {
            let registers = Region {
                start: uart.base,
                len: Uart::SPAN,
            };
            // What is to be verified, or runs, is no UART, whatever was configured.
            if console == Config::CONSOLE_MMIO && !memory::is_free(registers) {
                return false;
            }
            uart.open(config.uart_divisor.read());
            true
        }
        Action::Write(b'\n') => uart.send(b'\r') && uart.send(b'\n'),
        Action::Write(byte) => uart.send(byte),
    }
}
