#![doc = include_str!("../README.md")]
#![no_std]
#![deny(
    unsafe_code,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod abi;
pub mod arch;
pub mod console;
pub mod memory;
pub mod report;
pub mod sha256;
pub mod status;
pub mod verify;

use abi::CONFIG;
use sha256::Backend;
use status::{Phase, STATUS};
use verify::Refusal;

/// Runs the whole trip: called once by the entry code on the purgatory's own
/// stack, and leaves either into the next kernel or into [`finish`].
pub fn run() -> ! {
    STATUS.open();
    arch::prepare();
    if CONFIG.is_verbose() {
        report::begin();
    }
    let backend = arch::fastest_backend();
    match verify(backend) {
        Ok(()) if arch::stack_is_sound() => {
            if CONFIG.is_verbose() {
                report::end(backend);
            }
            STATUS.enter(Phase::Leaving);
            arch::jump()
        }
        Ok(()) => {
            STATUS.overflowed();
            report::overflowed();
        }
        Err(refusal) => report::refused(refusal, backend),
    }
    finish()
}

/// Says what happens next to a machine whose purgatory cannot go on, and does it.
pub fn finish() -> ! {
    report::ending();
    act()
}

/// Does with the machine what was configured for such a case, without a word.
pub fn act() -> ! {
    if !CONFIG.resets() {
        arch::halt();
    }
    let delay = CONFIG.delay.read();
    if delay > 0 {
        arch::wait(delay);
    }
    arch::reset()
}

/// Checks the loaded image with `backend` and leaves what it found in the status record.
#[inline(never)]
fn verify(backend: Backend) -> Result<(), Refusal> {
    STATUS.begin(backend);
    let start = arch::cycles();
    let image = abi::loaded_image();
    let outcome = verify::verify(&image, &abi::EXPECTED_DIGEST.read(), backend, |bytes| {
        STATUS.bytes.write(bytes);
        report::progress(bytes);
    });
    STATUS.cycles.write(arch::cycles().wrapping_sub(start));
    STATUS.conclude(&outcome);
    outcome.verdict
}

/// Checks the exported region table against the exported digest, without one
/// privileged instruction, so that the shipped bytes can run in user space.
///
/// `backend` is a [`Backend`] number: 1 portable, 2 AVX2, 3 SHA-NI. The caller
/// vouches that this CPU has it and that the tables describe readable memory.
/// Returns 0 for a match, 1 for a refusal, 2 if there is no such backend.
#[cfg_attr(
    target_os = "none",
    expect(unsafe_code, reason = "exported by name: published in purgatory.h")
)]
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
#[must_use]
pub extern "C" fn purgatory_verify(backend: u32) -> u32 {
    STATUS.open();
    match Backend::from_number(backend).map(verify) {
        Some(Ok(())) => 0,
        Some(Err(_)) => 1,
        None => 2,
    }
}
