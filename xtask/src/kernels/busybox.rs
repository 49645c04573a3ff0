//! Proves `cargo xtask boot --kernel`: Debian's kernels, unmodified, started by
//! the command that a user types, reach a shell script in a busybox initramfs.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    fetch::{self, PACKAGES, Package},
    initramfs,
};
use crate::host::tally::{Tally, print_line, word};

/// What the script says once the second kernel runs it.
const MARKER: &str = "busybox runs in user space";

/// Boots Debian's 6.1 and 6.12; skipped aloud where there is no apt.
pub(crate) fn test(blob: Option<&Path>) -> Result<Tally> {
    let mut tally = Tally::default();
    for row in PACKAGES.iter().filter(|row| row.release == "bookworm") {
        let name = format!("boot --kernel {} with busybox", row.name);
        if !fetch::is_possible() {
            println!("SKIPPED: {name}, whose kernel comes through apt");
            tally.skipped += 1;
            continue;
        }
        let started = Instant::now();
        let outcome = boot(row, blob);
        print_line(word(outcome.is_ok()), started, &name);
        match outcome {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                eprintln!("{name}: {error:#}");
                tally.failed += 1;
            }
        }
    }
    Ok(tally)
}

fn boot(row: &Package, blob: Option<&Path>) -> Result<()> {
    let kernel = row.fetch()?;
    let busybox = fs::read(row.fetch_busybox()?)?;
    let script =
        format!("#!/bin/busybox sh\n/bin/busybox echo {MARKER}\n/bin/busybox poweroff -f\n");
    let folder = tempfile::tempdir()?;
    let initrd = folder.path().join("initrd");
    let files = [("init", script.as_bytes()), ("bin/busybox", &busybox)];
    fs::write(&initrd, initramfs::pack(&files)?)?;

    // This very program: its file may have been built anew by the host tests.
    let mut command = Command::new("/proc/self/exe");
    command.arg("boot").arg("--kernel").arg(kernel);
    command.arg("--initrd").arg(initrd);
    // Not on the command line, where the kernel would echo it.
    command.args(["--append", "console=ttyS0 quiet", "--expect", MARKER]);
    if let Some(blob) = blob {
        command.arg("--blob").arg(blob);
    }
    let output = command.stdin(Stdio::null()).output().context("xtask")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.contains(MARKER),
        "{}\n{said}{errors}",
        output.status
    );
    Ok(())
}
