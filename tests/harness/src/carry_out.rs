// SPDX-License-Identifier: MIT OR Apache-2.0
//! Carries out the plan.

use core::{fmt, panic::PanicInfo, ptr};

use bootloader_api::{
    BootInfo,
    info::{MemoryRegion, MemoryRegionKind},
};
use purgatory_tests::{
    arch::{INFO_AT, PLAN_AT, exit_with},
    guest::{memory, say},
    plan::{CANARY, MAGIC, Plan, Range, exit},
};
use zerocopy::FromBytes as _;

use crate::arch;

/// Carries out the plan at the start of what QEMU passed; runs identically mapped.
pub(crate) fn carry_out(image: Range) -> ! {
    let plan: &'static Plan = match Plan::ref_from_prefix(memory(image)) {
        Ok((plan, _)) if plan.magic == MAGIC => plan,
        _ => fail(format_args!("the module is no plan")),
    };
    arch::map(plan);
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
    hand_over(Plan {
        state: arch::prepare(plan),
        ..*plan
    });
    say(format_args!("harness: ready"));
    arch::leave(plan)
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

/// Leaves the plan and a `BootInfo` where the payload looks for them.
fn hand_over(plan: Plan) {
    let place = ptr::with_exposed_provenance_mut::<Plan>(PLAN_AT as usize);
    // SAFETY: reserved for the plan, inside the harness's own memory.
    unsafe { place.write(plan) };
    let regions = ptr::with_exposed_provenance_mut::<[MemoryRegion; 4]>(INFO_AT as usize + 0x1000);
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
    let place = ptr::with_exposed_provenance_mut::<BootInfo>(INFO_AT as usize);
    // SAFETY: reserved for the `BootInfo`, inside the harness's own memory.
    unsafe { place.write(info) };
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
