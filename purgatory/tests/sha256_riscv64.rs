// SPDX-License-Identifier: MIT OR Apache-2.0
//! The assembly backends against the `sha2` crate: what no message can show.
//!
//! They are called directly, as the blob calls them; NIST's vectors run through
//! them in vectors.rs. A backend that this CPU cannot run is skipped, and says so.
#![cfg(target_arch = "riscv64")]

use std::{
    arch::naked_asm,
    fs,
    io::{Write, stderr},
};

use memmap2::MmapOptions;
use proptest::{collection::vec, prelude::*};
use purgatory::arch::riscv64::sha256::{sha256_compress_zknh, sha256_compress_zvknh};
use sha2::block_api::compress256;

type State = [u32; 8];
type Block = [u8; 64];
type Compress = unsafe extern "C" fn(*mut State, *const Block, usize);

#[derive(Clone, Copy)]
struct Backend {
    name: &'static str,
    /// The extensions that it needs, or others.
    needs: [&'static [&'static str]; 2],
    compress: Compress,
    /// How many vector registers it uses, from 0 on.
    used: usize,
}

const BACKENDS: [Backend; 2] = [
    Backend {
        name: "Zknh",
        needs: [&["zknh"]; 2],
        compress: sha256_compress_zknh,
        used: 0,
    },
    Backend {
        name: "Zvknh",
        needs: [&["zvknha", "zvkb"], &["zvknhb", "zvkb"]],
        compress: sha256_compress_zvknh,
        used: 11,
    },
];

const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Tells whether this CPU has an extension, by what the kernel says of it: `std` cannot
/// be asked for vectors yet.
fn has(name: &str) -> bool {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let isa = cpus.lines().find(|line| line.starts_with("isa"));
    isa.is_some_and(|isa| isa.split('_').any(|extension| extension == name))
}

/// Returns the backends that this CPU runs. Past the test harness, which would
/// swallow the message of a test that passes.
fn backends(test: &str) -> impl Iterator<Item = Backend> {
    BACKENDS.into_iter().filter(move |backend| {
        let mut ways = backend.needs.iter();
        let runs = ways.any(|way| way.iter().all(|name| has(name)));
        if !runs {
            let name = backend.name;
            _ = writeln!(stderr(), "{test}: skipped for {name}: this CPU lacks it");
        }
        runs
    })
}

impl Backend {
    fn compress(self, state: &mut State, blocks: &[Block]) {
        // SAFETY: 1. both come from references, the count from the same slice;
        // 2. `backends` hands out only what the CPU has.
        unsafe { (self.compress)(state, blocks.as_ptr(), blocks.len()) };
    }
}

proptest! {
    #[test]
    fn agrees_with_sha2_on_any_state_alignment_and_split(
        start in any::<State>(),
        place in 0..4usize,
        bytes in vec(any::<u8>(), 0..64 * 40),
        skip in 0..64usize,
        calls in vec(0..6usize, 0..12),
    ) {
        let (blocks, _) = bytes.get(skip..).unwrap_or_default().as_chunks();
        let mut expected = start;
        compress256(&mut expected, blocks);
        for backend in backends("any state, alignment and split") {
            let mut memory = [[0xa5a5_a5a5; 4]; 6].concat();
            let mut untouched = memory.clone();
            let state = 8 + place..16 + place;
            untouched[state.clone()].copy_from_slice(&expected);
            memory[state.clone()].copy_from_slice(&start);
            let before = bytes.clone();

            let mut rest = blocks;
            for count in calls.iter().copied().chain([blocks.len()]) {
                let (now, later) = rest.split_at(count.min(rest.len()));
                let state = memory[state.clone()].as_mut_array().expect("eight words");
                backend.compress(state, now);
                rest = later;
            }
            prop_assert_eq!(&memory, &untouched, "{} and the memory around its state", backend.name);
            prop_assert_eq!(&bytes, &before, "{} and its input", backend.name);
        }
    }
}

#[test]
fn reads_nothing_past_the_last_block() {
    const PAGE: usize = 4096;
    let file = tempfile::tempfile().expect("a file");
    file.set_len(PAGE as u64).expect("one page");
    // The second page lies past the file's end: to touch it is SIGBUS (mmap(2)).
    let page = MmapOptions::new()
        .len(2 * PAGE)
        .map_raw_read_only(&file)
        .expect("a mapping");
    // SAFETY: the first page is the file's, and lives as long as `page`.
    let page = unsafe { std::slice::from_raw_parts(page.as_ptr(), PAGE) };
    for backend in backends("last block") {
        for count in 1..=4 {
            let (blocks, _) = page[PAGE - 64 * count..].as_chunks();
            backend.compress(&mut INITIAL.clone(), blocks);
        }
    }
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
                if number < backend.used {
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
