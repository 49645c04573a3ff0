// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a command ends: the one place that turns an error into an exit code.

use std::path::Path;
use std::process::ExitCode;
use std::{fmt, fs};

use crate::host::output;

/// An error that is more than "it failed"; any other exits 1 with its text.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command cannot be done as it was given: exit code 2.
    Usage(String),
    /// The command has printed what is wrong: exit code 1, nothing to add.
    Reported,
}

/// An error of the command line.
pub(crate) fn usage(what: impl fmt::Display) -> anyhow::Error {
    Failure::Usage(what.to_string()).into()
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => formatter.write_str(message),
            Self::Reported => formatter.write_str("the check failed"),
        }
    }
}

impl std::error::Error for Failure {}

/// Reads a file that the command line names.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))
}

/// Reads a blob; what cannot be one is a mistake of the command line.
pub(crate) fn read_blob(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(path)?;
    if !bytes.starts_with(&object::elf::ELFMAG) {
        return Err(Failure::Usage(format!(
            "{} is not an ELF file: give the blob itself, as in purgatory.ro",
            path.display()
        )));
    }
    Ok(bytes)
}

/// Prints what is still to be said and returns the exit code.
pub(crate) fn exit_code(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome.and_then(|()| output::finish()) else {
        return ExitCode::SUCCESS;
    };
    match error.downcast_ref() {
        Some(Failure::Reported) => ExitCode::from(1),
        Some(Failure::Usage(_)) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
        None => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}
