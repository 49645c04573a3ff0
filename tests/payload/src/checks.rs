// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checks.

use core::{fmt, panic::PanicInfo, ptr};

use bootloader_api::BootInfo;
use purgatory_tests::{
    arch::exit_with,
    guest::{memory, say},
    plan::{CANARY, MAGIC, Plan, Range, exit},
};
use sha2::{Digest, Sha256};

use crate::arch;

/// Checks what it was handed, and ends QEMU.
pub(crate) fn check_everything(info: &'static mut BootInfo) -> ! {
    say(format_args!("payload: running"));
    let mut checks = Checks { failed: 0 };
    let plan = plan(info);
    arch::check(plan, &mut checks);
    checks.canaries(plan);
    checks.regions(plan);
    if checks.failed > 0 {
        say(format_args!("payload: {} checks failed", checks.failed));
        exit_with(exit::FAILED);
    }
    say(format_args!("payload: all checks held"));
    exit_with(exit::PASSED)
}

/// Finds the plan where `BootInfo` says the RAM disk is.
fn plan(info: &BootInfo) -> &'static Plan {
    let place = info.ramdisk_addr.into_option().unwrap_or_default();
    // SAFETY: the harness wrote a plan there; nobody changes it any more.
    let plan = unsafe { &*ptr::with_exposed_provenance::<Plan>(place as usize) };
    assert!(
        plan.magic == MAGIC && info.ramdisk_len == size_of::<Plan>() as u64,
        "rdi leads to no plan"
    );
    plan
}

/// What was checked so far.
pub(crate) struct Checks {
    failed: u32,
}

impl Checks {
    /// Compares, and says a line.
    pub(crate) fn equal(&mut self, name: &str, found: u64, wanted: u64) {
        if found == wanted {
            say(format_args!("ok   {name} {found:#x}"));
        } else {
            self.fail(format_args!("{name} {found:#x}, not {wanted:#x}"));
        }
    }

    /// Says what is wrong.
    pub(crate) fn fail(&mut self, what: fmt::Arguments<'_>) {
        self.failed += 1;
        say(format_args!("FAIL {what}"));
    }

    fn canaries(&mut self, plan: &Plan) {
        if plan.canaries == 0 {
            return;
        }
        for (what, start) in [
            (
                "changed words before the purgatory",
                plan.purgatory.start - 4096,
            ),
            ("changed words behind the purgatory", plan.purgatory.end()),
        ] {
            let (words, _) = memory(Range { start, len: 4096 }).as_chunks();
            let changed = words
                .iter()
                .filter(|word| **word != CANARY.to_le_bytes())
                .count();
            self.equal(what, changed as u64, 0);
        }
    }

    fn regions(&mut self, plan: &Plan) {
        let mut hash = Sha256::new();
        for region in plan.regions.iter().filter(|region| region.len > 0) {
            hash.update(&*memory(*region));
        }
        let same = hash.finalize()[..] == plan.digest[..];
        self.equal("regions equal what was hashed", u64::from(same), 1);
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(format_args!("payload: {info}"));
    exit_with(exit::FAILED)
}
