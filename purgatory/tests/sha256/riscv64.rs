// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zknh and Zvknh: what they leave in registers.

use std::arch::naked_asm;
use std::fs;
use std::io::{Write, stderr};

use purgatory::arch::riscv64::sha256::{sha256_compress_zknh, sha256_compress_zvknh};

use super::{Backend, Block, INITIAL, State, backends};

pub(super) type Compress = unsafe extern "C" fn(*mut State, *const Block, usize);

/// What a call takes.
#[derive(Clone, Copy)]
pub(super) struct Takes {
    /// How many vector registers, from 0 on.
    vectors: usize,
}

pub(super) const BACKENDS: [Backend; 2] = [
    Backend {
        name: "Zknh",
        runs_here: || has("zknh"),
        compress: sha256_compress_zknh,
        takes: Takes { vectors: 0 },
    },
    Backend {
        name: "Zvknh",
        runs_here: || has("zvkb") && (has("zvknha") || has("zvknhb")),
        compress: sha256_compress_zvknh,
        takes: Takes { vectors: 11 },
    },
];

/// Tells whether this CPU has an extension, by what the kernel says of it: `std` cannot
/// be asked for vectors yet.
fn has(name: &str) -> bool {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let isa = cpus.lines().find(|line| line.starts_with("isa"));
    isa.is_some_and(|isa| isa.split('_').any(|extension| extension == name))
}

/// Room for a vector register of the largest CPU that anybody emulates.
const WIDEST: usize = 128;

/// What a call leaves in the registers.
#[repr(C)]
struct Registers {
    /// s0 to s11, then gp and tp before and after.
    kept: [u64; 16],
    vector: [u8; 32 * WIDEST],
}

impl Registers {
    /// Finds what a call with up to three blocks leaves.
    ///
    /// # Safety
    /// The CPU has what `compress` needs, and vector registers.
    unsafe fn after(compress: Compress, count: usize) -> Self {
        let mut found = Self {
            kept: [0; 16],
            vector: [0; 32 * WIDEST],
        };
        let blocks = [[0x5a; 64]; 3];
        let (state, blocks) = (&mut INITIAL.clone(), blocks[..count].as_ptr());
        // SAFETY: the pointers are to locals; the rest is the caller's promise.
        unsafe { observe(compress, state, blocks, count, &raw mut found) };
        found
    }
}

#[test]
fn keeps_registers_and_leaves_no_vector_state() {
    if !has("zve32x") {
        _ = writeln!(stderr(), "registers: skipped: this CPU lacks vectors");
        return;
    }
    for backend in backends("registers") {
        for count in 1..=3 {
            // SAFETY: `backends` hands out only what the CPU has.
            let found = unsafe { Registers::after(backend.compress, count) };
            let (saved, pointers) = found.kept.split_at(12);
            let name = backend.name;
            assert_eq!(saved, (1..=12).collect::<Vec<_>>(), "{name}: s0 to s11");
            assert_eq!(pointers[..2], pointers[2..], "{name}: gp and tp");
            let width = vector_bytes();
            assert!(width <= WIDEST);
            for (number, bytes) in found.vector.chunks(width).take(32).enumerate() {
                if number < backend.takes.vectors {
                    // What lies above is never in use.
                    assert_eq!(bytes[..16], [0; 16], "{name}: v{number}");
                } else {
                    assert!(bytes.iter().all(|byte| *byte == 0xff), "{name}: v{number}");
                }
            }
        }
    }
}

fn vector_bytes() -> usize {
    let bytes;
    // SAFETY: reads how wide a vector register is; the caller knows that there are some.
    unsafe { std::arch::asm!("csrr {}, vlenb", out(reg) bytes, options(nomem, nostack)) };
    bytes
}

/// Fills the registers that a callee keeps and all vector registers, calls, and
/// writes down what it finds.
///
/// # Safety
/// As for `compress`; `found` is writable, and the CPU has vectors.
#[unsafe(naked)]
unsafe extern "C" fn observe(
    compress: Compress,
    state: *mut State,
    blocks: *const Block,
    count: usize,
    found: *mut Registers,
) {
    naked_asm!(
        ".option push",
        ".option arch, +zve32x",
        "addi sp, sp, -112",
        "sd ra, (sp)",
        "sd a4, 104(sp)",
        "sd gp, 96(a4)",
        "sd tp, 104(a4)",
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
        "sd s\\i, 8 + 8*\\i(sp)",
        "li s\\i, 1 + \\i",
        ".endr",
        "vsetvli t0, zero, e8, m8, ta, ma",
        ".irp i, 0, 8, 16, 24",
        "vmv.v.i v\\i, -1",
        ".endr",
        "mv t0, a0",
        "mv a0, a1",
        "mv a1, a2",
        "mv a2, a3",
        "jalr t0",
        "ld a4, 104(sp)",
        "sd gp, 112(a4)",
        "sd tp, 120(a4)",
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
        "sd s\\i, 8*\\i(a4)",
        "ld s\\i, 8 + 8*\\i(sp)",
        ".endr",
        "ld ra, (sp)",
        "addi sp, sp, 112",
        "addi a4, a4, {vector}",
        "csrr t0, vlenb",
        "slli t0, t0, 3",
        ".irp i, 0, 8, 16, 24",
        "vs8r.v v\\i, (a4)",
        "add a4, a4, t0",
        ".endr",
        "ret",
        ".option pop",
        vector = const std::mem::offset_of!(Registers, vector),
    );
}
