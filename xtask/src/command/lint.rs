// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask lint`: licences, formatting, and every lint as an error, on the host and on
//! the freestanding target; and whether xtask compiles for another host.
//!
//! Warnings become errors here and nowhere else: exporting `RUSTFLAGS` would
//! change the blob.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::freestanding;
use crate::host::failure::Failure;
use crate::host::needs::{FREESTANDING, LINTERS};
use crate::host::options::Setup;
use crate::host::paths::{root, target_directory};
use crate::host::process;
use crate::host::toolchain::{cargo, find_clippy, with_std};

/// A host of another architecture, for which xtask has to compile too.
const OTHER_HOST: [&str; 2] = ["aarch64", "aarch64-unknown-linux-gnu"];

/// What holds data, or says itself what it is under.
const WITHOUT: [&str; 10] = [
    "LICENSE",
    ".gitattributes",
    ".gitignore",
    ".json",
    ".lock",
    ".log",
    ".md",
    ".rsp",
    ".svg",
    ".txt",
];

/// Tells whether every file says in its first lines what its licence is.
fn licences() -> Result<bool> {
    let mut git = Command::new("git");
    let files = process::output(git.current_dir(root()).args(["ls-files"]))?;
    let mut clean = true;
    for name in files.lines() {
        let path = root().join(name);
        // One that was removed is still listed.
        if WITHOUT.iter().any(|end| name.ends_with(end)) || !path.exists() {
            continue;
        }
        let text = fs::read_to_string(path)?;
        let mut first = text.lines().take(3);
        if !first.any(|line| line.contains("SPDX-License-Identifier: ")) {
            println!("{name} has no SPDX-License-Identifier in its first lines");
            clean = false;
        }
    }
    println!("{} licences", if clean { "ok  " } else { "FAIL" });
    Ok(clean)
}

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

    let mut clean = licences()?;
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
