//! Finds the fastest hash backend by executing it, never by CPUID.
//!
//! In SEV-ES, SEV-SNP and TDX guests CPUID raises #VC or #VE, where an absent
//! instruction raises #UD natively everywhere. Any exception in a probe means
//! "absent, next". Control registers are changed bit by bit and put back before
//! the jump: CR4.MCE and LA57 are never touched.
#![expect(unsafe_code, reason = "CR4, XCR0 and instructions that may not exist")]

use core::arch::naked_asm;

use x86_64::registers::{
    control::{Cr4, Cr4Flags},
    xcontrol::XCr0,
};

use super::machine::guarded;
use crate::{abi::Exported, sha256::Backend};

/// x87, SSE and AVX state.
const AVX_STATE: u64 = 7;

/// CR4 as it was found.
static FOUND_CR4: Exported<u64> = Exported::new(0);
/// XCR0 as it was found, once it was changed; else 0, which it never is.
static FOUND_XCR0: Exported<u64> = Exported::new(0);

/// Leaves enabled what the backend that it returns needs, and nothing more.
pub fn fastest_backend() -> Backend {
    let found = Cr4::read_raw();
    FOUND_CR4.write(found);
    write_cr4(found | Cr4Flags::OSFXSR.bits());
    if guarded(|| probe(probe_shani)) {
        return Backend::ShaNi;
    }
    // QEMU loops for ever when OSXSAVE is set on a CPU model without XSAVE; a
    // CPU with BMI2 has it.
    if guarded(|| probe(probe_bmi2)) {
        write_cr4(found | (Cr4Flags::OSFXSR | Cr4Flags::OSXSAVE).bits());
        if guarded(enable_avx) && guarded(|| probe(probe_avx2)) {
            return Backend::Avx2;
        }
    }
    restore();
    Backend::Portable
}

/// Puts XCR0 and CR4 back.
pub(super) fn restore() {
    let xcr0 = FOUND_XCR0.read();
    if xcr0 != 0 {
        // SAFETY: the value that was found there.
        unsafe { XCr0::write_raw(xcr0) };
        FOUND_XCR0.write(0);
    }
    write_cr4(FOUND_CR4.read());
}

fn enable_avx() {
    let found = XCr0::read_raw();
    FOUND_XCR0.write(found);
    // SAFETY: adds state components; where one does not exist, the fault is caught.
    unsafe { XCr0::write_raw(found | AVX_STATE) };
}

fn write_cr4(value: u64) {
    // SAFETY: the value found at entry, at most with OSFXSR and OSXSAVE added;
    // both only permit instructions.
    unsafe { Cr4::write_raw(value) };
}

fn probe(instructions: unsafe extern "sysv64" fn()) {
    // SAFETY: the probes below change registers only, and zero what they used;
    // an exception ends in the guard.
    unsafe { instructions() };
}

/// What `sha256_compress_shani` is made of: SHA, SSSE3, SSE4.1.
#[unsafe(naked)]
unsafe extern "sysv64" fn probe_shani() {
    naked_asm!(
        "pxor xmm0, xmm0",
        "pshufb xmm0, xmm0",
        "palignr xmm0, xmm0, 4",
        "pblendw xmm0, xmm0, 1",
        "sha256msg1 xmm0, xmm0",
        "sha256msg2 xmm0, xmm0",
        "sha256rnds2 xmm0, xmm0",
        "pxor xmm0, xmm0",
        "ret",
    )
}

/// The one instruction of BMI2 that `sha256_compress_avx2` uses.
#[unsafe(naked)]
unsafe extern "sysv64" fn probe_bmi2() {
    naked_asm!("rorx eax, eax, 1", "ret")
}

/// What `sha256_compress_avx2` is made of, on 256 bits: AVX2 has no use where an
/// emulator takes its parts for missing.
#[unsafe(naked)]
unsafe extern "sysv64" fn probe_avx2() {
    naked_asm!(
        "vpxor ymm0, ymm0, ymm0",
        "vpshufb ymm0, ymm0, ymm0",
        "vpalignr ymm0, ymm0, ymm0, 4",
        "vpshufd ymm0, ymm0, 0",
        "vpsrlq ymm0, ymm0, 1",
        "vpaddd ymm0, ymm0, ymm0",
        "vinserti128 ymm0, ymm0, xmm0, 1",
        "vzeroall",
        "ret",
    )
}
