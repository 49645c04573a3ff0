// SPDX-License-Identifier: MIT OR Apache-2.0
//! Consoles: each alone, all, none, and those that do not work; and verbosity.

use super::Here;
use crate::arch::x86_64::{DEFAULTS, MEMORY};
use crate::cases::own::Own;
use crate::cases::rows::{memory, told};
use crate::cases::{Act, Case, Config, Console, INTACT, MISMATCH, Regions, When};

/// A page of RAM that can play an 8250 in memory.
const UART_PAGE: u64 = MEMORY.uart;

/// Line status of an 8250 that takes a byte.
const READY: Option<u8> = Some(0x60);

const fn alone(name: &'static str, consoles: &'static [Console]) -> Case {
    told(
        name,
        Config {
            consoles,
            ..DEFAULTS
        },
        consoles,
    )
}

const fn port(name: &'static str, port: u16, divisor: u16) -> Case {
    let consoles = &[Console::Ports];
    told(
        name,
        Config {
            consoles,
            port,
            divisor,
            ..DEFAULTS
        },
        consoles,
    )
}

/// All of them.
pub(super) const CASES: &[Case] = &[
    alone("console-debug-port", &[Console::Debug]),
    port("console-com1", 0x3f8, 0),
    port("console-com2-with-divisor", 0x2f8, 3),
    port("console-com3", 0x3e8, 0),
    port("console-com4", 0x2e8, 1),
    Case {
        devices: &["-vga", "std"],
        ..alone("console-screen", &[Console::Screen])
    },
    // 25 lines: the longest report that there is.
    Case {
        regions: Regions::Sixteen,
        devices: &["-vga", "std"],
        says: include_str!("../../../../golden/sixteen.txt"),
        ..alone("console-screen-filled", &[Console::Screen])
    },
    // Writes go nowhere, where no card is.
    told(
        "console-screen-without-card",
        Config {
            consoles: &[Console::Screen, Console::Debug],
            ..DEFAULTS
        },
        &[Console::Debug],
    ),
    Case {
        name: "console-memory-with-divisor",
        uart: READY,
        config: Some(Config {
            consoles: &[Console::Memory],
            memory: UART_PAGE,
            divisor: 0x102,
            ..DEFAULTS
        }),
        heard: Some(&[Console::Memory]),
        ..MISMATCH
    },
    Case {
        devices: &["-vga", "std"],
        uart: READY,
        ..told(
            "console-all",
            Config {
                consoles: &[
                    Console::Ports,
                    Console::Memory,
                    Console::Debug,
                    Console::Screen,
                ],
                memory: UART_PAGE,
                ..DEFAULTS
            },
            &[
                Console::Ports,
                Console::Memory,
                Console::Debug,
                Console::Screen,
            ],
        )
    },
    memory(
        DEFAULTS,
        "console-memory-of-nothing",
        MEMORY.unmapped,
        &[Console::Debug],
    ),
    // The I/O APIC, which is never ready: no kernel's kexec map has device memory.
    memory(
        DEFAULTS,
        "console-memory-of-another-device",
        0xfec0_0000,
        &[Console::Debug],
    ),
    // Nothing there: every read is 0xFF, which looks ready, and all is written.
    told(
        "console-port-stuck-at-ff",
        Config {
            port: 0x1a0,
            ..DEFAULTS
        },
        DEFAULTS.consoles,
    ),
    // This device reads as 0, so the UART never gets ready; a write would end QEMU.
    Case {
        devices: &["-device", "isa-debug-exit,iobase=0x1a0,iosize=8"],
        ..told(
            "console-port-stuck-at-0",
            Config {
                port: 0x1a0,
                ..DEFAULTS
            },
            &[Console::Debug],
        )
    },
    Case {
        name: "verbose-nmi",
        every_state: true,
        config: Some(Here::VERBOSE),
        acts: &[(When::Hashing, Act::Nmi)],
        says: "purgatory: verifying\n\
               purgatory: verified {bytes} bytes with {backend} in {time} ms, {rate} MB/s, entering {entry}\n\
               purgatory: NMIs: 1\n",
        ..INTACT
    },
    Case {
        name: "verbose-refusal-on-screen",
        every_state: true,
        devices: &["-vga", "std"],
        config: Some(Config {
            consoles: &[Console::Screen],
            ..Here::VERBOSE
        }),
        heard: Some(&[Console::Screen]),
        says: concat!(
            "purgatory: verifying\n",
            include_str!("../../../../golden/mismatch.txt")
        ),
        ..MISMATCH
    },
    // No timer to measure the clock with: neither time nor progress is told.
    Case {
        name: "verbose-without-timer",
        machine: "microvm,pit=off,pic=off,rtc=off",
        config: Some(Here::VERBOSE),
        says: "purgatory: verifying\n\
               purgatory: verified {bytes} bytes with {backend} in {cycles} cycles, entering {entry}\n",
        ..INTACT
    },
    // By instructions, each 4 ns, not by the host's clock: always as long.
    Case {
        name: "verbose-long-check",
        every_state: true,
        cpu: "qemu64",
        devices: &["-icount", "shift=2,sleep=off"],
        regions: Regions::Large(32),
        config: Some(Here::VERBOSE),
        says: include_str!("../../../../golden/verbose-long.txt"),
        seconds: 120,
        ..INTACT
    },
];
