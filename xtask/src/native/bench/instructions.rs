// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions per byte: the number that does not depend on noise.
//!
//! callgrind counts a child that hashes once and one that hashes three times;
//! the difference is the hashing. What valgrind cannot execute is not counted
//! here: it hides the SHA extensions from the programs that it runs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::child::{self, Kind};

/// Bytes that a child hashes at a time.
const SIZE: usize = 64 << 10;

/// Tells whether callgrind is there, and which.
pub(super) fn valgrind() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(version.trim().to_owned())
}

/// Counts one contender.
pub(super) fn per_byte(kind: Kind, blob: Option<&Path>) -> Result<f64> {
    let once = collected(&child::command(kind, blob, SIZE, 1)?)?;
    let thrice = collected(&child::command(kind, blob, SIZE, 3)?)?;
    Ok((thrice - once) as f64 / (2 * SIZE) as f64)
}

fn collected(line: &[String]) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(line)
        .output()
        .context("cannot run valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let error = text.lines().find_map(|line| line.strip_prefix("error: "));
    let error = error.unwrap_or("callgrind counted nothing");
    ensure!(output.status.success(), "{error}");
    let count = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let count = count.context(error.to_owned())?;
    Ok(count.1.trim().parse()?)
}
