//! The consoles: 8250 by port or in memory, QEMU's debug port, VGA text.
//!
//! Every access is guarded and every wait bounded. A console that faults or does
//! not drain is left alone from then on, and the others go on.
#![expect(unsafe_code, reason = "ports and device memory")]

use core::ptr;

use x86_64::instructions::port::Port;

use super::machine::guarded;
use crate::abi::{CONFIG, Config, Exported};

/// `CONSOLE_` flags of those that still work.
static LIVE: Exported<u32> = Exported::new(0);
/// The next cell of the VGA screen.
static CURSOR: Exported<u64> = Exported::new(0);

/// An 8250: its registers are ports, or words of memory.
#[derive(Clone, Copy)]
enum Uart {
    Ports(u16),
    Memory(u64),
}

impl Uart {
    const DATA: u16 = 0;
    const DIVISOR_HIGH: u16 = 1;
    const LINE_CONTROL: u16 = 3;
    const LINE_STATUS: u16 = 5;

    /// Line control: 8 bits, no parity, 1 stop bit; and access to the divisor.
    const EIGHT_BITS: u8 = 0x03;
    const DIVISOR_ACCESS: u8 = 0x80;
    /// Line status: the transmitter takes a byte.
    const READY: u8 = 0x20;
    /// How often the status is read before the UART counts as stuck, about a
    /// second: a line that is carried over a network stalls now and then. A byte
    /// takes 10 ms at 1,200 baud; reading a port takes about 1 us.
    const PATIENCE: u32 = 1 << 20;

    fn set_divisor(self, divisor: u16) {
        let [low, high] = divisor.to_le_bytes();
        self.write(Self::LINE_CONTROL, Self::DIVISOR_ACCESS | Self::EIGHT_BITS);
        self.write(Self::DATA, low);
        self.write(Self::DIVISOR_HIGH, high);
        self.write(Self::LINE_CONTROL, Self::EIGHT_BITS);
    }

    /// Sends a byte; false if the UART is stuck.
    fn send(self, byte: u8) -> bool {
        for _ in 0..Self::PATIENCE {
            if self.read(Self::LINE_STATUS) & Self::READY != 0 {
                self.write(Self::DATA, byte);
                return true;
            }
        }
        false
    }

    fn read(self, register: u16) -> u8 {
        match self {
            Self::Ports(base) => inb(base.wrapping_add(register)),
            Self::Memory(base) => {
                let word = ptr::with_exposed_provenance::<u32>(word_address(base, register));
                // SAFETY: the address was configured; a fault ends in the guard.
                let [low, ..] = unsafe { word.read_volatile() }.to_le_bytes();
                low
            }
        }
    }

    fn write(self, register: u16, value: u8) {
        match self {
            Self::Ports(base) => outb(base.wrapping_add(register), value),
            Self::Memory(base) => {
                let word = ptr::with_exposed_provenance_mut::<u32>(word_address(base, register));
                // SAFETY: the address was configured; a fault ends in the guard.
                unsafe { word.write_volatile(u32::from(value)) };
            }
        }
    }
}

/// Takes the configured consoles into use, once.
pub fn open_console() {
    if LIVE.read() == 0 {
        LIVE.write(CONFIG.consoles.read());
        each_console(Action::Open);
    }
}

/// Writes one byte to every console that still works.
#[inline(never)]
pub fn console_byte(byte: u8) {
    each_console(Action::Write(byte));
}

/// What is done with a console.
#[derive(Clone, Copy)]
enum Action {
    Open,
    Write(u8),
}

/// Uses every live console; one is dead once it faults or is stuck.
fn each_console(action: Action) {
    for place in 0..4 {
        let console = 1 << place;
        let live = LIVE.read();
        if live & console != 0 {
            LIVE.write(live & !console);
            guarded(|| {
                if perform(action, console) {
                    LIVE.write(live);
                }
            });
        }
    }
}

/// Does it with one console; false if that is stuck.
fn perform(action: Action, console: u32) -> bool {
    let uart = match console {
        Config::CONSOLE_PORT => Uart::Ports(CONFIG.uart_port.read()),
        Config::CONSOLE_MMIO => Uart::Memory(CONFIG.uart_mmio.read()),
        Config::CONSOLE_DEBUG => {
            if let Action::Write(byte) = action {
                outb(0xe9, byte);
            }
            return true;
        }
        _ => {
            match action {
                // 25 empty rows, and the cursor is at the top again.
                Action::Open => (0..25).for_each(|_| show(b'\n')),
                Action::Write(byte) => show(byte),
            }
            return true;
        }
    };
    match action {
        Action::Open => {
            let divisor = CONFIG.uart_divisor.read();
            if divisor != 0 {
                uart.set_divisor(divisor);
            }
            true
        }
        Action::Write(b'\n') => uart.send(b'\r') && uart.send(b'\n'),
        Action::Write(byte) => uart.send(byte),
    }
}

/// Shows a byte on the VGA text screen: 80 columns, 25 rows, from the top, and
/// from the top again. A new line clears the rest of its row.
#[inline(never)]
fn show(byte: u8) {
    const SCREEN: usize = 0xb_8000;
    const COLUMNS: u64 = 80;
    const CELLS: u64 = COLUMNS * 25;
    const LIGHT_GREY: u16 = 0x0700;

    let mut cursor = CURSOR.read();
    loop {
        let shown = if byte == b'\n' { b' ' } else { byte };
        let offset = usize::try_from(cursor).unwrap_or(0).wrapping_mul(2);
        let cell = ptr::with_exposed_provenance_mut::<u16>(SCREEN.wrapping_add(offset));
        // SAFETY: cell `cursor` of the screen, which is below `CELLS`; where no
        // screen is, the write goes nowhere or ends in the guard.
        unsafe { cell.write_volatile(LIGHT_GREY | u16::from(shown)) };
        cursor = cursor.wrapping_add(1);
        if byte != b'\n' || cursor.is_multiple_of(COLUMNS) {
            break;
        }
    }
    CURSOR.write(if cursor < CELLS { cursor } else { 0 });
}

/// Registers in memory are 4 bytes apart.
fn word_address(base: u64, register: u16) -> usize {
    usize::try_from(base.wrapping_add(u64::from(register).wrapping_mul(4))).unwrap_or(0)
}

pub(super) fn inb(port: u16) -> u8 {
    // SAFETY: called where the machine has nothing to lose, or on request.
    unsafe { Port::new(port).read() }
}

pub(super) fn outb(port: u16, value: u8) {
    // SAFETY: called where the machine has nothing to lose, or on request.
    unsafe { Port::new(port).write(value) }
}
