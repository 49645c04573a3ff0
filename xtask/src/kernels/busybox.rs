// SPDX-License-Identifier: MIT OR Apache-2.0
//! Proves `cargo xtask boot --kernel`: Debian's kernels, unmodified, started by
//! the command that a user types, reach a shell script in a busybox initramfs.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use blob::arch::Arch;

use super::table::{self, Packaged};
use super::{fetch, initramfs};
use crate::host::process::this_program;
use crate::host::tally::Tally;

/// What the script says once the second kernel runs it.
const MARKER: &str = "busybox runs in user space";

/// Boots the rows that have a busybox; skipped aloud where there is no apt.
pub(crate) fn test(arch: Arch, blob: Option<&Path>, tally: &mut Tally) {
    for row in table::rows(arch).filter(|row| row.busybox) {
        let name = format!("boot --kernel {} with busybox", row.series);
        if fetch::is_possible() {
            tally.test(&name, || boot(row, arch, blob));
        } else {
            tally.skip(1, format_args!("{name}, whose kernel comes through apt"));
        }
    }
}

fn boot(row: &Packaged, arch: Arch, blob: Option<&Path>) -> Result<()> {
    let kernel = row.fetch(arch)?;
    let busybox = fs::read(row.fetch_busybox(arch)?)?;
    let script =
        format!("#!/bin/busybox sh\n/bin/busybox echo {MARKER}\n/bin/busybox poweroff -f\n");
    let folder = tempfile::tempdir()?;
    let initrd = folder.path().join("initrd");
    let files = [("init", script.as_bytes()), ("bin/busybox", &busybox)];
    fs::write(&initrd, initramfs::pack(&files)?)?;

    let mut command = this_program();
    command.arg("boot").arg("--kernel").arg(kernel);
    command.arg("--initrd").arg(initrd);
    // Not on the command line, where the kernel would echo it.
    command.args(["--append", "console=ttyS0 quiet", "--expect", MARKER]);
    if let Some(blob) = blob {
        command.arg("--blob").arg(blob);
    }
    let output = command.output().context("xtask")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.contains(MARKER),
        "{}\n{said}{errors}",
        output.status
    );
    Ok(())
}
