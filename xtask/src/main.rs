// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
//!
//! Exit codes: 0 fine, 1 the check failed, 2 usage.

#[macro_use]
mod host;

mod boot;
mod command;
// Of the library whose fixture this is.
#[cfg(test)]
use blob::wrap;
#[cfg(test)]
#[path = "../blob/src/feed.rs"]
mod feed;
#[cfg(test)]
#[expect(dead_code, reason = "the library's own tests take more of it")]
#[path = "../blob/src/fixture.rs"]
mod fixture;
mod freestanding;
mod kernels;
mod machine;
#[cfg(target_os = "linux")]
mod native;
mod release;
mod tree;
mod vm;

use std::process::ExitCode;

use clap::Parser;

use host::failure;
use host::options::{Asked, Choice, Setup};

/// Builds the purgatory, proves its promises, and boots it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: command::Command,
    #[command(flatten)]
    asked: Asked,
}

/// Says what a purgatory is, what it is told, and what it left behind.
#[derive(Parser)]
#[command(name = "purgatory-tools", bin_name = "purgatory-tools", version)]
struct Tools {
    #[command(subcommand)]
    tool: command::Tool,
}

fn main() -> ExitCode {
    if cfg!(feature = "tools") {
        return failure::exit_code(Tools::parse().tool.run());
    }
    let cli = Cli::parse();
    let Asked {
        provision,
        core,
        arch,
    } = cli.asked;
    failure::exit_code(match arch {
        Choice::Whole(arch) => cli.command.run(&Setup {
            provision,
            core,
            arch,
        }),
        Choice::Core(only) => cli.command.run_core(only),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_tools_are_told_of_no_sources() {
        let mut tools = Tools::command();
        tools.build();
        assert!(tools.get_subcommands().count() > 5);
        for tool in tools.get_subcommands_mut() {
            let help = tool.render_long_help().to_string();
            assert!(help.contains("Usage: purgatory-tools "), "{help}");
            assert!(!help.contains("cargo"), "{help}");
        }
    }
}
