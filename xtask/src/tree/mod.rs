// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel tree: what its sources say about the loader of a purgatory, and the
//! change that makes it embed one that was built elsewhere.
//!
//! Trees differ by release and by distribution, and fixes are carried back: what a
//! tree does is read where it does it, never concluded from its version.

mod c;
pub(crate) mod integrate;
mod kconfig;
mod make;
mod patch;
pub(crate) mod property;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::host::failure::Failure;
use c::{Language, Token, tokens};
use make::{Kind, Statement, statements};

/// The Makefile of the purgatory, and what both commands look at beside it.
const PURGATORY: &str = "arch/x86/purgatory/Makefile";
const KCONFIG: &str = "arch/x86/Kconfig";
/// Where the blob lies in a tree that builds with it.
pub(crate) const PREBUILT: &str = "arch/x86/purgatory/prebuilt.ro";

/// A kernel's sources.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// As its Makefile has it.
    pub(crate) version: String,
}

/// A line of a file in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: &'static str,
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

impl Tree {
    /// Opens a tree; refuses a folder that is none, or has no purgatory.
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        let shown = root.display();
        let usage = |what: String| Failure::Usage(format!("{shown} {what}"));
        let path = root.join("Makefile");
        let makefile = fs::read_to_string(&path)
            .map_err(|error| usage(format!("is no kernel tree: no {}: {error}", path.display())))?;
        let version = version(&makefile).ok_or_else(|| {
            usage(
                "is no kernel tree: its Makefile assigns no VERSION and PATCHLEVEL; \
                 give the folder of the sources, also where the build has one of its own"
                    .to_owned(),
            )
        })?;
        for file in ["kernel/kexec_file.c", PURGATORY, KCONFIG] {
            if !root.join(file).is_file() {
                return Err(usage(format!(
                    "holds Linux {version}, but no {file}: give complete sources (headers alone \
                     will not do) of 3.17 or newer"
                )));
            }
        }
        Ok(Self {
            root: root.to_owned(),
            version,
        })
    }

    /// Reads one of its files.
    fn text(&self, file: &str) -> Result<String, String> {
        fs::read_to_string(self.root.join(file)).map_err(|error| format!("{file}: {error}"))
    }
}

/// Composes the version of the statements that kbuild composes it of.
fn version(makefile: &str) -> Option<String> {
    let statements = statements(makefile).ok()?;
    let value = |wanted: &str| {
        statements
            .iter()
            .find_map(|statement| match &statement.kind {
                Kind::Assign { name, value, .. } if name == wanted => Some(value.as_str()),
                _ => None,
            })
    };
    let number = |name| value(name).filter(|text| text.parse::<u32>().is_ok());
    let (major, minor) = (number("VERSION")?, number("PATCHLEVEL")?);
    let level = number("SUBLEVEL").map_or_else(String::new, |level| format!(".{level}"));
    let extra = value("EXTRAVERSION").unwrap_or_default();
    Some(format!("{major}.{minor}{level}{extra}"))
}
