//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
//!
//! Exit codes: 0 fine, 1 the check failed, 2 usage.

#[macro_use]
mod host;

mod boot;
mod build;
mod command;
#[cfg(test)]
#[path = "../blob/src/fixture.rs"]
mod fixture;
mod kernels;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod native;
mod tree;
mod vm;

use std::process::ExitCode;

use clap::Parser;

use host::{failure, needs::Setup};

/// Builds the purgatory, proves its promises, and boots it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: command::Command,
    #[command(flatten)]
    setup: Setup,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    failure::exit_code(cli.command.run(&cli.setup))
}
