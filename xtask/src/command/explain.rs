// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask explain`: what a purgatory's report means: on a serial console, in a file
//! of pstore, or typed from a screen.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use blob::symbols::Code;
use blob::{manifest, report};

use crate::freestanding;
use crate::host::failure::{read, usage};
use crate::host::options::Setup;

/// Options of `cargo xtask explain`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// What the console showed, with whatever else is on it; a file of pstore; or what
    /// you read on a screen
    log: PathBuf,
    /// What was loaded [default: segments.json in the log's folder, where runs
    /// of `boot`, `test` and `linux` leave it]
    #[arg(long, value_name = "FILE")]
    segments: Option<PathBuf>,
    /// The linked program, for the names of functions [default: the one that
    /// `build` writes]
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
}

/// Runs `cargo xtask explain`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    let name = options.log.display();
    let log = read(&options.log)?;
    if log.starts_with(&object::elf::ELFMAG) {
        // The blob's own texts are in there, and would pass for reports.
        let what = "is a program or a dump, not a log: `status --memory-dump` reads dumps";
        return Err(usage(format!("{name} {what}")));
    }
    let reports = report::parse(&String::from_utf8_lossy(&log));
    ensure!(
        !reports.is_empty(),
        "{name} holds no report of a purgatory: `purgatory: refused: …`, `purgatory: exception …` or `purgatory: verified …`; \
         `status` finds its record in the machine's memory"
    );
    let manifest = match given_or(options.segments.as_deref(), || {
        options.log.with_file_name(manifest::FILE_NAME)
    })? {
        Some((path, bytes)) => {
            let list = serde_json::from_slice(&bytes);
            let name = path.display();
            Some(list.map_err(|error| usage(format!("{name} is no list of segments: {error}")))?)
        }
        None => None,
    };
    let program = given_or(options.elf.as_deref(), || {
        freestanding::default_folder(setup.arch).join(setup.arch.linked_name())
    })?;
    let code = match &program {
        Some((path, bytes)) => {
            let (name, usual) = (path.display(), setup.arch.linked_name());
            let what = "is not the linked program of a blob, as in";
            let wrong = |error| usage(format!("{name} {what} {usual}: {error:#}"));
            Some(Code::linked(bytes).map_err(wrong)?)
        }
        None => None,
    };
    for found in &reports {
        print!(
            "{}",
            report::explain(setup.arch, found, manifest.as_ref(), code.as_ref())
        );
    }
    Ok(())
}

/// Reads the file that was given, or else the usual one if it is there.
fn given_or(
    given: Option<&Path>,
    usual: impl Fn() -> PathBuf,
) -> Result<Option<(PathBuf, Vec<u8>)>> {
    match given {
        Some(path) => Ok(Some((path.to_owned(), read(path)?))),
        None => {
            let path = usual();
            Ok(fs::read(&path).ok().map(|bytes| (path, bytes)))
        }
    }
}
