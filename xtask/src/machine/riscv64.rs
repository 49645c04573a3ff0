// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's `virt`, with the firmware that it brings.

use std::ops::Range;

use anyhow::{Context as _, Result};
use purgatory::abi::Backend;
use purgatory_tests::arch::riscv64 as guests;
use purgatory_tests::arch::riscv64::{
    DEFAULTS, EXIT, IMAGE_AT, MEMORY, PAYLOAD, RAM, STATES, TALK, THROUGH,
};
use purgatory_tests::cases::{Case, Config, Console, Expect, Reset};
use purgatory_tests::plan;

use super::{Access, Ask, Machine, is_complete, works};
use crate::host::needs::Need;

pub(super) static MACHINE: Machine = Machine {
    program: "qemu-system-riscv64",
    versions: VERSIONS,
    lacks: "vectors that hash",
    best: [Backend::Zvknh; 2],
    needs: &[
        Need {
            check: works,
            optional: false,
            packages: PACKAGES,
            versions: VERSIONS,
            or: "",
        },
        Need {
            check: is_complete,
            optional: true,
            packages: PACKAGES,
            versions: VERSIONS,
            or: "",
        },
    ],
    user: ("qemu-riscv64", &["max", "max,vlen=256", "rv64,zknh=true"]),
    pc: 32,
    stops_early: true,
    is_halted,
    // Behind `wfi`, where a halted processor is, or at `j .`, of either length.
    is_at_rest: |code| {
        matches!(
            code,
            [0x73, 0x00, 0x50, 0x10, ..] | [.., 0x01, 0xa0] | [.., 0x6f, 0x00]
        )
    },
    machine: "virt",
    cpu: "max",
    boots_linux: false,
    linux: &["-machine", "virt", "-cpu", "max", "-m", "1G", "-smp", "2"],
    crashes_elsewhere: true,
    has_module: false,
    early: "earlycon=sbi",
    ram: |size| {
        vec![plan::Range {
            start: RAM,
            len: size,
        }]
    },
    firmware: 0,
    image_at: |_, _| IMAGE_AT,
    image: |file| {
        let loader = format!("loader,file={file},addr={IMAGE_AT:#x},force-raw=on");
        ["-device".to_owned(), loader]
    },
    serial: &[],
    debug: None,
    debug_address: UART,
    screen: None,
    harness: ("harness_start", MEMORY.harness.start),
    script: Some("tests/harness/src/arch/riscv64/link.ld"),
    payload: ("payload_start", PAYLOAD),
    memory: MEMORY,
    window: |address| address,
    has_root: false,
    tree: Some(tree),
    talk: || "virtconsole".to_owned(),
    talk_address: TALK,
    other: || "virtio-serial-device,bus=virtio-mmio-bus.0".to_owned(),
    exit_code: |value| value,
    through: &THROUGH,
    stack: None,
    info: None,
    parameters: "a1",
    tick: 100.0,
    counts: &[
        (Backend::Portable, 60.0),
        (Backend::Zknh, 25.0),
        (Backend::Zvknh, 6.0),
    ],
    cases: guests::cases::CASES,
    faults: false,
    states: &STATES,
    defaults: DEFAULTS,
    devices,
    zeroed,
    reset,
};

const PACKAGES: [&str; 4] = [
    "qemu-system-misc",
    "qemu-system-riscv",
    "qemu-system-riscv",
    "qemu",
];
/// 9.0 is the first QEMU whose vector SHA-256 is no experiment.
const VERSIONS: [(u32, u32); 2] = [(9, 0); 2];

/// The 8250 that the firmware speaks on.
const UART: u64 = 0x1000_0000;

/// A halted processor is behind `wfi`; QEMU does not say in a word that it is halted.
fn is_halted(ask: Ask<'_>) -> Result<bool> {
    const WFI: &str = "0x10500073";
    let registers = ask("info registers")?;
    let mut words = registers.split_whitespace();
    let pc = words.find(|word| *word == "pc").and_then(|_| words.next());
    let pc = u64::from_str_radix(pc.context("QEMU names no pc")?, 16)?;
    Ok(ask(&format!("xp /1wx {:#x}", pc.wrapping_sub(4)))?.contains(WFI))
}

/// None at all on a quiet good path; what the firmware does counts.
fn devices(case: &Case, config: &Config) -> Vec<Range<u64>> {
    let mut allowed = Vec::new();
    let speaks = config.verbose || case.expect != Expect::Boots || !case.says.is_empty();
    if speaks && config.consoles.contains(&Console::Debug) {
        allowed.push(UART..UART + 8);
    }
    if matches!(case.expect, Expect::Resets(..)) {
        allowed.push(EXIT..EXIT + 4);
    }
    allowed
}

/// Those of the vector backend, or all behind one that is none.
const fn zeroed(backend: Option<Backend>) -> u32 {
    match backend {
        Some(Backend::Zvknh) => 0x7ff,
        _ => u32::MAX,
    }
}

fn reset(accesses: &[Access], _: bool) -> Result<(Reset, Access)> {
    // What QEMU's test device takes as a reset (`hw/misc/sifive_test.c`).
    let asked = |access: &&Access| access.writes(EXIT) && access.value == 0x77;
    let first = accesses.iter().find(asked).context("no reset")?;
    Ok((Reset::Firmware, *first))
}

/// A device tree (Devicetree specification, chapter 5) with what the purgatory looks
/// for: how fast the timer runs, and the UART.
fn tree() -> Vec<u8> {
    const BEGIN: u32 = 1;
    const END: u32 = 2;
    const PROPERTY: u32 = 3;
    const LAST: u32 = 9;
    let (mut nodes, mut names) = (Vec::new(), Vec::new());
    let aligned = |nodes: &mut Vec<u8>, bytes: &[u8]| {
        nodes.extend_from_slice(bytes);
        nodes.resize(nodes.len().next_multiple_of(4), 0);
    };
    let mut node = |name: &str, properties: &[(&str, &[u8])]| {
        nodes.extend(BEGIN.to_be_bytes());
        aligned(&mut nodes, format!("{name}\0").as_bytes());
        for (name, value) in properties {
            for word in [PROPERTY, value.len() as u32, names.len() as u32] {
                nodes.extend(word.to_be_bytes());
            }
            aligned(&mut nodes, value);
            names.extend(format!("{name}\0").bytes());
        }
    };
    node("", &[]);
    node(
        "cpus",
        &[("timebase-frequency", &10_000_000_u32.to_be_bytes())],
    );
    let place = [0, UART as u32, 0, 0x100].map(u32::to_be_bytes);
    let uart: [(&str, &[u8]); 2] = [("compatible", b"ns16550a\0"), ("reg", place.as_flattened())];
    node("serial", &uart);
    for word in [END, END, END, LAST] {
        nodes.extend(word.to_be_bytes());
    }
    // Header, and the end of a list of reserved memory.
    let (start, end) = (56, 56 + nodes.len() as u32);
    let size = end + names.len() as u32;
    let header = [
        0xd00d_feed,
        size,
        start,
        end,
        40,
        17,
        16,
        0,
        names.len() as u32,
        nodes.len() as u32,
    ];
    let header = header.map(u32::to_be_bytes);
    [header.as_flattened(), &[0; 16], &nodes, &names].concat()
}
