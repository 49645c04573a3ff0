//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
//!
//! Exit codes: 0 fine, 1 the check failed, 2 usage.

mod arch;
mod boot;
mod build;
mod bzimage;
mod case;
mod channel;
mod check;
mod code;
mod configure;
mod exception;
mod explain;
mod failure;
#[cfg(test)]
mod fixture;
mod gdb;
mod image;
mod linux;
mod loader;
mod manifest;
mod process;
mod progress;
mod qemu;
mod qmp;
mod record;
mod status;
mod test;
mod toolchain;
mod wrap;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Builds the purgatory, proves its promises, and boots it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the blob and prove it position independent
    Build(build::Options),
    /// Check a blob against everything that its loaders rely on
    Check(check::Arguments),
    /// Set what a finished blob does beyond the kernel's contract
    Configure(configure::Options),
    /// Boot the blob between two kernels under QEMU
    Boot(boot::Options),
    /// Load the blob by kexec_file_load(2) in real kernels and start it
    Linux(linux::Arguments),
    /// Say what a purgatory's report on a serial console means
    Explain(explain::Options),
    /// Find what a purgatory left behind in a machine's memory
    Status(status::Options),
    /// Run every proof: host tests, the checker, the boot cases
    Test(test::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    failure::exit_code(match &cli.command {
        Task::Build(options) => build::run(options),
        Task::Check(options) => check::run(options),
        Task::Configure(options) => configure::run(options),
        Task::Boot(options) => boot::run(options),
        Task::Linux(arguments) => linux::run(arguments),
        Task::Explain(options) => explain::run(options),
        Task::Status(options) => status::run(options),
        Task::Test(options) => test::run(options),
    })
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}
