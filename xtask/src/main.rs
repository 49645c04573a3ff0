//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.

mod arch;
mod build;
mod channel;
#[cfg_attr(not(test), expect(dead_code, reason = "the linux command is next"))]
mod gdb;
mod process;
#[expect(dead_code, reason = "the boot and linux commands are next")]
mod qemu;
#[expect(dead_code, reason = "the boot and linux commands are next")]
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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Task::Build(options) => build::run(options),
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
