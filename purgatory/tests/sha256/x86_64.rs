// SPDX-License-Identifier: MIT OR Apache-2.0
//! SHA-NI and SSE2: what they leave in registers and on the stack, and more bytes than
//! a 32-bit count holds.

use std::arch::{is_x86_feature_detected, naked_asm};
use std::io::{Write, stderr};

use memmap2::MmapMut;
use purgatory::arch::x86_64::sha256::{sha256_compress_shani, sha256_compress_sse2};
use sha2::block_api::compress256;

use super::{Backend, Block, INITIAL, State, backends};

pub(super) type Compress = unsafe extern "sysv64" fn(*mut State, *const Block, usize);

/// What a call takes.
#[derive(Clone, Copy)]
pub(super) struct Takes {
    /// Bytes of stack, its return address included.
    stack: usize,
}

pub(super) const BACKENDS: [Backend; 2] = [
    Backend {
        name: "SHA-NI",
        runs_here: || {
            is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1")
        },
        compress: sha256_compress_shani,
        takes: Takes { stack: 8 },
    },
    Backend {
        name: "SSE2",
        runs_here: || true,
        compress: sha256_compress_sse2,
        takes: Takes { stack: 360 },
    },
];

fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2")
}

#[test]
fn counts_past_4_gib() {
    const BLOCKS: usize = (1 << 26) + 3;
    // Reading it costs no memory: until written, it is the kernel's zero page.
    let mut memory = MmapMut::map_anon(64 * BLOCKS).expect("address space");
    *memory.last_mut().expect("not empty") = 1;
    let (blocks, _) = memory.as_chunks();
    let mut expected = INITIAL;
    compress256(&mut expected, blocks);
    for backend in backends("past 4 GiB") {
        let mut state = INITIAL;
        backend.compress(&mut state, blocks);
        assert_eq!(state, expected, "{}", backend.name);
    }
}

/// Words of painted stack below a call.
const PAINTED: usize = 1024;

/// What a call leaves in the registers, and how much of the stack it wrote to.
#[repr(C)]
#[derive(Debug, PartialEq)]
struct Registers {
    kept: [u64; 6],
    vector: [[u128; 2]; 16],
    /// Words of the painted stack that are as they were, from its low end on.
    untouched: usize,
}

impl Registers {
    /// Finds what a call with up to three blocks leaves.
    ///
    /// # Safety
    /// The CPU has AVX2, and what `compress` needs.
    unsafe fn after(compress: Compress, count: usize) -> Self {
        let mut found = Self {
            kept: [0; 6],
            vector: [[0; 2]; 16],
            untouched: 0,
        };
        let blocks = [[0x5a; 64]; 3];
        let (state, blocks) = (&mut INITIAL.clone(), blocks[..count].as_ptr());
        // SAFETY: the pointers are to locals; the rest is the caller's promise.
        unsafe { observe(compress, state, blocks, count, &raw mut found) };
        found
    }
}

/// Returns the backends whose registers can be seen here.
fn observable(test: &str) -> impl Iterator<Item = Backend> {
    if !has_avx2() {
        let why = "this CPU lacks AVX2 to see them with";
        _ = writeln!(stderr(), "{test}: skipped: {why}");
    }
    backends(test).filter(|_| has_avx2())
}

#[test]
fn keeps_registers_and_leaves_no_vector_state() {
    for backend in observable("registers") {
        for count in 1..=3 {
            // SAFETY: `observable` hands out only what the CPU has.
            let found = unsafe { Registers::after(backend.compress, count) };
            assert_eq!(found.kept, [1, 2, 3, 4, 5, 6], "{}", backend.name);
            for (number, [low, high]) in found.vector.into_iter().enumerate() {
                assert_eq!(low, 0, "{}: xmm{number}", backend.name);
                assert!(
                    high == 0 || high == u128::MAX,
                    "{}: upper ymm{number}",
                    backend.name
                );
            }
        }
    }
}

#[test]
fn takes_as_much_stack_as_it_says() {
    for backend in observable("stack") {
        for count in 1..=3 {
            // SAFETY: `observable` hands out only what the CPU has.
            let found = unsafe { Registers::after(backend.compress, count) };
            let taken = 8 * (PAINTED - found.untouched);
            assert_eq!(
                taken, backend.takes.stack,
                "{}, {count} blocks",
                backend.name
            );
        }
    }
}

/// Fills the registers that a callee keeps, all vector registers and the stack
/// below, calls, and writes down what it finds.
///
/// # Safety
/// As for `compress`; `found` is writable, and the CPU has AVX2.
#[unsafe(naked)]
unsafe extern "sysv64" fn observe(
    compress: Compress,
    state: *mut State,
    blocks: *const Block,
    count: usize,
    found: *mut Registers,
) {
    naked_asm!(
        ".irp register, rbx, rbp, r12, r13, r14, r15, r8",
        "push \\register",
        ".endr",
        "mov r9, rdi",
        "mov r10, rcx",
        "lea rdi, [rsp - 8*{painted}]",
        "mov ecx, {painted}",
        "mov eax, 0x5a5a5a5a",
        "rep stosq",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, r10",
        "mov ebx, 1",
        "mov ebp, 2",
        "mov r12d, 3",
        "mov r13d, 4",
        "mov r14d, 5",
        "mov r15d, 6",
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vpcmpeqd ymm\\i, ymm\\i, ymm\\i",
        ".endr",
        "call r9",
        "pop r8",
        "mov [r8], rbx",
        "mov [r8 + 8], rbp",
        "mov [r8 + 16], r12",
        "mov [r8 + 24], r13",
        "mov [r8 + 32], r14",
        "mov [r8 + 40], r15",
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovdqu [r8 + {vector} + 32*\\i], ymm\\i",
        ".endr",
        "vzeroupper",
        "lea rdi, [rsp - 8 - 8*{painted}]",
        "mov ecx, {painted}",
        "mov eax, 0x5a5a5a5a",
        "repe scasq",
        "not rcx",
        "add rcx, {painted}",
        "mov [r8 + {untouched}], rcx",
        ".irp register, r15, r14, r13, r12, rbp, rbx",
        "pop \\register",
        ".endr",
        "ret",
        painted = const PAINTED,
        vector = const std::mem::offset_of!(Registers, vector),
        untouched = const std::mem::offset_of!(Registers, untouched),
    );
}
