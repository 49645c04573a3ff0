// SPDX-License-Identifier: MIT OR Apache-2.0
//! Enters an exception as the CPU does in 64-bit mode, by a debugger: nothing but the
//! gates and stacks that the guest itself has set up decides where that leads
//! (AMD64 manual volume 2, section 8.9).

use anyhow::{Context as _, Result, ensure};

use crate::vm::gdb::{Debugger, Register};
use crate::vm::run::Run;

pub(super) const INVALID_OPCODE: u8 = 6;
pub(super) const DOUBLE_FAULT: u8 = 8;
pub(super) const PROTECTION: u8 = 13;
pub(super) const MACHINE_CHECK: u8 = 18;
/// Of TDX guests.
pub(super) const VIRTUALIZATION: u8 = 20;
/// Of SEV-ES guests.
pub(super) const COMMUNICATION: u8 = 29;

/// Vectors that push an error code, as bits.
const WITH_CODE: u32 = 0x6022_7d00;

const RFLAGS_TF: u64 = 1 << 8;
const RFLAGS_IF: u64 = 1 << 9;
/// Set by whoever cannot say that it is clear.
pub(super) const RFLAGS_DF: u64 = 1 << 10;
const RFLAGS_NT: u64 = 1 << 14;
const RFLAGS_RF: u64 = 1 << 16;
const RFLAGS_VM: u64 = 1 << 17;

/// A gate of an IDT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) handler: u64,
    selector: u64,
    /// The stack of the TSS that it takes; 0 keeps the current one.
    stack: u64,
    /// The flags that it clears.
    clears: u64,
}

impl Gate {
    /// Reads 16 bytes; `None` if the CPU would not go through.
    fn parse(bytes: [u8; 16]) -> Option<Self> {
        const PRESENT: u64 = 1 << 47;
        let whole = u128::from_le_bytes(bytes);
        let [low, high] = [whole as u64, (whole >> 64) as u64];
        let clears = RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM;
        let clears = match low >> 40 & 0x1f {
            0xe => clears | RFLAGS_IF,
            0xf => clears,
            _ => return None,
        };
        (low & PRESENT != 0).then_some(Self {
            handler: low & 0xffff | low >> 32 & 0xffff_0000 | high << 32,
            selector: low >> 16 & 0xffff,
            stack: low >> 32 & 7,
            clears,
        })
    }

    /// Reads the one that a stopped guest has for `vector`; `None` if there is none.
    pub(super) fn find(run: &mut Run, debugger: &mut Debugger, vector: u8) -> Result<Option<Self>> {
        let [base, limit] = table(&run.monitor()?.human("info registers")?, "IDT=")?;
        let at = u64::from(vector) * 16;
        if at + 15 > limit {
            return Ok(None);
        }
        let bytes = debugger.read(base + at, 16)?;
        Ok(bytes.try_into().ok().and_then(Self::parse))
    }
}

/// Reads base and limit of a descriptor table, or of the TSS, out of `info registers`.
fn table(registers: &str, name: &str) -> Result<[u64; 2]> {
    registers
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|line| {
            // A selector may stand in front of both.
            let mut numbers = line.split_whitespace().filter(|number| number.len() > 4);
            let mut next = || u64::from_str_radix(numbers.next()?, 16).ok();
            Some([next()?, next()?])
        })
        .with_context(|| format!("QEMU's monitor shows no {name}"))
}

/// Where an exception happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    ss: u64,
    rsp: u64,
    rflags: u64,
    cs: u64,
    rip: u64,
}

impl Place {
    /// Lays out what the CPU pushes on a stack; returns where it begins, too.
    fn frame(self, stack: u64, code: Option<u64>) -> (u64, Vec<u8>) {
        let Self {
            ss,
            rsp,
            rflags,
            cs,
            rip,
        } = self;
        let words = [rip, cs, rflags, rsp, ss];
        let bytes: Vec<u8> = code
            .iter()
            .chain(&words)
            .flat_map(|word| word.to_le_bytes())
            .collect();
        ((stack & !15) - bytes.len() as u64, bytes)
    }
}

/// Lets a stopped guest find `vector` where it would have executed an instruction;
/// `flags` were set there, too.
pub(super) fn enter(run: &mut Run, debugger: &mut Debugger, vector: u8, flags: u64) -> Result<()> {
    let gate = Gate::find(run, debugger, vector)?
        .with_context(|| format!("there is no gate for vector {vector}"))?;
    let rip = debugger.pc()?;
    let mut register = |register| debugger.register(register);
    let place = Place {
        ss: register(Register::Ss)?,
        rsp: register(Register::Rsp)?,
        // A fault shall not meet the breakpoint again that it came from.
        rflags: register(Register::Rflags)? | RFLAGS_RF | flags,
        cs: register(Register::Cs)?,
        rip,
    };
    ensure!(
        gate.selector == place.cs,
        "vector {vector} leads to code segment {:#x}",
        gate.selector
    );
    let stack = match gate.stack {
        0 => place.rsp,
        number => {
            const FIRST: u64 = 36;
            let [tss, _] = table(&run.monitor()?.human("info registers")?, "TR =")?;
            let bytes = debugger.read(tss + FIRST + 8 * (number - 1), 8)?;
            bytes
                .first_chunk()
                .map_or(0, |top| u64::from_le_bytes(*top))
        }
    };
    let code = (WITH_CODE >> vector & 1 != 0).then_some(0);
    let (top, bytes) = place.frame(stack, code);
    debugger.write(top, &bytes)?;
    debugger.set_register(Register::Rsp, top)?;
    debugger.set_register(Register::Rflags, place.rflags & !gate.clears)?;
    debugger.set_pc(gate.handler)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interrupt gate through selector 0x10, with stack 1.
    const GATE: u128 = 0x0000_0001_2345_8e01_0010_6789;

    fn gate(bits: u128) -> Option<Gate> {
        Gate::parse(bits.to_le_bytes())
    }

    #[test]
    fn reads_a_gate() {
        let found = gate(GATE).unwrap();
        assert_eq!(found.handler, 0x1_2345_6789);
        assert_eq!((found.selector, found.stack), (0x10, 1));
        assert_eq!(found.clears & (RFLAGS_IF | RFLAGS_DF), RFLAGS_IF);
        // A trap gate leaves interrupts as they are.
        assert_eq!(gate(GATE | 1 << 40).unwrap().clears & RFLAGS_IF, 0);
        assert_eq!(gate(GATE & !(1 << 47)), None);
        // A call gate.
        assert_eq!(gate(GATE & !(2 << 40)), None);
    }

    #[test]
    fn pushes_what_the_cpu_pushes() {
        let place = Place {
            ss: 0x18,
            rsp: 0x7_fff9,
            rflags: 0x402,
            cs: 0x10,
            rip: 0x1234,
        };
        let words = |bytes: &[u8]| -> Vec<u64> {
            let (words, []) = bytes.as_chunks() else {
                panic!("not in words")
            };
            words.iter().map(|word| u64::from_le_bytes(*word)).collect()
        };
        let (at, bytes) = place.frame(place.rsp, None);
        assert_eq!(
            (at, words(&bytes)),
            (0x7_ffc8, vec![0x1234, 0x10, 0x402, 0x7_fff9, 0x18])
        );
        let (at, bytes) = place.frame(0x9000, Some(5));
        assert_eq!((at, words(&bytes)[..2].to_vec()), (0x8fd0, vec![5, 0x1234]));
    }

    #[test]
    fn finds_tables_in_what_the_monitor_says() {
        let said = "GS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]\n\
             TR =0020 000000001fe3b2e8 00000067 00008b00 DPL=0 TSS64-busy\n\
             GDT=     000000001fe3b0b8 0000002f\n\
             IDT=     000000001fe3b0e8 000001ff\n";
        assert_eq!(table(said, "TR =").unwrap(), [0x1fe3_b2e8, 0x67]);
        assert_eq!(table(said, "IDT=").unwrap(), [0x1fe3_b0e8, 0x1ff]);
        assert!(table(said, "LDT=").is_err());
    }

    #[test]
    fn error_codes_are_where_the_manual_has_them() {
        let with_code: Vec<_> = (0..32)
            .filter(|vector| WITH_CODE >> vector & 1 != 0)
            .collect();
        assert_eq!(with_code, [8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
    }
}
