// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shipped bytes of another architecture in user space: this very program,
//! compiled for it and run by QEMU.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use blob::arch::Arch;

use super::trials;
use crate::host::paths::{root, target_directory};
use crate::host::toolchain::with_std;
use crate::host::{process, progress};

/// The hidden subcommand.
const NAME: &str = "trials";

/// Options of the hidden subcommand.
#[derive(clap::Args)]
pub(crate) struct Options {
    blob: PathBuf,
}

/// Runs what one processor can afford that is emulated.
pub(crate) fn run(options: &Options) -> Result<()> {
    let blob = std::fs::read(&options.blob)?;
    for (name, trial) in trials::AFFORDABLE {
        trial(&blob).with_context(|| (*name).to_owned())?;
        println!("ok   {name}");
    }
    Ok(())
}

/// Compiles this program for another architecture.
pub(crate) fn program(arch: Arch) -> Result<PathBuf> {
    let _busy = progress::spinner("building xtask for another architecture");
    let target = target_directory();
    let mut command = with_std(arch.name, arch.linux_target, "build")?;
    command.args(["--quiet", "--locked", "--package", "xtask"]);
    command.arg("--target-dir").arg(&target).current_dir(root());
    command.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::output(&mut command)?;
    Ok(target.join(arch.linux_target).join("debug/xtask"))
}

/// Lets it try a blob on a processor; returns what it says.
pub(crate) fn try_on(emulator: &str, cpu: &str, program: &PathBuf, blob: &[u8]) -> Result<String> {
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, blob)?;
    let mut command = Command::new(emulator);
    command.args(["-cpu", cpu]).arg(program).arg(NAME);
    let output = command.arg(file.path()).output();
    let output = output.with_context(|| format!("cannot run {emulator}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{said}{errors}", output.status);
    Ok(said)
}
