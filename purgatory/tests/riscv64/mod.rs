// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader of device trees, compiled for this host, over memory that is a tree and
//! nothing else.

use std::cell::RefCell;

pub(crate) mod io {
    #[derive(Clone, Copy, Debug)]
    #[expect(dead_code, reason = "nothing is driven")]
    pub(crate) enum Bus {
        Words,
        Bytes(u64),
    }

    pub(super) fn read(address: u64) -> u32 {
        assert!(address.is_multiple_of(4), "{address:#x}");
        u32::from_ne_bytes(bytes(address))
    }

    pub(super) fn load_byte(address: u64) -> u8 {
        let [byte] = bytes(address);
        byte
    }

    /// Reads bytes of the tree, zeros behind it.
    fn bytes<const N: usize>(address: u64) -> [u8; N] {
        super::TREE.with_borrow(|tree| {
            let size = tree.get(4..8).map(|size| size.try_into().unwrap());
            let size = size.map_or(0, u32::from_be_bytes).min(1 << 24);
            let offset = address.checked_sub(super::BASE).unwrap();
            // A structure that begins at the end and is as long again, and so its last value.
            assert!(offset < 3 * u64::from(size) + 64, "{offset:#x}");
            let rest = tree.get(offset as usize..).unwrap_or_default();
            std::array::from_fn(|at| rest.get(at).copied().unwrap_or(0))
        })
    }
}

mod machine {
    pub(super) const fn tree() -> u64 {
        super::BASE
    }
}

#[path = "../../src/arch/riscv64/tree.rs"]
mod tree;

const BASE: u64 = 0x8220_0000;

thread_local! {
    static TREE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Returns the timer's rate and the place of the UART.
pub(crate) fn read(bytes: &[u8]) -> (Option<u32>, Option<u64>) {
    TREE.set(bytes.to_vec());
    (tree::timebase(), tree::uart().map(|uart| uart.base))
}
