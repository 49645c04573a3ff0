// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PC, or one of QEMU's smaller relatives of it.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use blob::config::COM_PORTS;
use purgatory::abi::Backend;
use purgatory_tests::arch::x86_64 as guests;
use purgatory_tests::arch::x86_64::{DEFAULTS, EXIT_PORT, MEMORY, PAYLOAD, STATES, TALK_PORT};
use purgatory_tests::cases::{Case, Config, Console, Expect, Reset, Verdict};
use purgatory_tests::plan;

use super::{Access, Machine, is_complete, works};
use crate::host::needs::Need;

pub(super) static MACHINE: Machine = Machine {
    program: "qemu-system-x86_64",
    versions: VERSIONS,
    lacks: "SHA-NI",
    best: [Backend::Sse2, Backend::ShaNi],
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
    user: ("qemu-x86_64", &["max"]),
    pc: 16,
    stops_early: false,
    is_halted: |ask| Ok(ask("info registers")?.contains("HLT=1")),
    // Behind `hlt`, where a halted processor is, or at `jmp .`.
    is_at_rest: |code| matches!(code, [.., 0xf4, _, _] | [.., 0xeb, 0xfe]),
    machine: "pc",
    cpu: "max",
    boots_linux: true,
    linux: &["-machine", "q35", "-cpu", "max", "-m", "1G"],
    crashes_elsewhere: false,
    has_module: true,
    early: "earlyprintk=ttyS0",
    ram,
    firmware: MIB,
    image_at: |end, size| end - size,
    image: |file| ["-initrd".to_owned(), file.to_owned()],
    serial: &[
        (COM_PORTS[0] as u64, "com1"),
        (COM_PORTS[1] as u64, "com2"),
        (COM_PORTS[2] as u64, "com3"),
        (COM_PORTS[3] as u64, "com4"),
    ],
    debug: Some("isa-debugcon,iobase=0xe9"),
    debug_address: DEBUG,
    screen: Some((SCREEN, 80, 25)),
    harness: ("pvh_start", MEMORY.harness.start),
    script: None,
    payload: ("payload_start", PAYLOAD),
    memory: MEMORY,
    window: |address| 0_u64.wrapping_sub(6 * MIB) | address & (2 * MIB - 1),
    has_root: true,
    tree: None,
    talk: || format!("isa-debugcon,iobase={TALK_PORT:#x}"),
    talk_address: TALK_PORT as u64,
    other: || format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4"),
    exit_code: guests::exit_code,
    through: &[],
    stack: Some("rsp"),
    info: Some("rdi"),
    parameters: "rsi",
    tick: 0.0,
    counts: &[],
    cases: guests::cases::CASES,
    faults: true,
    states: &STATES,
    defaults: DEFAULTS,
    devices,
    zeroed,
    reset,
};

const PACKAGES: [&str; 4] = [
    "qemu-system-x86",
    "qemu-system-x86-core",
    "qemu-system-x86",
    "qemu",
];
/// 8.2 is the first QEMU that emulates SHA-NI.
const VERSIONS: [(u32, u32); 2] = [(7, 2), (8, 2)];

const SCREEN: u64 = 0xb_8000;
const DEBUG: u64 = 0xe9;
const CHIPSET_RESET: u64 = 0xcf9;
const KEYBOARD: u64 = 0x64;
/// The 8254's ports, and the one that gates its channel 2.
const TIMER: [u64; 5] = [0x40, 0x41, 0x42, 0x43, 0x61];

const MIB: u64 = 1 << 20;

/// Where QEMU's `pc` stops to put RAM below 4 GiB; with as much as that or more, the
/// rest goes above (`hw/i386/pc_piix.c`).
fn ram(size: u64) -> Vec<plan::Range> {
    const LOW_END: u64 = 3 << 30;
    const SPLIT_FROM: u64 = 0xe000_0000;
    let low = if size >= SPLIT_FROM { LOW_END } else { size };
    let range = |start, len| plan::Range { start, len };
    let both = [range(0, low), range(4 << 30, size - low)];
    both.into_iter().filter(|range| range.len > 0).collect()
}

/// None at all on a quiet good path.
fn devices(case: &Case, config: &Config) -> Vec<Range<u64>> {
    let byte = |port: u64| port..port + 1;
    let mut allowed = Vec::new();
    if config.verbose || case.expect != Expect::Boots || !case.says.is_empty() {
        allowed.extend(config.consoles.iter().filter_map(|console| match console {
            Console::Ports => Some(config.port.into()..u64::from(config.port) + 8),
            Console::Debug => Some(byte(DEBUG)),
            Console::Memory => Some(config.memory..config.memory.saturating_add(32)),
            Console::Screen | Console::Framebuffer | Console::Ramoops => None,
        }));
    }
    let exception = case.expect.verdict() == Some(Verdict::Exception);
    let recorded = config.consoles.contains(&Console::Ramoops);
    if config.verbose || recorded || config.reset_after(exception) > Some(0) {
        allowed.extend(TIMER.map(byte));
    }
    if matches!(case.expect, Expect::Resets(..)) {
        allowed.extend([CHIPSET_RESET, KEYBOARD].map(byte));
    }
    if config.consoles.contains(&Console::Screen) {
        allowed.push(SCREEN..SCREEN + 2 * 80 * 25);
    }
    allowed
}

/// All, behind every backend that was tried but the portable one.
const fn zeroed(_: Option<Backend>) -> u32 {
    0xffff
}

fn reset(accesses: &[Access], shut_down: bool) -> Result<(Reset, Access)> {
    let written = |port| accesses.iter().filter(move |access| access.writes(port));
    let chipset = written(CHIPSET_RESET).map(|access| access.value);
    ensure!(
        chipset.eq([0x02, 0x06]),
        "port 0xcf9 was not armed and fired"
    );
    let keyboard = written(KEYBOARD).any(|access| access.value == 0xfe);
    let way = match (keyboard, shut_down) {
        (false, false) => Reset::Chipset,
        (true, false) => Reset::Keyboard,
        (_, true) => Reset::TripleFault,
    };
    let first = written(CHIPSET_RESET).next().context("no reset")?;
    Ok((way, *first))
}

#[cfg(test)]
mod tests {
    use blob::arch::Arch;

    use super::guests;

    /// The payload names them itself: it has no library of the host's.
    #[test]
    fn the_payload_stores_the_registers_of_the_image() {
        let (image, entry) = Arch::X86_64
            .registers
            .names
            .split_at(guests::REGISTERS.len());
        assert_eq!(image, guests::REGISTERS);
        assert_eq!(entry, [Arch::X86_64.registers.entry]);
    }
}
