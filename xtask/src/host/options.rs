// SPDX-License-Identifier: MIT OR Apache-2.0
//! Options that every command has.

use std::fmt;

use blob::arch::{Arch, CORE_ONLY, CoreOnly};
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::toolchain::{self, Core, Toolchain};

/// What is to be built, and from what, as it is asked for.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Asked {
    /// Install what the command needs and this machine lacks
    #[arg(long, global = true)]
    pub(crate) provision: bool,
    /// Insist on where `core` comes from
    #[arg(long, global = true, value_enum)]
    pub(crate) core: Option<Core>,
    /// The architecture of the purgatory
    #[arg(
        long,
        global = true,
        value_parser = one_of(Choice::all(), |choice| choice.name()),
        default_value_t = Choice::Whole(Arch::ALL[0])
    )]
    pub(crate) arch: Choice,
}

/// An architecture, whole or not.
#[derive(Clone, Copy)]
pub(crate) enum Choice {
    Whole(Arch),
    Core(CoreOnly),
}

impl Choice {
    fn all() -> impl Iterator<Item = Self> {
        let whole = Arch::ALL.into_iter().map(Self::Whole);
        whole.chain(CORE_ONLY.into_iter().map(Self::Core))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Whole(arch) => arch.name,
            Self::Core(core) => core.name,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What is to be built, and from what.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) provision: bool,
    pub(crate) core: Option<Core>,
    pub(crate) arch: Arch,
}

impl Setup {
    /// What it is where nothing is built.
    pub(crate) const fn of_tools() -> Self {
        Self {
            provision: false,
            core: None,
            arch: Arch::ALL[0],
        }
    }

    /// Finds the toolchain; [`Setup::require`] has made sure that there is one.
    pub(crate) fn toolchain(&self) -> anyhow::Result<Toolchain> {
        toolchain::find(self.arch, self.core)
    }
}

/// Parses one of a table's rows by its name.
pub(crate) fn one_of<T: Copy + Send + Sync + 'static>(
    rows: impl IntoIterator<Item = T>,
    name: fn(&T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let rows: Vec<T> = rows.into_iter().collect();
    PossibleValuesParser::new(rows.iter().map(name)).map(move |chosen| {
        let row = rows.iter().find(|row| name(row) == chosen);
        *row.expect("the parser knows no other name")
    })
}
