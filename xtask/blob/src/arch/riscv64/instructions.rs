// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which instructions have to be in their places, and where those are.
//!
//! The length of an instruction is in its lowest bits, and what rv64imac has fits in a
//! page: whatever else is there is an extension (unprivileged architecture, chapters
//! 2, 28, 35).

use crate::arch::{Instruction, Instructions, Kind};

pub(super) const RULE: Instructions = Instructions {
    kinds: KINDS,
    decode,
};

const STATE: usize = 0;
const EXTENSION: usize = 1;
const CONTROL: usize = 2;
const COUNTER: usize = 3;
const FIRMWARE: usize = 4;
const HALT: usize = 5;
const PRIVILEGED: usize = 6;
const UNKNOWN: usize = 7;

/// By the constants above. `purgatory::run` is where the compiler puts `prepare`, which
/// is called once.
const KINDS: &[Kind] = &[
    Kind {
        is_banned: true,
        ..ours(
            "floating point or vector",
            &["machine::clear_vectors", "sha256_compress_zvknh"],
        )
    },
    Kind {
        is_banned: true,
        ..ours("extension", &["sha256_compress_zknh"])
    },
    ours(
        "control register",
        &[
            "arch::riscv64::entry::exception",
            "purgatory::run",
            "purgatory_start",
            "riscv_exception",
            "riscv_jump",
        ],
    ),
    ours("counter", &["arch::riscv64::clock::cycles"]),
    ours("call of the firmware", &["arch::riscv64::sbi::call"]),
    ours("halt", &["arch::riscv64::machine::halt"]),
    ours("privileged", &[]),
    ours("no instruction", &[]),
];

const fn ours(name: &'static str, places: &'static [&'static str]) -> Kind {
    Kind {
        name,
        places,
        is_banned: false,
    }
}

/// Control and status registers that somebody may meet here; the others are numbers.
const REGISTERS: [(u32, &str); 10] = [
    (0x100, "sstatus"),
    (0x104, "sie"),
    (0x105, "stvec"),
    (0x140, "sscratch"),
    (0x141, "sepc"),
    (0x142, "scause"),
    (0x143, "stval"),
    (0x144, "sip"),
    (0x180, "satp"),
    (0xc01, "time"),
];

fn decode(code: &[u8], address: u64) -> Vec<Instruction> {
    let mut found = Vec::new();
    let mut rest = code;
    while let [low, high, ..] = *rest {
        let short = u16::from_le_bytes([low, high]);
        let (length, (name, kind)) = match rest.first_chunk() {
            _ if short & 3 != 3 => (2, compressed(short)),
            Some(word) => (4, plain(u32::from_le_bytes(*word))),
            None => (2, ("(cut off)".to_owned(), Some(UNKNOWN))),
        };
        let (bytes, next) = rest.split_at(length);
        let raw: String = bytes
            .iter()
            .rev()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        found.push(Instruction {
            address: address + (code.len() - rest.len()) as u64,
            length: length as u64,
            text: kind.map_or_else(String::new, |_| format!("{name} ({raw})")),
            name,
            kind,
        });
        rest = next;
    }
    found
}

/// Names one of two bytes, and says why it has to be in its place.
fn compressed(code: u16) -> (String, Option<usize>) {
    let function = code >> 13;
    let (name, kind) = match (code & 3, function) {
        // What compilers put where nothing goes on.
        (0, 0) if code == 0 => ("unimp", None),
        (0, 1 | 5) | (2, 1 | 5) => ("floating point", Some(STATE)),
        (0, 4) => ("compressed", Some(EXTENSION)),
        // c.sub to c.and, c.subw, c.addw; what follows is Zcb.
        (1, 4) if code >> 10 & 7 == 7 && code >> 6 & 1 == 1 => ("compressed", Some(EXTENSION)),
        (2, 4) if code == 0x9002 => ("ebreak", None),
        _ => ("compressed", None),
    };
    (name.to_owned(), kind)
}

/// Names one of four bytes, and says why it has to be in its place.
fn plain(code: u32) -> (String, Option<usize>) {
    let (function, rest) = (code >> 12 & 7, code >> 25);
    let is_shift = matches!(function, 1 | 5);
    let (name, kind) = match code & 0x7f {
        0x03 => ("load", None),
        0x07 => ("vector or floating-point load", Some(STATE)),
        0x0f => ("fence", None),
        0x13 if is_shift && rest & !1 != 0 && (function, rest & !1) != (5, 0x20) => {
            ("register, immediate", Some(EXTENSION))
        }
        0x1b if is_shift && rest != 0 && (function, rest) != (5, 0x20) => {
            ("register, immediate", Some(EXTENSION))
        }
        0x13 | 0x1b => ("register, immediate", None),
        0x17 => ("auipc", None),
        0x23 => ("store", None),
        0x27 => ("vector or floating-point store", Some(STATE)),
        0x2f => ("atomic", None),
        0x33 | 0x3b => match (rest, function) {
            (0 | 1, _) | (0x20, 0 | 5) => ("registers", None),
            _ => ("registers", Some(EXTENSION)),
        },
        0x37 => ("lui", None),
        0x43..=0x53 => ("floating point", Some(STATE)),
        0x57 | 0x77 => ("vector", Some(STATE)),
        0x63 => ("branch", None),
        0x67 => ("jalr", None),
        0x6f => ("jal", None),
        0x73 => return system(code),
        _ => ("(unknown)", Some(UNKNOWN)),
    };
    (name.to_owned(), kind)
}

fn system(code: u32) -> (String, Option<usize>) {
    let number = code >> 20;
    let access = match code >> 12 & 7 {
        0 => {
            let (name, kind) = match code {
                0x0000_0073 => ("ecall", Some(FIRMWARE)),
                0x0010_0073 => ("ebreak", None),
                0x1050_0073 => ("wfi", Some(HALT)),
                _ => ("privileged", Some(PRIVILEGED)),
            };
            return (name.to_owned(), kind);
        }
        1 | 5 => "csrw",
        2 | 6 => "csrs",
        3 | 7 => "csrc",
        _ => return ("hypervisor".to_owned(), Some(PRIVILEGED)),
    };
    let kind = match number {
        // As assemblers write `unimp`: `cycle` cannot be written.
        0xc00 if code == 0xc000_1073 => return ("unimp".to_owned(), None),
        1..=3 | 8..=0xf | 0xc20..=0xc22 => STATE,
        0xc00..=0xc1f => COUNTER,
        _ => CONTROL,
    };
    let known = REGISTERS.iter().find(|(known, _)| *known == number);
    let register = known.map_or_else(|| format!("{number:#x}"), |(_, name)| (*name).to_owned());
    (format!("{access} {register}"), Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As binutils assembles them.
    #[test]
    fn knows_instructions_by_their_bits() {
        let rows: [(u32, &str, Option<usize>); 15] = [
            (0x1001_73f3, "csrc sstatus", Some(CONTROL)), // csrrci t2, sstatus, 2
            (0x1057_9073, "csrw stvec", Some(CONTROL)),   // csrw stvec, a5
            (0xc010_2573, "csrs time", Some(COUNTER)),    // rdtime a0
            (0xc220_2573, "csrs 0xc22", Some(STATE)),     // csrr a0, vlenb
            (0x0000_0073, "ecall", Some(FIRMWARE)),
            (0x1050_0073, "wfi", Some(HALT)),
            (0x1020_0073, "privileged", Some(PRIVILEGED)), // sret
            (0xc000_1073, "unimp", None),
            (0x1005_1513, "register, immediate", Some(EXTENSION)), // sha256sum0 a0, a0
            (0x4075_d593, "register, immediate", None),            // srai a1, a1, 7
            (0x03f5_9593, "register, immediate", None),            // slli a1, a1, 63
            (0x02b5_0533, "registers", None),                      // mul a0, a0, a1
            (0x40b5_7533, "registers", Some(EXTENSION)),           // andn a0, a0, a1
            (0x5e00_b057, "vector", Some(STATE)),                  // vmv.v.i v0, 1
            (0x0000_007f, "(unknown)", Some(UNKNOWN)),
        ];
        for (code, name, kind) in rows {
            assert_eq!(plain(code), (name.to_owned(), kind), "{code:#010x}");
        }
        assert_eq!(compressed(0x2108).1, Some(STATE)); // fld fa0, 0(a0)
        assert_eq!(compressed(0x8082).1, None); // ret
        assert_eq!(compressed(0x9c61).1, Some(EXTENSION)); // c.zext.b s0
    }

    #[test]
    fn walks_over_both_lengths() {
        let code = [
            &0x8082_u16.to_le_bytes()[..],
            &0x1050_0073_u32.to_le_bytes(),
            &[0x73],
        ];
        let found = decode(&code.concat(), 0x1000);
        let places: Vec<_> = found.iter().map(|one| (one.address, one.length)).collect();
        assert_eq!(places, [(0x1000, 2), (0x1002, 4)]);
    }
}
