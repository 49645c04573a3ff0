// SPDX-License-Identifier: MIT OR Apache-2.0
//! x86-64: which backends it runs, and its limit.

use std::arch::{asm, is_x86_feature_detected};

use purgatory::abi::Backend;

/// What hides the SHA extensions from OpenSSL: bit 29 of EBX of CPUID leaf 7, the
/// second word of a variable (`OPENSSL_ia32cap(3)`).
pub(crate) const WITHOUT_SHA: Option<(&str, &str)> = Some(("OPENSSL_ia32cap", ":~0x20000000"));

/// Reads what OpenSSL believes of them: `CPUINFO: OPENSSL_ia32cap=0x…:0x…`.
pub(crate) fn has_sha(cpu: &str) -> Option<bool> {
    let words = cpu.split_once("OPENSSL_ia32cap=")?.1;
    let second = words.split([':', ' ']).nth(1)?;
    let second = u64::from_str_radix(second.strip_prefix("0x")?, 16).ok()?;
    Some(second & 1 << 29 != 0)
}

/// Tells whether this CPU runs a backend; the blob itself takes the caller's word.
pub(crate) fn runs_here(backend: Backend) -> bool {
    match backend {
        Backend::Portable | Backend::Sse2 => true,
        Backend::ShaNi => {
            is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1")
        }
        Backend::Zknh | Backend::Zvknh => false,
    }
}

/// Returns what takes as long as no SHA code for this CPU can avoid.
pub(crate) fn limit() -> Option<fn(u64)> {
    runs_here(Backend::ShaNi).then_some(chain)
}

/// Runs the chain of a message of `bytes` bytes and its padding: each `sha256rnds2`
/// takes the result of the one before it, 32 of them a block. It hashes nothing; what
/// real code does besides has to hide behind it.
fn chain(bytes: u64) {
    let blocks = (bytes + 9).div_ceil(64);
    // SAFETY: registers only; `limit` has asked the CPU for its SHA extensions.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_openssl_believes() {
        let told = "CPUINFO: OPENSSL_ia32cap=0x7ffaf3ffffebffff:0x29c6fbf";
        assert_eq!(has_sha(told), Some(false));
        let told = "CPUINFO: OPENSSL_ia32cap=0x7f:0x209c01a9 env:0:~0x20000000";
        assert_eq!(has_sha(told), Some(true));
        assert_eq!(has_sha("CPUINFO: N/A"), None);
    }
}
