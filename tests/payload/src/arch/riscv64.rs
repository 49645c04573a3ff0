// SPDX-License-Identifier: MIT OR Apache-2.0
//! RISC-V: registers, control and status registers, vector registers.

use core::{
    arch::{asm, global_asm, naked_asm},
    mem::offset_of,
    ptr,
};

use bootloader_api::BootInfo;
use purgatory_tests::{
    arch::{
        INFO_AT, PLAN_AT, State,
        riscv64::{STACK_END, THROUGH},
    },
    guest::say,
    plan::{DIRTY, Plan, vector_pattern},
};

use crate::checks::{Checks, check_everything};

// Stores what goes through before any code can change it, and takes a stack.
global_asm!(
    "
    .section .text.start, \"ax\", @progbits
    .globl payload_start
payload_start:
    li      t0, {at}
    sd      a0, (t0)
    sd      a1, 8(t0)
    csrr    t1, sstatus
    sd      t1, 16(t0)
    li      sp, {stack}
    call    {main}
    unimp
    ",
    at = const PLAN_AT as usize + offset_of!(Plan, arrived),
    main = sym main,
    stack = const STACK_END,
);

extern "C" fn main() -> ! {
    let info = ptr::with_exposed_provenance_mut::<BootInfo>(INFO_AT as usize);
    // SAFETY: the harness built it there, and nobody else refers to it.
    check_everything(unsafe { &mut *info })
}

/// Reads a control and status register.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reads a register, which changes nothing.
        unsafe { asm!(concat!("csrr {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}

/// Compares the processor with the plan.
pub(crate) fn check(plan: &Plan, checks: &mut Checks) {
    let wanted = plan.registers.iter().skip(1);
    for (name, (found, wanted)) in THROUGH.iter().zip(plan.arrived.iter().zip(wanted)) {
        checks.equal(name, *found, *wanted);
    }
    let state: State = zerocopy::transmute!(plan.state);
    checks.equal("sstatus", plan.arrived[THROUGH.len()], state.sstatus);
    checks.equal("stvec", read!("stvec"), state.stvec);
    checks.equal("sscratch", read!("sscratch"), state.sscratch);
    checks.equal("sie", read!("sie"), state.sie);
    checks.equal("satp", read!("satp"), state.satp);
    vectors(plan, &state, checks);
}

/// The lowest 128 bits of each vector register: either as they were or zero.
fn vectors(plan: &Plan, state: &State, checks: &mut Checks) {
    /// sstatus.VS: initial.
    const INITIAL: u64 = 1 << 9;
    const WIDEST: usize = 128;
    let mut bytes = [0; 32 * WIDEST];
    let mut width = WIDEST;
    if state.vectors != 0 {
        // SAFETY: the harness found vector registers on this processor.
        unsafe { asm!("csrs sstatus, {}", in(reg) INITIAL) };
        // SAFETY: they are on; the room is enough for the widest.
        unsafe { read_vectors(&raw mut bytes) };
        width = read!("vlenb") as usize;
    }
    let mut zeroed = 0_u32;
    for (number, register) in (0..).zip(bytes.chunks(width).take(32)) {
        let before = match plan.flags & DIRTY {
            0 => 0,
            _ => vector_pattern(number),
        };
        let (lanes, _) = register.as_chunks();
        let mut lanes = lanes.iter().take(2).map(|lane| u64::from_le_bytes(*lane));
        if lanes.clone().all(|lane| lane == 0) {
            zeroed |= 1 << number;
        } else if let Some(lane) = lanes.find(|lane| *lane != before) {
            checks.fail(format_args!(
                "vector {number} holds {lane:#x}, neither 0 nor {before:#x}"
            ));
        }
    }
    // For xtask, which knows the backend and what each clears.
    say(format_args!("ok   zeroed vector registers {zeroed:#x}"));
}

/// Stores the vector registers.
///
/// # Safety
/// They are switched on; there is room for all of them.
#[unsafe(naked)]
unsafe extern "C" fn read_vectors(to: *mut [u8; 4096]) {
    naked_asm!(
        ".option push",
        ".option arch, +v",
        "csrr t0, vlenb",
        "slli t0, t0, 3",
        ".irp n, 0, 8, 16, 24",
        "vs8r.v v\\n, (a0)",
        "add a0, a0, t0",
        ".endr",
        ".option pop",
        "ret",
    )
}
