//! `cargo xtask lint`: formatting, and every lint as an error, on the host and on
//! the freestanding target.
//!
//! Warnings become errors here and nowhere else: exporting `RUSTFLAGS` would
//! change the blob.

use std::process::Command;

use anyhow::Result;

use crate::freestanding;
use crate::host::failure::Failure;
use crate::host::needs::{FREESTANDING, LINTERS};
use crate::host::options::Setup;
use crate::host::paths::root;
use crate::host::toolchain::{cargo, find_clippy};

/// Runs `cargo xtask lint`: all of it, even when the first part fails.
pub(crate) fn run(setup: &Setup) -> Result<()> {
    setup.require(FREESTANDING.into_iter().chain(LINTERS))?;
    let strict = ["--", "--deny", "warnings"];
    let mut format = Command::new(cargo());
    format.current_dir(root()).args(["fmt", "--all", "--check"]);
    let mut host = Command::new(cargo());
    host.current_dir(root())
        .args([
            "clippy",
            "--quiet",
            "--locked",
            "--workspace",
            "--all-targets",
        ])
        .args(strict);
    let (clippy, toolchain) = find_clippy(setup.arch, setup.core)?;
    let mut bare =
        freestanding::freestanding(&clippy, "clippy", setup.arch, &toolchain, "lint", &[])?;
    for package in ["purgatory", "harness", "payload"] {
        bare.args(["--package", package]);
    }
    bare.args(strict);

    let mut clean = true;
    for (what, command) in [
        ("format", &mut format),
        ("clippy on the host", &mut host),
        ("clippy on the bare target", &mut bare),
    ] {
        let passed = command.status()?.success();
        println!("{} {what}", if passed { "ok  " } else { "FAIL" });
        clean &= passed;
    }
    match clean {
        true => Ok(()),
        false => Err(Failure::Reported.into()),
    }
}
