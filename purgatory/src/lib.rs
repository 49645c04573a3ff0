// SPDX-License-Identifier: MIT OR Apache-2.0
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
#![cfg_attr(
    not(target_os = "none"),
    expect(dead_code, reason = "only the machine calls the trip itself"),
    expect(
        clippy::missing_const_for_fn,
        reason = "the host's stand-ins are constant; what they stand for is not"
    )
)]

pub mod abi;
pub mod arch;
mod config;
mod console;
mod fault;
pub mod memory;
mod print;
mod report;
pub mod sha256;
pub mod status;
mod uart;
pub mod verify;

use abi::{Config, Handoff};
use arch::Usable;
use config::{config, is_verbose};
use status::{Phase, STATUS, Verdict};
use verify::{Refusal, Verified};

/// Why the trip ends here.
#[derive(Clone, Copy)]
enum Ending {
    Refusal,
    Exception,
}

/// Runs the whole trip: called once by the entry code on the purgatory's own
/// stack, and leaves either into the next kernel or into [`finish`].
///
/// `damage` is not 0 if our own bytes are not those that were built.
extern "C" fn run(damage: u64) -> ! {
    STATUS.open();
    arch::prepare();
    if damage != 0 {
        STATUS.conclude(Verdict::Damaged);
        report::damaged();
        finish(Ending::Refusal)
    }
    if is_verbose() {
        report::begin();
    }
    let backend = sha256::fastest(config().backend.read());
    match check(backend) {
        Ok(verified) if arch::stack_is_sound() => {
            if is_verbose() {
                report::end();
            }
            STATUS.enter(Phase::Leaving);
            arch::jump(verified)
        }
        Ok(_) => {
            STATUS.conclude(Verdict::StackOverflow);
            report::overflowed();
        }
        Err(refusal) => report::refused(refusal),
    }
    finish(Ending::Refusal)
}

/// Checks the loaded image. A backend that speaks against it may be broken itself,
/// by hypervisor, emulator or microcode: the portable one has the last word, and
/// what that ends in is the image's fault.
fn check(backend: Usable) -> Result<Verified, Refusal> {
    let handoff = arch::handoff();
    if backend == Usable::PORTABLE {
        return verify(backend, Some(handoff));
    }
    match arch::guarded(|| verify(backend, Some(handoff))) {
        Some(Ok(verified)) => return Ok(verified),
        // No backend had a part in that.
        Some(Err(refusal @ (Refusal::BadRegion { .. } | Refusal::TableWiped))) => {
            return Err(refusal);
        }
        Some(Err(_)) | None => (),
    }
    arch::forget();
    STATUS.doubt();
    let verdict = verify(Usable::PORTABLE, Some(handoff));
    if !report::agree() {
        STATUS.suspect(STATUS.doubted.read());
        if verdict.is_ok() {
            report::overruled();
        }
    }
    verdict
}

/// Checks the loaded image with `backend` and leaves what it found in the status record.
#[inline(never)]
fn verify(backend: Usable, handoff: Option<Handoff>) -> Result<Verified, Refusal> {
    STATUS.begin(backend.backend());
    report::time_passes();
    let image = memory::loaded_image();
    let expected = abi::EXPECTED_DIGEST.load();
    let outcome = verify::verify(&image, &expected, handoff, backend, report::progress);
    report::progress(outcome.bytes);
    STATUS.digest.store(&outcome.computed);
    STATUS.conclude(match &outcome.verdict {
        Ok(_) if outcome.bytes > 0 => Verdict::Match,
        Ok(_) => Verdict::Nothing,
        Err(refusal) => refusal.verdict(),
    });
    if let Err(Refusal::BadRegion { index, .. }) = outcome.verdict {
        STATUS.region.write(index);
    }
    outcome.verdict
}

/// Says what happens next to a machine whose purgatory cannot go on, and does it.
fn finish(ending: Ending) -> ! {
    let (action, delay) = configured(ending);
    report::ending(action == Config::RESET, delay);
    act(ending)
}

/// Does with the machine what was configured for such a case, without a word.
fn act(ending: Ending) -> ! {
    let (action, delay) = configured(ending);
    if action != Config::RESET {
        arch::halt();
    }
    if delay > 0 {
        arch::wait(delay);
    }
    arch::reset()
}

fn configured(ending: Ending) -> (u32, u32) {
    let config = config();
    match ending {
        Ending::Refusal => (config.on_refusal.read(), config.refusal_delay.read()),
        Ending::Exception => (config.on_exception.read(), config.exception_delay.read()),
    }
}

/// Checks the exported region table against the exported digest, without one
/// privileged instruction, so that the shipped bytes can run in user space. The
/// register image is not looked at: nobody jumps.
///
/// `backend` is the number of an [`abi::Backend`].
/// Returns 0 for a match, 1 for a refusal, 2 if there is no such backend.
///
/// # Safety
/// This CPU has the backend, switched on; the tables describe readable memory that
/// nobody writes; nothing else uses tables or status record meanwhile.
#[expect(unsafe_code, reason = "takes the caller's word for all of that")]
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
#[must_use]
pub unsafe extern "C" fn purgatory_verify(backend: u32) -> u32 {
    STATUS.open();
    let known = arch::BACKENDS
        .iter()
        .find(|known| known.number() == backend);
    let Some(backend) = known else { return 2 };
    // SAFETY: the caller's promise.
    let usable = unsafe { Usable::vouched(*backend) };
    match verify(usable, None) {
        Ok(_) => 0,
        Err(_) => 1,
    }
}
