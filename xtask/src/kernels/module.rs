// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the kernel module as DKMS would: with a kernel's headers, and the compiler that
//! goes with them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::host::paths::root;

/// Lets a folder be the root of what is run; as any user, and for that run only.
const ENTER: &str = r#"mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" &&
mount --bind "$1" "$0/purgatory" && shift && exec chroot "$0" "$@""#;

/// Builds it in `tree`, which [`super::table::Packaged::fetch_headers`] made. A warning is
/// an error.
pub(super) fn build(tree: &Path, version: &str, blob: &[u8]) -> Result<Vec<u8>> {
    let folder = tree.join("tmp/module");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::write(tree.join("tmp/purgatory.ro"), blob)?;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", ENTER]);
    command.arg(tree).arg(root().join("purgatory/module"));
    command.args(["/usr/bin/env", "--ignore-environment", "PATH=/usr/bin:/bin"]);
    command.args(["make", "-C", "/purgatory", "BLOB=/tmp/purgatory.ro"]);
    command.arg("OUT=/tmp/module");
    command.arg(format!("KDIR=/usr/src/linux-headers-{version}"));
    let output = command.output().context("cannot run unshare")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        output.status.success() && !said.contains("warning"),
        "building it failed or was not quiet ({})\n{said}",
        output.status
    );
    Ok(fs::read(folder.join("purgatory.ko"))?)
}
