// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linear frame buffers: true ones, and descriptions that lie.

use super::{Here, exceptions::UNDEFINED};
use crate::{
    arch::x86_64::{DEFAULTS, FIVE_LEVELS, MEMORY},
    cases::{
        Case, Config, Console, Damage, Expect, INTACT, MISMATCH, ScreenInfo, Verdict, When,
        own::Own, rows::raised,
    },
    plan::Range,
};

/// EFI's, in RAM, where every byte that is written can be seen.
const SCREEN: ScreenInfo = ScreenInfo {
    kind: 0x70,
    base: MEMORY.screen,
    width: 1024,
    height: 768,
    stride: 4096,
    depth: 32,
};

/// All but an 8250 in memory.
const ALL: &[Console] = &[
    Console::Ports,
    Console::Debug,
    Console::Screen,
    Console::Framebuffer,
    Console::Ramoops,
];

/// A refusal, drawn.
const fn drawn(name: &'static str, screen: ScreenInfo) -> Case {
    Case {
        name,
        screen: Some(screen),
        ..MISMATCH
    }
}

/// A refusal, told elsewhere only.
const fn a_lie(name: &'static str, screen: ScreenInfo) -> Case {
    Case {
        heard: Some(&[Console::Ports, Console::Debug]),
        ..drawn(name, screen)
    }
}

/// All of them.
pub(super) const CASES: &[Case] = &[
    drawn("framebuffer", SCREEN),
    Case {
        flags: FIVE_LEVELS,
        cpu: "max,la57=on",
        ..drawn("framebuffer-five-levels", SCREEN)
    },
    drawn(
        "framebuffer-of-24-bits",
        ScreenInfo {
            width: 800,
            height: 600,
            stride: 2400,
            depth: 24,
            ..SCREEN
        },
    ),
    drawn(
        "framebuffer-of-16-bits",
        ScreenInfo {
            stride: 2048,
            depth: 16,
            ..SCREEN
        },
    ),
    // Three times as large, with something behind each line.
    drawn(
        "framebuffer-with-margin",
        ScreenInfo {
            kind: 0x23,
            width: 1280,
            height: 1024,
            stride: 5376,
            ..SCREEN
        },
    ),
    // That of a card, which no page table leads to.
    Case {
        devices: &["-vga", "std"],
        screen: Some(ScreenInfo {
            base: 0xfd00_0000,
            ..SCREEN
        }),
        name: "framebuffer-of-a-card",
        ..MISMATCH
    },
    Case {
        screen: Some(SCREEN),
        ..raised(
            DEFAULTS,
            "framebuffer-shows-an-exception",
            &[(When::Hashing, Here::UNDEFINED)],
            UNDEFINED,
        )
    },
    Case {
        name: "quiet-beside-screen-and-zone",
        every_state: true,
        screen: Some(SCREEN),
        zone: Some(b"DBGC\0\0\0\0\0\0\0\0"),
        heard: Some(&[]),
        ..INTACT
    },
    Case {
        devices: &["-vga", "std"],
        screen: Some(SCREEN),
        zone: Some(b"DBGC\0\0\0\0\0\0\0\0"),
        flags: FIVE_LEVELS,
        cpu: "max,la57=on",
        config: Some(Config {
            consoles: ALL,
            ramoops: Range {
                start: MEMORY.zone,
                len: 4096,
            },
            ..DEFAULTS
        }),
        heard: Some(ALL),
        ..drawn("framebuffer-and-all-others", SCREEN)
    },
    // What a good image starts draws itself, even where the purgatory is verbose.
    Case {
        name: "framebuffer-left-to-the-next-kernel",
        screen: Some(SCREEN),
        config: Some(Config {
            verbose: true,
            ..DEFAULTS
        }),
        says: include_str!("../../../../golden/verbose.txt"),
        heard: Some(&[Console::Ports, Console::Debug]),
        ..INTACT
    },
    a_lie("framebuffer-at-0", ScreenInfo { base: 0, ..SCREEN }),
    a_lie(
        "framebuffer-in-a-region",
        ScreenInfo {
            base: MEMORY.ram_disk - 4096,
            ..SCREEN
        },
    ),
    a_lie(
        "framebuffer-above-all-addresses",
        ScreenInfo {
            base: 0xffff_ffff_ffff_f000,
            ..SCREEN
        },
    ),
    a_lie(
        "framebuffer-without-width",
        ScreenInfo { width: 0, ..SCREEN },
    ),
    a_lie(
        "framebuffer-without-lines",
        ScreenInfo {
            height: 0,
            ..SCREEN
        },
    ),
    a_lie(
        "framebuffer-without-depth",
        ScreenInfo { depth: 0, ..SCREEN },
    ),
    a_lie(
        "framebuffer-with-short-stride",
        ScreenInfo {
            stride: 4092,
            ..SCREEN
        },
    ),
    a_lie(
        "framebuffer-of-a-text-screen",
        ScreenInfo { kind: 1, ..SCREEN },
    ),
    // Its boot parameters are nowhere.
    Case {
        damage: Damage::Register("rsi", 38),
        says: concat!(
            "purgatory: refused: the next kernel's argument {rsi} is in no region\n",
            include_str!("../../../../golden/astray.txt")
        ),
        expect: Expect::Refuses(Verdict::Astray),
        ..a_lie("framebuffer-without-parameters", SCREEN)
    },
];
