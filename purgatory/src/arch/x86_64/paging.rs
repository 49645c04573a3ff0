// SPDX-License-Identifier: MIT OR Apache-2.0
//! A window on any physical address: the identity map of a kexec is RAM only.
//!
//! The root of our own page tables is a copy of the one that was found, with three
//! entries replaced. The last one leads to the root itself, at any number of levels: so
//! the highest 6 MiB of all addresses are what its last three entries say, taken for
//! pages of 2 MiB. Nothing else changes, nothing of the first kernel is written, and 4
//! and 5 levels are alike. Only devices that were configured, and reports, get here.
//!
//! No bit is taken over from the entries that were found: device memory is shared in an
//! SEV guest, which a clear C-bit says, and its tables are private whatever theirs says.
#![expect(unsafe_code, reason = "page tables")]

use core::arch::asm;

use super::tables::address;
use crate::abi::Exported;

/// A root of page tables.
#[repr(C, align(4096))]
struct Root([Exported<u64>; 512]);

#[unsafe(link_section = ".bss.exported.root")]
static ROOT: Root = Root([const { Exported::new(0) }; 512]);
/// CR3 as it was found, once it was changed, for `x86_jump`; else 0.
pub(super) static FOUND: Exported<u64> = Exported::new(0);

/// Present, writable.
const TABLE: u64 = 3;
/// Of 2 MiB, accessed and written already, so that it stays as it is; and by PCD, whatever
/// PAT the first kernel set up, uncached (UC-): what goes to RAM outlives a reset, and an
/// MTRR may still allow a frame buffer to combine.
const PAGE: u64 = TABLE | 0x80 | 0x60 | 0x10;
const SIZE: u64 = 1 << 21;
/// What the last but two entry of the root maps, on 4 levels and on 5.
const WINDOW: u64 = 0u64.wrapping_sub(3 * SIZE);

/// Makes a physical address below `ADDRESS_LIMIT` reachable, and 2 MiB from there on;
/// returns where, until the next call.
#[inline(never)]
pub(super) fn reach(physical: u64) -> u64 {
    let [.., page, next, this] = &ROOT.0;
    let offset = physical & (SIZE - 1);
    let entry = (physical ^ offset) | PAGE;
    if page.read() != entry {
        let root = address(&raw const ROOT);
        if FOUND.read() == 0 {
            FOUND.write(copy(root));
            this.write(root | TABLE);
        }
        page.write(entry);
        next.write(entry.wrapping_add(SIZE));
        load(root);
    }
    WINDOW | offset
}

/// Copies the root that is in use; returns what leads to it.
fn copy(to: u64) -> u64 {
    let found;
    // SAFETY: reads what CR3 leads to, if it is mapped where it is, and writes the 4096
    // bytes of `ROOT`, which nobody refers to but by its cells. Touches no flag.
    unsafe {
        asm!(
            "mov {found}, cr3",
            "mov rsi, {found}",
            "and si, -4096",
            "rep movsq",
            found = out(reg) found,
            inout("rcx") 512_u64 => _,
            inout("rdi") to => _,
            out("rsi") _,
            options(nostack),
        );
    }
    found
}

fn load(root: u64) {
    // SAFETY: the root that was found, or a copy of it in which only the highest 6 MiB
    // of all addresses differ, where nothing of ours is.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}
