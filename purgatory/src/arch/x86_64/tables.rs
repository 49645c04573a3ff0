// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own GDT, TSS and IDT, laid out by hand.
//!
//! Selectors 0x10 (code) and 0x18 (data) are what the boot protocol promises the
//! next kernel and what the IDT of Linux 7.x expects. Double fault and machine
//! check get a stack of their own; the others keep the current one, or a bad RSP
//! would never show as a double fault. An NMI, too: on the stack of a double
//! fault it would overwrite what is being reported.
#![expect(unsafe_code, reason = "loads descriptor tables")]

use core::{arch::asm, mem::offset_of};

use spin::mutex::{SpinMutex, SpinMutexGuard};
use x86_64::{
    PrivilegeLevel, VirtAddr,
    instructions::{
        segmentation::{CS, DS, ES, FS, GS, SS, Segment},
        tables::{lgdt, lidt, load_tss},
    },
    structures::{DescriptorTablePointer, gdt::SegmentSelector},
};

use crate::{abi::Exported, memory::wide};

/// Vectors with a stack of their own (AMD64 manual volume 2, table 8-1).
const DOUBLE_FAULT: usize = 8;
/// See [`DOUBLE_FAULT`].
pub(super) const MACHINE_CHECK: usize = 18;

/// The IDT register as it was found: from `purgatory_start`, for `x86_jump`.
pub(super) static SAVED_IDT: Exported<[u8; 10]> = Exported::new([0; 10]);

/// 64-bit code, flat, present, already marked accessed.
const CODE: u64 = 0x00af_9b00_0000_ffff;
/// Data, flat, writable, present, already marked accessed.
const DATA: u64 = 0x00cf_9300_0000_ffff;
/// An available 64-bit TSS, present; base and limit are filled in.
const TSS: u64 = 0x0000_8900_0000_0000;
/// An interrupt gate, present, CPL 0, through selector 0x10.
const GATE: u64 = 0x0000_8e00_0010_0000;

const CODE_SELECTOR: SegmentSelector = SegmentSelector::new(2, PrivilegeLevel::Ring0);
const DATA_SELECTOR: SegmentSelector = SegmentSelector::new(3, PrivilegeLevel::Ring0);
const TSS_SELECTOR: SegmentSelector = SegmentSelector::new(4, PrivilegeLevel::Ring0);

/// Gates: every exception of the architecture.
const VECTORS: usize = 32;
/// Bytes from one entry stub to the next.
const STUB: u64 = 4;

/// The 64-bit TSS (AMD64 manual volume 2, section 12.2.5), as far as it is used.
#[repr(C, packed(4))]
struct TaskState {
    reserved: u32,
    privileged_stacks: [u64; 3],
    reserved2: u64,
    fault_stack: u64,
    interrupt_stacks: [u64; 6],
    reserved3: [u32; 2],
    reserved4: u16,
    io_map: u16,
}

/// Its size, which is where no I/O map begins.
const TASK_STATE: u16 = 104;

const _: () = assert!(size_of::<TaskState>() == 104);
const _: () = assert!(offset_of!(TaskState, fault_stack) == 36);

#[repr(C)]
struct Tables {
    gdt: [u64; 6],
    idt: [[u64; 2]; VECTORS],
    tss: TaskState,
}

static TABLES: SpinMutex<Tables> = SpinMutex::new(Tables {
    gdt: [0; 6],
    idt: [[0; 2]; VECTORS],
    tss: TaskState {
        reserved: 0,
        privileged_stacks: [0; 3],
        reserved2: 0,
        fault_stack: 0,
        interrupt_stacks: [0; 6],
        reserved3: [0; 2],
        reserved4: 0,
        io_map: 0,
    },
});

unsafe extern "sysv64" {
    safe static x86_exception_stubs: u8;
    safe static fault_stack_end: u8;
}

/// Loads our GDT, segments, TSS and IDT, once.
pub(super) fn install() {
    let Some(tables) = TABLES.try_lock() else {
        return;
    };
    // Locked for good: the CPU owns the tables from here on.
    let tables = SpinMutexGuard::leak(tables);

    let tss = address(&raw const tables.tss);
    tables.tss.fault_stack = address(&raw const fault_stack_end);
    tables.tss.io_map = TASK_STATE;
    tables.gdt = [
        0,
        0,
        CODE,
        DATA,
        TSS | u64::from(TASK_STATE - 1) | (tss & 0x00ff_ffff) << 16 | (tss >> 24 & 0xff) << 56,
        tss >> 32,
    ];
    // All stubs lie in one page, so only the lowest part of a gate changes.
    let stub = address(&raw const x86_exception_stubs);
    let mut low = GATE | stub & 0xffff | (stub & 0xffff_0000) << 32;
    let high = stub >> 32;
    for gate in &mut tables.idt {
        *gate = [low, high];
        low = low.wrapping_add(STUB);
    }
    tables.idt[DOUBLE_FAULT][0] |= 1 << 32;
    tables.idt[MACHINE_CHECK][0] |= 1 << 32;

    let gdt = pointer(&raw const tables.gdt);
    let idt = pointer(&raw const tables.idt);
    // SAFETY: the table is never moved or written again, and holds code and
    // data descriptors that equal the ones in use.
    unsafe { lgdt(&gdt) };
    // SAFETY: selector 0x10 is the 64-bit code segment just loaded.
    unsafe { CS::set_reg(CODE_SELECTOR) };
    // SAFETY: selector 0x18 is the flat data segment just loaded.
    unsafe { DS::set_reg(DATA_SELECTOR) };
    // SAFETY: as above.
    unsafe { ES::set_reg(DATA_SELECTOR) };
    // SAFETY: as above.
    unsafe { SS::set_reg(DATA_SELECTOR) };
    // SAFETY: as above; no thread-local data exists.
    unsafe { FS::set_reg(DATA_SELECTOR) };
    // SAFETY: as above.
    unsafe { GS::set_reg(DATA_SELECTOR) };
    // SAFETY: selector 0x20 is the available TSS just written.
    unsafe { load_tss(TSS_SELECTOR) };
    // SAFETY: all gates lead to stubs of entry.S through selector 0x10.
    unsafe { lidt(&idt) };
    // SAFETY: the stack is ours, the selectors were just loaded.
    unsafe { accept_nmis() };
}

/// Executes an IRET, to the next instruction.
///
/// A kernel that panics in an NMI enters us with NMIs blocked until an IRET, and
/// perhaps one waits. It is for us to take: at the first IRET of the next kernel it
/// would be its end (Linux 78a509fba9c9).
///
/// # Safety
/// An IDT with a gate for NMIs is loaded.
unsafe fn accept_nmis() {
    // SAFETY: returns to where it was, with the same stack and flags; the frame is
    // pushed below the stack pointer, where the compiler keeps nothing.
    unsafe {
        asm!(
            "mov {stack}, rsp",
            "push {data}",
            "push {stack}",
            "pushfq",
            "push {code}",
            "lea {stack}, [rip + 2f]",
            "push {stack}",
            "iretq",
            "2:",
            stack = out(reg) _,
            data = const 0x18,
            code = const 0x10,
        );
    }
}

/// Takes the tables away from under the CPU and raises an exception: without a gate
/// for it, nor for those that follow, the CPU shuts down, and a PC resets. Nothing of
/// this can be refused, as loading an empty IDT could.
pub(super) fn shut_down() -> ! {
    // SAFETY: nobody runs behind this; the exceptions on the way are meant.
    unsafe {
        asm!(
            "rep stosb",
            "ud2",
            in("al") 0_u8,
            in("rcx") size_of_val(&TABLES),
            in("rdi") &raw const TABLES,
            options(noreturn),
        );
    }
}

/// Describes a table to the CPU.
fn pointer<T>(table: *const T) -> DescriptorTablePointer {
    DescriptorTablePointer {
        limit: u16::try_from(size_of::<T>().wrapping_sub(1)).unwrap_or(u16::MAX),
        // SAFETY: the address of an existing object is canonical; the checked
        // constructors know 4-level paging only.
        base: unsafe { VirtAddr::new_unsafe(address(table)) },
    }
}

/// Where something is, as a number.
pub(super) fn address<T>(place: *const T) -> u64 {
    wide(place.expose_provenance())
}
