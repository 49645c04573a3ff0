// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page tables as `init_pgtable()` in `machine_kexec_64.c` makes them: everything
//! mapped is readable, writable and executable, RAM is rounded out to 2 MiB, and
//! no device memory is mapped.

use purgatory_tests::plan::{Mapping, Range};

/// Present, writable.
const TABLE: u64 = 3;
/// Present, writable, a page of its own at a middle level.
const LARGE: u64 = 0x83;
const LARGE_PAGE: u64 = 1 << 21;
const SMALL_PAGE: u64 = 1 << 12;
/// Where the address of the next table stands in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// How many tables there are to hand out: enough for 64 GiB of RAM and a few
/// mappings that are far apart.
const TABLES: usize = 96;

#[repr(C, align(4096))]
struct Table([u64; 512]);

/// A map under construction. Tables are addressed by their physical address,
/// which is their own: the harness runs identically mapped.
pub(crate) struct Map {
    root: u64,
    levels: u32,
    free: &'static mut [Table],
}

static mut POOL: [Table; TABLES] = [const { Table([0; 512]) }; TABLES];

impl Map {
    /// Starts an empty map. Called once.
    pub(crate) fn new(five_levels: bool) -> Self {
        let pool = &raw mut POOL;
        // SAFETY: the only reference ever made; `new` is called once.
        let free: &'static mut [Table] = unsafe { &mut *pool };
        let mut map = Self {
            root: 0,
            levels: if five_levels { 5 } else { 4 },
            free,
        };
        map.root = map.table();
        map
    }

    /// Returns what CR3 is to hold.
    pub(crate) const fn root(&self) -> u64 {
        self.root
    }

    /// Maps `range` identically, rounded out to large pages.
    pub(crate) fn identity(&mut self, range: &Range) {
        let mut at = range.start & !(LARGE_PAGE - 1);
        while at < range.end() {
            *self.entry(at, 2) = at | LARGE;
            at += LARGE_PAGE;
        }
    }

    /// Maps small pages.
    pub(crate) fn pages(&mut self, mapping: &Mapping) {
        for offset in (0..mapping.virt.len).step_by(4096) {
            *self.entry(mapping.virt.start + offset, 1) =
                (mapping.phys + offset) & !(SMALL_PAGE - 1) | TABLE;
        }
    }

    /// Takes an empty table from the pool.
    fn table(&mut self) -> u64 {
        let pool = core::mem::take(&mut self.free);
        let Some((first, rest)) = pool.split_first_mut() else {
            crate::carry_out::fail(format_args!(
                "the plan needs more than {TABLES} page tables"
            ));
        };
        self.free = rest;
        (&raw const *first).addr() as u64
    }

    /// Walks to the entry for `address` at `level`, and makes the tables above it.
    fn entry(&mut self, address: u64, level: u32) -> &mut u64 {
        let mut table = self.root;
        let mut at = self.levels;
        loop {
            let index = (address >> (12 + 9 * (at - 1))) as usize & 511;
            let slot =
                core::ptr::with_exposed_provenance_mut::<u64>(table as usize).wrapping_add(index);
            if at == level {
                // SAFETY: `table` came from `table()` and the index is below 512.
                return unsafe { &mut *slot };
            }
            // SAFETY: as above.
            let mut next = unsafe { slot.read() };
            if next == 0 {
                next = self.table() | TABLE;
                // SAFETY: as above.
                unsafe { slot.write(next) };
            }
            table = next & ADDRESS;
            at -= 1;
        }
    }
}
