//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
//!
//! Exit codes: 0 fine, 1 the check failed, 2 usage.

#[macro_use]
mod output;

mod apt;
mod arch;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod bench;
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
mod lint;
mod linux;
mod loader;
mod manifest;
mod map;
mod process;
mod progress;
mod proof;
mod provision;
mod qemu;
mod qmp;
mod record;
mod status;
mod test;
mod toolchain;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod userspace;
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
    #[command(flatten)]
    setup: provision::Setup,
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
    /// Load the blob by `kexec_file_load(2)` in real kernels and start it
    Linux(linux::Arguments),
    /// Say what a purgatory's report on a serial console means
    Explain(explain::Options),
    /// Find what a purgatory left behind in a machine's memory
    Status(status::Options),
    /// Check formatting and lints, on the host and on the freestanding target
    Lint,
    /// Time the shipped bytes beside stock purgatories, OpenSSL and the CPU's limit
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Bench(bench::Options),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[command(hide = true)]
    BenchChild(bench::child::Options),
    /// Run every proof: host tests, the checker, the boot cases
    Test(test::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let setup = &cli.setup;
    failure::exit_code(match &cli.command {
        Task::Build(options) => build::run(options, setup),
        Task::Check(options) => check::run(options),
        Task::Boot(options) => boot::run(options, setup),
        Task::Configure(options) => configure::run(options),
        Task::Linux(arguments) => linux::run(arguments, setup),
        Task::Lint => lint::run(setup),
        Task::Explain(options) => explain::run(options),
        Task::Status(options) => status::run(options),
        Task::Test(options) => test::run(options, setup),
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        Task::Bench(options) => bench::run(options, setup),
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        Task::BenchChild(options) => bench::child::run(options),
    })
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The folder that everything goes to: cargo's own.
fn target_directory() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = chosen.unwrap_or_else(|| root().join("target"));
    std::path::absolute(&folder).unwrap_or(folder)
}
