// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask integrate`: makes a kernel tree build with our blob, and undoes it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    freestanding::{accept, blob as build, default_folder},
    host::{needs::FREESTANDING, options::Setup},
    tree::{
        PREBUILT, Tree,
        integrate::{Outcome, integrate, revert},
        property::Assumption,
    },
};

/// Options of `cargo xtask integrate`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kernel's sources
    #[arg(long, value_name = "DIR")]
    kernel_tree: PathBuf,
    /// Leave every file as it was before
    #[arg(long, conflicts_with_all = ["blob", "assume"])]
    revert: bool,
    /// Print the patch and change nothing
    #[arg(long)]
    dry_run: bool,
    /// What to take for true where the sources cannot be read
    #[arg(long, value_name = "NAME=VALUE", value_parser = Assumption::parse)]
    assume: Vec<Assumption>,
    /// Take this blob instead of building one
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
}

/// Prints the patch, and on standard error what follows from it.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    let tree = Tree::open(&options.kernel_tree)?;
    let dry = options.dry_run;
    let mut size = 0;
    let outcome = if options.revert {
        revert(&tree, dry)?
    } else {
        let blob = blob(options, setup)?;
        size = blob.len();
        integrate(&tree, &blob, &options.assume, dry)?
    };
    let folder = options.kernel_tree.display();
    let next = match (outcome, options.revert) {
        (Outcome::Changed(patch), revert) => {
            print!("{patch}");
            match (dry, revert) {
                (true, _) => "nothing was changed (--dry-run)".to_owned(),
                (false, false) => format!(
                    "{folder} has the blob, {size} bytes, in {PREBUILT}: \
                     `make olddefconfig` and `make` build a kernel with it"
                ),
                (false, true) => format!("{folder} is as it was"),
            }
        }
        (Outcome::Already, false) => format!("{folder} has this blob already"),
        (Outcome::Already, true) => format!("{folder} has no blob of ours: nothing to revert"),
    };
    eprintln!("{next}");
    Ok(())
}

fn blob(options: &Options, setup: &Setup) -> Result<Vec<u8>> {
    if let Some(path) = &options.blob {
        return accept(path, setup.arch);
    }
    setup.require(FREESTANDING)?;
    let built = build(setup.arch, &setup.toolchain()?, &default_folder(setup.arch))?;
    let path = built.relocatable;
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}
