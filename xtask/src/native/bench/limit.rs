//! The limit of this CPU: nothing but the chain that no SHA-NI code can avoid.
//!
//! Each `sha256rnds2` takes the result of the one before it, 32 of them a
//! block. It hashes nothing; what real code does besides has to hide behind it.

use std::arch::asm;

/// Runs the chain of a message of `bytes` bytes and its padding.
pub(super) fn run(bytes: u64) {
    let blocks = (bytes + 9).div_ceil(64);
    // SAFETY: registers only; the caller has asked the CPU for its SHA extensions.
    unsafe {
        asm!(
            "2:",
            ".rept 16",
            "sha256rnds2 xmm1, xmm2, xmm0",
            "sha256rnds2 xmm2, xmm1, xmm0",
            ".endr",
            "dec {blocks}",
            "jnz 2b",
            blocks = inout(reg) blocks => _,
            out("xmm0") _,
            out("xmm1") _,
            out("xmm2") _,
            options(nomem, nostack),
        );
    }
}
