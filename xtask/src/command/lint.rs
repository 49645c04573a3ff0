//! `cargo xtask lint`: formatting, and every lint as an error, on the host and on
//! the freestanding target; and whether xtask compiles for another host.
//!
//! Warnings become errors here and nowhere else: exporting `RUSTFLAGS` would
//! change the blob.

use std::process::Command;

use anyhow::Result;

use crate::freestanding;
use crate::host::failure::Failure;
use crate::host::needs::{FREESTANDING, LINTERS};
use crate::host::options::Setup;
use crate::host::paths::{root, target_directory};
use crate::host::toolchain::{cargo, find_clippy, with_std};

/// A host of another architecture, for which xtask has to compile too.
const OTHER_HOST: [&str; 2] = ["aarch64", "aarch64-unknown-linux-gnu"];

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

    let mut commands = vec![
        ("format", format),
        ("clippy on the host", host),
        ("clippy on the bare target", bare),
    ];
    let [name, target] = OTHER_HOST;
    match with_std(name, target, "check") {
        Ok(mut other) => {
            other.current_dir(root());
            other.args(["--quiet", "--locked", "--all-targets"]);
            other.args(["--package", "xtask", "--package", "blob"]);
            other
                .arg("--target-dir")
                .arg(target_directory().join("other-host"));
            commands.push(("check for another host", other));
        }
        Err(error) => println!("SKIPPED: check for another host: {error}"),
    }

    let mut clean = true;
    for (what, mut command) in commands {
        let passed = command.status()?.success();
        println!("{} {what}", if passed { "ok  " } else { "FAIL" });
        clean &= passed;
    }
    match clean {
        true => Ok(()),
        false => Err(Failure::Reported.into()),
    }
}
