//! Carries out the plan.

use core::{
    arch::{global_asm, x86_64::__cpuid},
    fmt,
    panic::PanicInfo,
    ptr,
};

use bootloader_api::{
    BootInfo,
    info::{MemoryRegion, MemoryRegionKind},
};
use purgatory_tests::{
    BOOT_INFO_AT, CANARY, DEBUG_IDT, DIRTY, EXIT_PORT, FIVE_LEVELS, MAGIC, Machine, PLAN_AT, Plan,
    Range,
    arch::{exit_with, memory, say},
    exit, vector_pattern,
};
use x86_64::{
    instructions::tables::sidt,
    registers::{
        control::{Cr0, Cr3, Cr4, Cr4Flags},
        debug::{Dr7, Dr7Flags},
        model_specific::Efer,
        xcontrol::XCr0,
    },
};
use zerocopy::FromBytes;

use crate::x86_64::paging::Map;

global_asm!(
    include_str!("x86_64/entry.S"),
    exit_port = const EXIT_PORT,
    main = sym main,
    pattern = const vector_pattern(0),
    stray_code = const exit::STRAY,
);

unsafe extern "sysv64" {
    fn leave(entry: u64, debug_idt: u64, direction: u64) -> !;
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

/// Runs identically mapped, on the early tables of entry.S.
extern "sysv64" fn main(start_info: u64) -> ! {
    let plan = plan(start_info);
    let mut map = Map::new(plan.flags & FIVE_LEVELS != 0);
    for range in used(&plan.ram) {
        map.identity(range);
    }
    for mapping in plan.mappings.iter().filter(|mapping| mapping.virt.len > 0) {
        map.pages(mapping);
    }
    // SAFETY: the new map covers all RAM, so this code, its stack and the plan
    // stay where they are.
    unsafe { Cr3::write_raw(frame(map.root()), 0) };

    place(plan);
    let pages = [
        plan.purgatory.start.wrapping_sub(4096),
        plan.purgatory.end(),
    ];
    for page in pages.into_iter().filter(|_| plan.canaries == 1) {
        memory(Range {
            start: page,
            len: 4096,
        })
        .as_chunks_mut()
        .0
        .fill(CANARY.to_le_bytes());
    }
    for flip in plan.flips.iter().filter(|flip| flip.mask != 0) {
        for byte in memory(Range {
            start: flip.at,
            len: 1,
        }) {
            *byte ^= flip.mask as u8;
        }
    }
    prepare_idt();
    let mut handed = *plan;
    handed.machine = machine(plan.flags);
    hand_over(handed);
    say(format_args!("harness: ready"));
    // SAFETY: the segment at `entry` was placed above; nothing here is needed again.
    unsafe { leave(plan.entry, plan.flags & DEBUG_IDT, plan.flags & DIRTY) }
}

/// Finds the plan in what QEMU passed.
fn plan(start_info: u64) -> &'static Plan {
    let info = ptr::with_exposed_provenance::<StartInfo>(start_info as usize);
    // SAFETY: the PVH boot protocol passes the address of this structure.
    let info = unsafe { &*info };
    if info.module_count == 0 {
        fail(format_args!("QEMU passed no plan"));
    }
    // SAFETY: the list has `module_count` entries of 4 quadwords, address and size first.
    let module = unsafe { &*ptr::with_exposed_provenance::<[u64; 2]>(info.modules as usize) };
    let [start, len] = *module;
    match Plan::ref_from_prefix(memory(Range { start, len })) {
        Ok((plan, _)) if plan.magic == MAGIC => plan,
        _ => fail(format_args!("the module is no plan")),
    }
}

/// Copies every segment to its place and clears its tail, as `relocate_kernel` does.
fn place(plan: &'static Plan) {
    let image = (&raw const *plan).addr() as u64;
    for step in plan.moves.iter().filter(|step| step.to.len > 0) {
        let source = Range {
            start: image + step.from,
            len: step.filled,
        };
        let occupied = Range {
            start: image,
            len: step.from + step.filled,
        };
        if step.to.overlaps(&occupied) && !plan.mappings.iter().any(|m| m.virt.overlaps(&step.to)) {
            fail(format_args!(
                "the segment at {:#x} overlaps the plan at {image:#x}: give the machine more memory",
                step.to.start
            ));
        }
        let target = memory(step.to);
        let (filled, tail) = target.split_at_mut(step.filled as usize);
        filled.copy_from_slice(memory(source));
        tail.fill(0);
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
fn machine(flags: u64) -> Machine {
    let features = __cpuid(1).ecx;
    let xsave = features & 1 << 26 != 0;
    let avx = xsave && features & 1 << 28 != 0;
    let bare = Cr4::read_raw();
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
        // On address 0, where nothing runs.
        Dr7::write(Dr7Flags::LOCAL_BREAKPOINT_0_ENABLE.into());
    }
    // SAFETY: back to what `leave` promises: PAE and perhaps LA57.
    unsafe { Cr4::write_raw(bare) };
    let (idt_limit, idt_base) = if flags & DEBUG_IDT != 0 {
        (0xff, (&raw const control_idt).addr() as u64)
    } else {
        (0, 0)
    };
    let _ = sidt();
    Machine {
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

/// Leaves the plan and a `BootInfo` where the payload looks for them.
fn hand_over(plan: Plan) {
    let place = ptr::with_exposed_provenance_mut::<Plan>(PLAN_AT as usize);
    // SAFETY: reserved for the plan, inside the harness's own memory.
    unsafe { place.write(plan) };
    let regions =
        ptr::with_exposed_provenance_mut::<[MemoryRegion; 4]>(BOOT_INFO_AT as usize + 0x1000);
    let usable = plan.ram.map(|range| MemoryRegion {
        start: range.start,
        end: range.end(),
        kind: MemoryRegionKind::Usable,
    });
    // SAFETY: the page behind the `BootInfo` is reserved for it.
    unsafe { regions.write(usable) };
    // SAFETY: written just now, and nobody else refers to it.
    let regions: &'static mut [MemoryRegion] = unsafe { &mut *regions };
    let mut info = BootInfo::new(regions.into());
    info.ramdisk_addr = Some(PLAN_AT).into();
    info.ramdisk_len = size_of::<Plan>() as u64;
    let place = ptr::with_exposed_provenance_mut::<BootInfo>(BOOT_INFO_AT as usize);
    // SAFETY: reserved for the `BootInfo`, inside the harness's own memory.
    unsafe { place.write(info) };
}

fn used(ranges: &[Range]) -> impl Iterator<Item = &Range> {
    ranges.iter().filter(|range| range.len > 0)
}

const fn frame(address: u64) -> x86_64::structures::paging::PhysFrame {
    x86_64::structures::paging::PhysFrame::containing_address(x86_64::PhysAddr::new(address))
}

/// Says what is wrong with the plan and ends QEMU.
pub(crate) fn fail(line: fmt::Arguments<'_>) -> ! {
    say(format_args!("harness: {line}"));
    exit_with(exit::NO_PLAN)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    fail(format_args!("{info}"))
}
