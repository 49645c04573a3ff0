// SPDX-License-Identifier: MIT OR Apache-2.0
//! An 8250 UART, however its registers are reached.

use crate::{abi::Exported, arch::Bus};

/// One UART.
#[derive(Clone, Copy)]
pub(crate) struct Uart {
    /// How its registers are reached.
    pub(crate) bus: Bus,
    /// The first one.
    pub(crate) base: u64,
}

/// How often UARTs may still be asked whether they take a byte.
static POLLS: Exported<u64> = Exported::new(0);

/// Polls in about a second: reading a register takes about 1 us.
const SECOND: u32 = 1 << 20;

/// Sets how long the UARTs may be waited for from now on, in all.
pub(crate) fn wait_at_most(seconds: u32) {
    POLLS.write(u64::from(seconds).wrapping_mul(u64::from(SECOND)));
}

impl Uart {
    const DATA: u16 = 0;
    const DIVISOR_HIGH: u16 = 1;
    const LINE_CONTROL: u16 = 3;
    const LINE_STATUS: u16 = 5;
    /// Bytes of the eight registers, where they lie furthest apart.
    pub(crate) const SPAN: u64 = 32;

    /// Line control: 8 bits, no parity, 1 stop bit; and access to the divisor.
    const EIGHT_BITS: u8 = 0x03;
    const DIVISOR_ACCESS: u8 = 0x80;
    /// Line status: the transmitter takes a byte.
    const READY: u8 = 0x20;

    /// Sets the divisor, unless it is 0. A driver that died while it did so must not
    /// make divisors of what is sent.
    pub(crate) fn open(self, divisor: u16) {
        let mut control = self.read(Self::LINE_CONTROL);
        if divisor != 0 {
            control = Self::DIVISOR_ACCESS | Self::EIGHT_BITS;
            let [low, high] = divisor.to_le_bytes();
            self.write(Self::LINE_CONTROL, control);
            self.write(Self::DATA, low);
            self.write(Self::DIVISOR_HIGH, high);
        }
        if control & Self::DIVISOR_ACCESS != 0 {
            self.write(Self::LINE_CONTROL, control & !Self::DIVISOR_ACCESS);
        }
    }

    /// Sends a byte; false if that takes a second, or all the time that there was. A
    /// line that is carried over a network stalls now and then; a byte takes 10 ms
    /// at 1,200 baud.
    pub(crate) fn send(self, byte: u8) -> bool {
        for _ in 0..SECOND {
            if self.read(Self::LINE_STATUS) & Self::READY != 0 {
                self.write(Self::DATA, byte);
                return true;
            }
            let Some(left) = POLLS.read().checked_sub(1) else {
                break;
            };
            POLLS.write(left);
        }
        false
    }

    fn read(self, register: u16) -> u8 {
        self.bus.read(self.base, register)
    }

    fn write(self, register: u16, value: u8) {
        self.bus.write(self.base, register, value);
    }
}
