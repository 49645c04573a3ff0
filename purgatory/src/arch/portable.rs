// SPDX-License-Identifier: MIT OR Apache-2.0
//! The portable compression function, which every architecture has.

use super::BLOCK;

// Where the stock purgatory leaves room for it, riscv64 takes the unrolled code.
#[cfg(all(
    target_os = "none",
    not(all(
        sha2_backend = "soft",
        any(sha2_backend_soft = "compact", target_arch = "riscv64")
    ))
))]
compile_error!(
    "the blob needs `--cfg sha2_backend=\"soft\" --cfg sha2_backend_soft=\"compact\"`: \
     build it with `cargo xtask build`"
);

/// Computes it; `sha2` knows how.
// Called in one place; inlined, what it saves on the stack is saved for the others, too.
#[inline(never)]
pub(super) fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    sha2::block_api::compress256(state, blocks);
}
