// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask probe`: what a kernel tree's loader wants, and the lines that say so.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    host::failure::Failure,
    tree::{
        Tree,
        property::{Assumption, facts, require},
    },
};

/// Options of `cargo xtask probe`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kernel's sources
    #[arg(long, value_name = "DIR")]
    kernel_tree: PathBuf,
    /// What to take for true where the sources cannot be read
    #[arg(long, value_name = "NAME=VALUE", value_parser = Assumption::parse)]
    assume: Vec<Assumption>,
}

/// Prints a line for each property; fails if one cannot be told.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tree = Tree::open(&options.kernel_tree)?;
    let facts = facts(&tree, &options.assume).map_err(Failure::Usage)?;
    println!("Linux {}", tree.version);
    for fact in &facts {
        let name = fact.property.name;
        match &fact.answer {
            Ok((value, reason)) => println!("{name}={value}: {}\n    {reason}", fact.meaning()),
            Err(_) => println!("{name}: cannot be told"),
        }
    }
    require(&facts)
}
