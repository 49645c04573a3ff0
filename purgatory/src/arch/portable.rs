// SPDX-License-Identifier: MIT OR Apache-2.0
//! The portable compression function, which every architecture has.

use super::BLOCK;

#[cfg(all(
    target_os = "none",
    not(all(sha2_backend = "soft", sha2_backend_soft = "compact"))
))]
compile_error!(
    "the blob needs `--cfg sha2_backend=\"soft\" --cfg sha2_backend_soft=\"compact\"`: \
     build it with `cargo xtask build`"
);

/// Computes it; `sha2` knows how.
pub(super) fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
    sha2::block_api::compress256(state, blocks);
}
