// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64: registers, selectors, control registers, descriptor tables, vector registers.

use core::{
    arch::{asm, global_asm},
    mem::offset_of,
};

use bootloader_api::{BootloaderConfig, entry_point};
use purgatory_tests::{
    arch::{PLAN_AT, State, x86_64::REGISTERS},
    guest::say,
    plan::{DIRTY, Plan, vector_pattern},
};
use x86_64::{
    instructions::{
        segmentation::{CS, DS, ES, FS, GS, SS, Segment},
        tables::sidt,
    },
    registers::{
        control::{Cr0, Cr3, Cr4, Cr4Flags},
        model_specific::Efer,
        xcontrol::XCr0,
    },
};

use crate::checks::{Checks, check_everything};

static CONFIG: BootloaderConfig = BootloaderConfig::new_default();

entry_point!(check_everything, config = &CONFIG);

// Stores the registers before any code can change them, then goes where every
// `bootloader_api` kernel begins, with rdi as it came.
global_asm!(
    "
    .section .text.start, \"ax\", @progbits
    .globl payload_start
payload_start:
    mov [{at}], rax
    mov [{at} + 8], rcx
    mov [{at} + 16], rdx
    mov [{at} + 24], rbx
    mov [{at} + 32], rsp
    mov [{at} + 40], rbp
    mov [{at} + 48], rsi
    mov [{at} + 56], rdi
    mov [{at} + 64], r8
    mov [{at} + 72], r9
    mov [{at} + 80], r10
    mov [{at} + 88], r11
    mov [{at} + 96], r12
    mov [{at} + 104], r13
    mov [{at} + 112], r14
    mov [{at} + 120], r15
    pushfq
    pop rax
    mov [{at} + 128], rax
    cld
    call _start
    ud2
    ",
    at = const PLAN_AT as usize + offset_of!(Plan, arrived),
);

/// Compares the processor with the plan.
pub(crate) fn check(plan: &Plan, checks: &mut Checks) {
    for (name, (found, wanted)) in REGISTERS
        .iter()
        .zip(plan.arrived.iter().zip(&plan.registers))
    {
        checks.equal(name, *found, *wanted);
    }
    let flags = plan.arrived[REGISTERS.len()];
    checks.equal("IF and DF", flags & 0x600, 0);
    checks.equal("cs", u64::from(CS::get_reg().0), 0x10);
    let data = [
        DS::get_reg(),
        ES::get_reg(),
        SS::get_reg(),
        FS::get_reg(),
        GS::get_reg(),
    ];
    for (name, selector) in ["ds", "es", "ss", "fs", "gs"].iter().zip(data) {
        checks.equal(name, u64::from(selector.0), 0x18);
    }
    let state: State = zerocopy::transmute!(plan.state);
    let [cr0, cr3, cr4] = state.control;
    checks.equal("cr0", Cr0::read_raw(), cr0);
    checks.equal("cr3", Cr3::read_raw().0.start_address().as_u64(), cr3);
    checks.equal("cr4", Cr4::read_raw(), cr4);
    checks.equal("efer", Efer::read_raw(), state.efer);
    // Bit 10 is always set.
    let dr7: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, dr7", out(reg) dr7, options(nomem, nostack, preserves_flags)) };
    checks.equal("dr7", dr7, 0x400);
    let idt = sidt();
    let [limit, base] = state.idt;
    checks.equal("idt limit", u64::from(idt.limit), limit);
    checks.equal("idt base", idt.base.as_u64(), base);
    vectors(plan, &state, checks);
    gdt(checks);
}

/// Reloading the selectors in use proves that the table behind them is sound.
fn gdt(checks: &mut Checks) {
    // SAFETY: the boot protocol promises this code segment; if the promise
    // is broken the run ends in a reset, which is no pass.
    unsafe { CS::set_reg(CS::get_reg()) };
    // SAFETY: likewise for the data segment.
    unsafe { SS::set_reg(SS::get_reg()) };
    checks.equal("selectors reload", 0, 0);
}

/// XCR0 as found; each vector register either as it was or zero.
fn vectors(plan: &Plan, state: &State, checks: &mut Checks) {
    let mut open = Cr4::read() | Cr4Flags::OSFXSR;
    open.set(Cr4Flags::OSXSAVE, state.xcr0 != 0);
    // SAFETY: the harness found both on this CPU.
    unsafe { Cr4::write(open) };
    if state.xcr0 != 0 {
        checks.equal("xcr0", XCr0::read_raw(), state.xcr0);
    }
    let mut lanes = [[0_u64; 4]; 16];
    let used = if state.avx == 1 { 4 } else { 2 };
    // SAFETY: SSE is on, AVX where it is used; 512 bytes are writable.
    unsafe { read_vectors(&mut lanes, used == 4) };
    let mut zeroed = 0_u32;
    for (number, register) in (0..).zip(&lanes) {
        if register[..2] == [0; 2] {
            zeroed |= 1 << number;
        }
        let before = if plan.flags & DIRTY == 0 {
            0
        } else {
            vector_pattern(number)
        };
        for lane in register.iter().take(used) {
            if *lane != 0 && *lane != before {
                checks.fail(format_args!(
                    "vector {number} holds {lane:#x}, neither 0 nor {before:#x}"
                ));
            }
        }
    }
    // For xtask, which knows the backend and what each clears.
    say(format_args!("ok   zeroed vector registers {zeroed:#x}"));
}

/// Stores the sixteen vector registers.
///
/// # Safety
/// SSE is enabled, and AVX if `wide`.
unsafe fn read_vectors(lanes: &mut [[u64; 4]; 16], wide: bool) {
    macro_rules! store {
        ($instruction:literal, $register:literal) => {
            store!($instruction, $register, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
        };
        ($instruction:literal, $register:literal, $($number:literal)*) => {
            asm!(
                $(concat!($instruction, " [{at} + 32 * ", $number, "], ", $register, $number),)*
                at = in(reg) lanes.as_mut_ptr(),
                options(nostack, preserves_flags),
            )
        };
    }
    if wide {
        // SAFETY: stores 16 times 32 bytes into 512.
        unsafe { store!("vmovups", "ymm") }
    } else {
        // SAFETY: stores 16 times 16 bytes, 32 apart, into 512.
        unsafe { store!("movups", "xmm") }
    }
}
