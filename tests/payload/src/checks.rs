//! The checks.

use core::{
    arch::{asm, global_asm},
    mem::offset_of,
    panic::PanicInfo,
    ptr,
};

use bootloader_api::{BootInfo, BootloaderConfig, entry_point};
use purgatory_tests::{
    CANARY, DIRTY, MAGIC, PLAN_AT, Plan, Range,
    arch::{exit_with, memory, say},
    exit, vector_pattern,
};
use sha2::{Digest, Sha256};
use x86_64::{
    instructions::{
        segmentation::{CS, DS, ES, FS, GS, SS, Segment},
        tables::sidt,
    },
    registers::{
        control::{Cr0, Cr3, Cr4, Cr4Flags},
        debug::Dr7,
        model_specific::Efer,
        xcontrol::XCr0,
    },
};

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

const REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

fn check_everything(info: &'static mut BootInfo) -> ! {
    say(format_args!("payload: running"));
    let mut checks = Checks { failed: 0 };
    let plan = plan(info);
    for (name, (found, wanted)) in REGISTERS
        .iter()
        .zip(plan.arrived.iter().zip(&plan.registers))
    {
        checks.equal(name, *found, *wanted);
    }
    let [.., flags] = plan.arrived;
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
    let machine = &plan.machine;
    let [cr0, cr3, cr4] = machine.control;
    checks.equal("cr0", Cr0::read_raw(), cr0);
    checks.equal("cr3", Cr3::read_raw().0.start_address().as_u64(), cr3);
    checks.equal("cr4", Cr4::read_raw(), cr4);
    checks.equal("efer", Efer::read_raw(), machine.efer);
    checks.equal("armed breakpoints", Dr7::read().flags().bits(), 0);
    let idt = sidt();
    let [limit, base] = machine.idt;
    checks.equal("idt limit", u64::from(idt.limit), limit);
    checks.equal("idt base", idt.base.as_u64(), base);
    checks.vectors(plan);
    checks.gdt();
    checks.canaries(plan);
    checks.regions(plan);
    if checks.failed > 0 {
        say(format_args!("payload: {} checks failed", checks.failed));
        exit_with(exit::FAILED);
    }
    say(format_args!("payload: all checks held"));
    exit_with(exit::PASSED)
}

/// Finds the plan where `BootInfo` says the RAM disk is.
fn plan(info: &BootInfo) -> &'static Plan {
    let place = info.ramdisk_addr.into_option().unwrap_or_default();
    // SAFETY: the harness wrote a plan there; nobody changes it any more.
    let plan = unsafe { &*ptr::with_exposed_provenance::<Plan>(place as usize) };
    assert!(
        plan.magic == MAGIC && info.ramdisk_len == size_of::<Plan>() as u64,
        "rdi leads to no plan"
    );
    plan
}

struct Checks {
    failed: u32,
}

impl Checks {
    fn equal(&mut self, name: &str, found: u64, wanted: u64) {
        if found == wanted {
            say(format_args!("ok   {name} {found:#x}"));
        } else {
            self.failed += 1;
            say(format_args!("FAIL {name} {found:#x}, not {wanted:#x}"));
        }
    }

    /// Reloading the selectors in use proves that the table behind them is sound.
    fn gdt(&mut self) {
        // SAFETY: the boot protocol promises this code segment; if the promise
        // is broken the run ends in a reset, which is no pass.
        unsafe { CS::set_reg(CS::get_reg()) };
        // SAFETY: likewise for the data segment.
        unsafe { SS::set_reg(SS::get_reg()) };
        self.equal("selectors reload", 0, 0);
    }

    /// XCR0 as found; each vector register either as it was or zero.
    fn vectors(&mut self, plan: &Plan) {
        let mut open = Cr4::read() | Cr4Flags::OSFXSR;
        open.set(Cr4Flags::OSXSAVE, plan.machine.xcr0 != 0);
        // SAFETY: the harness found both on this CPU.
        unsafe { Cr4::write(open) };
        if plan.machine.xcr0 != 0 {
            self.equal("xcr0", XCr0::read_raw(), plan.machine.xcr0);
        }
        let mut lanes = [[0_u64; 4]; 16];
        let used = if plan.machine.avx == 1 { 4 } else { 2 };
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
                    self.failed += 1;
                    say(format_args!(
                        "FAIL vector {number} holds {lane:#x}, neither 0 nor {before:#x}"
                    ));
                }
            }
        }
        // For xtask, which knows the backend and what each clears.
        say(format_args!("ok   zeroed vector registers {zeroed:#x}"));
    }

    fn canaries(&mut self, plan: &Plan) {
        if plan.canaries == 0 {
            return;
        }
        for (what, start) in [
            (
                "changed words before the purgatory",
                plan.purgatory.start - 4096,
            ),
            ("changed words behind the purgatory", plan.purgatory.end()),
        ] {
            let (words, _) = memory(Range { start, len: 4096 }).as_chunks();
            let changed = words
                .iter()
                .filter(|word| **word != CANARY.to_le_bytes())
                .count();
            self.equal(what, changed as u64, 0);
        }
    }

    fn regions(&mut self, plan: &Plan) {
        let mut hash = Sha256::new();
        for region in plan.regions.iter().filter(|region| region.len > 0) {
            hash.update(&*memory(*region));
        }
        let same = hash.finalize()[..] == plan.digest[..];
        self.equal("regions equal what was hashed", u64::from(same), 1);
    }
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

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(format_args!("payload: {info}"));
    exit_with(exit::FAILED)
}
