// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64: entered through the PVH note, left through a control page.

mod paging;

use core::{
    arch::{asm, global_asm, x86_64::__cpuid},
    mem::offset_of,
    ptr,
};

use purgatory_tests::{
    arch::{
        State,
        x86_64::{
            BREAKPOINT, DEBUG_IDT, EXIT_PORT, FIVE_LEVELS, FROM_NMI, MEMORY, OTHER_SEGMENTS, SSE_ON,
        },
    },
    plan::{DIRTY, Plan, Range, STATE, exit, vector_pattern},
};
use x86_64::{
    PhysAddr,
    instructions::tables::sidt,
    registers::{
        control::{Cr0, Cr3, Cr4, Cr4Flags},
        debug::{DebugAddressRegister as _, Dr0},
        model_specific::Efer,
        xcontrol::XCr0,
    },
    structures::paging::PhysFrame,
};

use crate::carry_out::{carry_out, fail};
use paging::Map;

global_asm!(
    include_str!("entry.S"),
    exit_port = const EXIT_PORT,
    main = sym main,
    pattern = const vector_pattern(0),
    stray_code = const exit::STRAY,
);

unsafe extern "sysv64" {
    #[link_name = "leave"]
    fn leave_page(entry: u64, debug_idt: u64, direction: u64, segments: u64) -> !;
    fn stay_in_nmi();
    fn dirty_sse();
    fn dirty_avx();
    safe static stray_handler: u8;
    static mut control_idt: [[u64; 2]; 16];
}

/// `struct hvm_start_info` (`include/xen/interface/hvm/start_info.h`), as far as it is used.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
}

/// Finds the image in what QEMU passed. Runs on the early tables of entry.S.
extern "sysv64" fn main(start_info: u64) -> ! {
    let info = ptr::with_exposed_provenance::<StartInfo>(start_info as usize);
    // SAFETY: the PVH boot protocol passes the address of this structure.
    let info = unsafe { &*info };
    if info.module_count == 0 {
        fail(format_args!("QEMU passed no plan"));
    }
    // SAFETY: the list has `module_count` entries of 4 quadwords, address and size first.
    let module = unsafe { &*ptr::with_exposed_provenance::<[u64; 2]>(info.modules as usize) };
    let [start, len] = *module;
    let image = Range { start, len };
    // The interrupt controller is mapped only now, by the early tables.
    if flags(image) & FROM_NMI != 0 {
        // SAFETY: nothing here depends on the IDT, or returns from an interrupt.
        unsafe { stay_in_nmi() };
    }
    carry_out(image)
}

/// Returns the flags of the plan, which begins the image.
const fn flags(image: Range) -> u64 {
    let flags = image.start as usize + offset_of!(Plan, flags);
    // SAFETY: QEMU put it there; only a plan that is none has other bytes.
    unsafe { ptr::with_exposed_provenance::<u64>(flags).read() }
}

/// Maps memory as the plan says.
pub(crate) fn map(plan: &Plan) {
    let mut map = Map::new(plan.flags & FIVE_LEVELS != 0);
    for range in plan.ram.iter().filter(|range| range.len > 0) {
        map.identity(range);
    }
    for mapping in plan.mappings.iter().filter(|mapping| mapping.virt.len > 0) {
        map.pages(mapping);
    }
    let root = PhysFrame::containing_address(PhysAddr::new(map.root()));
    // SAFETY: the new map covers all RAM, so this code, its stack and the plan
    // stay where they are.
    unsafe { Cr3::write_raw(root, 0) };
}

/// Points the gates of the control page at their handler, and fills what a kernel may
/// leave filled; returns the state that the payload must find again.
pub(crate) fn prepare(plan: &Plan) -> [u64; STATE] {
    prepare_idt();
    zerocopy::transmute!(state(plan.flags))
}

/// Leaves the machine as `relocate_kernel_64.S` does.
pub(crate) fn leave(plan: &Plan) -> ! {
    let flag = |flag| plan.flags & flag;
    // SAFETY: the segment at `entry` is in its place; nothing here is needed again.
    unsafe {
        leave_page(
            plan.entry,
            flag(DEBUG_IDT),
            flag(DIRTY),
            flag(OTHER_SEGMENTS),
        )
    }
}

/// Points the 16 gates of the control page at the handler that ends QEMU.
fn prepare_idt() {
    let handler = (&raw const stray_handler).addr() as u64;
    let gate = [
        0x0000_8f00_0010_0000 | handler & 0xffff | (handler & 0xffff_0000) << 32,
        handler >> 32,
    ];
    let table = &raw mut control_idt;
    // SAFETY: entry.S reserves 16 gates of 16 bytes there; nobody else uses them yet.
    unsafe { table.write([gate; 16]) };
}

/// Notes the state that the payload must find again.
fn state(flags: u64) -> State {
    let features = __cpuid(1).ecx;
    let xsave = features & 1 << 26 != 0;
    let avx = xsave && features & 1 << 28 != 0;
    let mut bare = Cr4::read_raw();
    if flags & SSE_ON != 0 {
        bare |= Cr4Flags::OSFXSR.bits();
    }
    if flags & BREAKPOINT != 0 {
        Dr0::write(MEMORY.ram_disk);
        // SAFETY: a breakpoint on 4 bytes that are read or written; nobody here does.
        unsafe { asm!("mov dr7, {}", in(reg) 0x000f_0403_u64) };
    } else if flags & DIRTY != 0 {
        Dr0::write(0);
        // SAFETY: a breakpoint on address 0, where nothing runs.
        unsafe { asm!("mov dr7, {}", in(reg) 0x401_u64) };
    }
    let mut open = Cr4::read() | Cr4Flags::OSFXSR;
    open.set(Cr4Flags::OSXSAVE, xsave);
    // SAFETY: enables what CPUID says is there.
    unsafe { Cr4::write(open) };
    if avx {
        // SAFETY: x87, SSE and AVX state exist.
        unsafe { XCr0::write_raw(7) };
    }
    let xcr0 = if xsave { XCr0::read_raw() } else { 0 };
    if flags & DIRTY != 0 {
        if avx {
            // SAFETY: AVX is enabled; no code here keeps anything in vector registers.
            unsafe { dirty_avx() };
        } else {
            // SAFETY: SSE is enabled; no code here keeps anything in vector registers.
            unsafe { dirty_sse() };
        }
    }
    // SAFETY: back to what `leave` promises: PAE and perhaps LA57.
    unsafe { Cr4::write_raw(bare) };
    let (idt_limit, idt_base) = if flags & DEBUG_IDT != 0 {
        (0xff, (&raw const control_idt).addr() as u64)
    } else {
        (0, 0)
    };
    let _ = sidt();
    State {
        control: [
            Cr0::read_raw(),
            Cr3::read_raw().0.start_address().as_u64(),
            bare,
        ],
        efer: Efer::read_raw(),
        xcr0,
        idt: [idt_limit, idt_base],
        avx: u64::from(avx),
    }
}
