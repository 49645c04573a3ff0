//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.

mod arch;
mod build;
mod channel;
mod gdb;
mod linux;
mod process;
mod qemu;
mod qmp;
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
    /// Load the blob by kexec_file_load(2) in real kernels and start it
    Linux(linux::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Task::Build(options) => build::run(options),
        Task::Linux(arguments) => linux::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}
