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
    uart::{self, Uart},
};

/// `CONSOLE_` flags of those that still work, and [`OPENED`].
static LIVE: Exported<u32> = Exported::new(0);
/// They were taken into use.
const OPENED: u32 = 1 << 31;

/// What is done with a console.
#[derive(Clone, Copy)]
enum Action {
    Open,
    Write(u8),
}

/// Takes the configured consoles into use, once.
pub(crate) fn open() {
    if LIVE.read() == 0 {
        let config = config();
        uart::wait_at_most(config.patience.read());
        LIVE.write(config.consoles.read() | OPENED);
        each(Action::Open);
    }
}

/// Writes one byte to every console that still works.
#[inline(never)]
pub(crate) fn byte(byte: u8) {
    each(Action::Write(byte));
}

/// Uses every live console; one is dead once it faults or is stuck.
fn each(action: Action) {
    for place in 0..4 {
        let console = 1 << place;
        let live = LIVE.read();
        if live & console != 0 {
            LIVE.write(live & !console);
            if arch::guarded(|| perform(action, console)) == Some(true) {
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
        _ => {
            match action {
                // 25 empty rows, and the cursor is at the top again.
                Action::Open if console == Config::CONSOLE_VGA => {
                    (0..25).for_each(|_| arch::show(console, b'\n'));
                }
                Action::Open => (),
                Action::Write(byte) => arch::show(console, byte),
            }
            return true;
        }
    };
    match action {
        Action::Open => {
            let registers = Region {
                start: uart.base,
                len: Uart::SPAN,
            };
            // What is to be verified, or runs, is no UART, whatever was configured.
            if console == Config::CONSOLE_MMIO && memory::is_taken(&registers) {
                return false;
            }
            uart.open(config.uart_divisor.read());
            true
        }
        Action::Write(b'\n') => uart.send(b'\r') && uart.send(b'\n'),
        Action::Write(byte) => uart.send(byte),
    }
}
