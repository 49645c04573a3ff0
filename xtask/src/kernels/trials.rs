// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask boot --kernel` on trial, as a user meets it, with a kernel that hangs.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::hanging::bzimage;
use crate::host::process::this_program;

/// A name, and what fails if it does not hold of a blob.
type Trial = (&'static str, fn(Option<&Path>) -> Result<()>);

/// All of them.
pub(crate) const ALL: [Trial; 3] = [
    ("boot refuses a machine that is too small", |blob| {
        let says = ["7 MiB of memory are too little", "give at least"];
        boot(blob, &["--memory", "7"], 2, &says)
    }),
    ("boot refuses a place where there is no memory", |blob| {
        let says = ["0x80000000", "give it more with --memory"];
        boot(blob, &["--at", "0x80000000"], 2, &says)
    }),
    (
        "boot ends a kernel that hangs, and shows what it said",
        |blob| {
            let says = ["QEMU still ran after 3 s", "talk.log\nharness: ready\n"];
            boot(blob, &["--timeout", "3"], 1, &says)
        },
    ),
];

/// Boots a kernel that hangs; the command must end with a code and say that.
fn boot(blob: Option<&Path>, options: &[&str], code: i32, says: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kernel = folder.path().join("linux");
    fs::write(&kernel, bzimage(0x20f))?;
    let mut command = this_program();
    command
        .arg("boot")
        .arg("--kernel")
        .arg(kernel)
        .args(options);
    if let Some(blob) = blob {
        command.arg("--blob").arg(blob);
    }
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_said = says.iter().all(|text| errors.contains(text));
    ensure!(
        output.status.code() == Some(code) && is_said,
        "{}, and it says\n{errors}",
        output.status
    );
    Ok(())
}
