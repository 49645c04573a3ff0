// SPDX-License-Identifier: MIT OR Apache-2.0
//! RISC-V: entered in S-mode by the firmware, left as `kexec_relocate.S` does.

use core::arch::{asm, global_asm};

use purgatory_tests::{
    arch::{
        State,
        riscv64::{CRASH, EXIT, IMAGE_AT, VECTORS_ON},
    },
    plan::{DIRTY, Plan, Range, STATE, exit, vector_pattern},
};

use crate::carry_out::carry_out;

global_asm!(
    include_str!("entry.S"),
    exit = const EXIT,
    main = sym main,
    pattern = const vector_pattern(0),
    // QEMU's test device takes a code behind `fail` (`hw/misc/sifive_test.c`).
    stray = const exit::STRAY << 16 | 0x3333,
);

unsafe extern "C" {
    fn leave_at(entry: u64, a0: u64, a1: u64) -> !;
    fn crash_to(entry: u64, a0: u64, a1: u64) -> !;
    fn dirty_vectors();
    safe static stray_handler: u8;
}

/// sstatus: interrupts now, before, and the mode before an exception.
const SIE: u64 = 1 << 1;
const SPIE: u64 = 1 << 5;
const SPP: u64 = 1 << 8;
/// sstatus.VS: initial, all.
const INITIAL: u64 = 1 << 9;
const VECTORS: u64 = 3 << 9;

/// Finds the image where the host put it.
extern "C" fn main() -> ! {
    carry_out(Range {
        start: IMAGE_AT,
        len: size_of::<Plan>() as u64,
    })
}

/// Maps nothing: kernels leave without translation.
pub(crate) const fn map(_: &Plan) {}

/// Fills what a kernel may leave filled; returns the state that the payload must find
/// again.
pub(crate) fn prepare(plan: &Plan) -> [u64; STATE] {
    let flag = |flag| plan.flags & flag != 0;
    let (found, satp): (u64, u64);
    // SAFETY: switches interrupts off and vector registers on, where there are any.
    unsafe {
        asm!(
            "csrc sstatus, {interrupts}", "csrs sstatus, {initial}",
            "csrr {found}, sstatus", "csrr {satp}, satp", "csrw sie, zero",
            found = out(reg) found, satp = out(reg) satp,
            initial = in(reg) INITIAL, interrupts = in(reg) SIE,
        );
    }
    let vectors = found & VECTORS != 0;
    if vectors && flag(DIRTY) {
        // SAFETY: they are on, and no code here keeps anything in them.
        unsafe { dirty_vectors() };
    }
    let kept = if flag(VECTORS_ON) { INITIAL } else { 0 };
    let mut sstatus: u64;
    let mut stvec = (&raw const stray_handler).addr() as u64;
    let sscratch = vector_pattern(99);
    // SAFETY: vector registers are used no more; an exception ends QEMU.
    unsafe {
        asm!(
            "csrc sstatus, {vectors}", "csrs sstatus, {kept}", "csrr {sstatus}, sstatus",
            "csrw stvec, {stvec}", "csrw sscratch, {sscratch}",
            kept = in(reg) kept, sscratch = in(reg) sscratch, sstatus = out(reg) sstatus,
            stvec = in(reg) stvec, vectors = in(reg) VECTORS,
        );
    }
    if flag(CRASH) {
        stvec = plan.entry;
        // An exception notes that it came from S-mode, without interrupts.
        sstatus = sstatus & !SPIE | SPP;
    }
    zerocopy::transmute!(State {
        sstatus,
        stvec,
        sscratch,
        sie: 0,
        satp,
        vectors: vectors.into(),
        reserved: [0; 2],
    })
}

/// Leaves the machine as `riscv_kexec_relocate` or `riscv_kexec_norelocate` do.
pub(crate) fn leave(plan: &Plan) -> ! {
    let [_, a0, a1, ..] = plan.registers;
    let leave = match plan.flags & CRASH {
        0 => leave_at,
        _ => crash_to,
    };
    // SAFETY: the segment at `entry` is in its place; nothing here is needed again.
    unsafe { leave(plan.entry, a0, a1) }
}
