//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
//!
//! Exit codes: 0 fine, 1 the check failed, 2 usage.

mod check;
mod failure;
#[cfg(test)]
mod fixture;
mod loader;

use std::process::ExitCode;

use clap::Parser as _;

use failure::Failure;

#[derive(clap::Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "Builds, proves and boots the purgatory"
)]
enum Command {
    Check(check::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Check(arguments) => check::run(&arguments),
    };
    failure::exit_code(outcome)
}
