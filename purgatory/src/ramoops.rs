// SPDX-License-Identifier: MIT OR Apache-2.0
//! A zone of ramoops: what is written there, the kernel after the reset shows in
//! `/sys/fs/pstore` (Linux, `fs/pstore/ram.c`, `ram_core.c`).
//!
//! A zone is bytes behind a header of three words. It may be the record of a dump, or
//! the console's, where no kernel log is kept in that: both are read back alike. There
//! is no ECC here. A zone is taken over as the kernel itself does with a dump's: it is
//! empty, or another dump is in it. Anything else is left as it is.

use crate::{abi::Region, arch, memory};

/// A zone, by what was configured.
#[derive(Clone, Copy)]
pub(crate) struct Zone {
    /// The address of its header.
    pub(crate) start: u64,
    /// Its bytes, with the header.
    pub(crate) size: u32,
}

/// `PERSISTENT_RAM_SIG`, of the kinds that mix nothing into it.
const SIGNATURE: u32 = u32::from_le_bytes(*b"DBGC");
/// How the record of a dump begins.
const DUMP: u32 = u32::from_le_bytes(*b"====");
/// The header of a new one: its ring begins with the first byte, and holds the first
/// line, of a dump at no known time (`ramoops_read_kmsg_hdr()`).
const NEW: [u32; 5] = [SIGNATURE, 0, 8, DUMP, u32::from_le_bytes(*b"0.0\n")];

impl Zone {
    /// Takes it into use; false if it is none.
    pub(crate) fn open(self) -> bool {
        let region = Region {
            start: self.start,
            len: self.size.into(),
        };
        let count = self.count();
        let taken = memory::is_free(region)
            && arch::read(self.start) == SIGNATURE
            && count <= self.room()
            && (count == 0 || arch::read(self.start.wrapping_add(12)) == DUMP);
        if taken {
            let mut at = self.start;
            for word in NEW {
                arch::write(at, word);
                at = at.wrapping_add(4);
            }
        }
        taken
    }

    /// Appends a byte; false if it is full.
    pub(crate) fn write(self, byte: u8) -> bool {
        let count = self.count();
        if count >= self.room() {
            return false;
        }
        let at = self.start.wrapping_add(12);
        arch::fill(at.wrapping_add(count.into()), byte.into(), 1);
        arch::write(self.start.wrapping_add(8), count.wrapping_add(1));
        true
    }

    fn count(self) -> u32 {
        arch::read(self.start.wrapping_add(8))
    }

    /// How many bytes it holds.
    const fn room(self) -> u32 {
        self.size.saturating_sub(12)
    }
}
