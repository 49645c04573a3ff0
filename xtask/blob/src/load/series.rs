// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernels whose loaders are known, and kexec-tools.

use std::fmt;

use super::kexec_tools::{self, Tool};

/// A kernel series: its name, and what its loader does otherwise than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its number, as people write it.
    pub name: &'static str,
    /// Looks up `purgatory_start` before it falls back on `e_entry` (480e1d5c64bb).
    pub entry_by_symbol: bool,
    /// May leave the purgatory's NOBITS bytes as they were
    /// (`kimage_load_cma_segment`).
    pub dirty_nobits: bool,
    /// No kernel, but a tool that loads from user space.
    pub tool: Option<&'static Tool>,
}

impl Series {
    /// Linux 5.10.
    pub const V5_10: Self = Self {
        entry_by_symbol: false,
        ..Self::row("5.10")
    };
    /// Linux 6.1.
    pub const V6_1: Self = Self::row("6.1");
    /// Linux 6.12.
    pub const V6_12: Self = Self::row("6.12");
    /// Linux 7.2.
    pub const V7_2: Self = Self {
        dirty_nobits: true,
        ..Self::row("7.2")
    };
    /// Linux 7.3.
    pub const V7_3: Self = Self {
        dirty_nobits: true,
        ..Self::row("7.3")
    };

    /// kexec-tools, for `kexec_load(2)`.
    pub const KEXEC_TOOLS: Self = Self {
        entry_by_symbol: false,
        tool: Some(&kexec_tools::X86_64),
        ..Self::row("kexec-tools")
    };

    /// Every series of the kernel, oldest first.
    pub const ALL: [Self; 5] = [Self::V5_10, Self::V6_1, Self::V6_12, Self::V7_2, Self::V7_3];

    const fn row(name: &'static str) -> Self {
        Self {
            name,
            entry_by_symbol: true,
            dirty_nobits: false,
            tool: None,
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
