// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's kernels that are booted: its own, or built from its source where its own
//! have no `kexec_file_load(2)`.

use blob::arch::Arch;
use blob::load::Series;

/// A kernel that Debian distributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packaged {
    /// The first version of this row.
    pub(crate) series: Series,
    pub(crate) release: &'static str,
    /// Whether the release has a security archive.
    pub(super) security: bool,
    /// The architecture, by its name.
    arch: &'static str,
    /// The package that depends on the newest image, or source; `{arch}` is what Debian
    /// calls it.
    pub(super) newest: &'static str,
    /// What is configured for a source, beyond the least that there is.
    pub(super) configuration: Option<&'static str>,
    /// Whether it also boots a busybox by `cargo xtask boot --kernel`.
    pub(super) busybox: bool,
}

/// The kernel on which every `cargo xtask test` runs everything, and whose purgatory
/// is the yardstick of speed.
pub(crate) const USUAL: Series = Series::V6_1;

impl Packaged {
    /// Tells whether every `cargo xtask test` runs everything on it.
    pub(crate) fn is_usual(&self) -> bool {
        self.series == USUAL || self.configuration.is_some()
    }
}

/// Returns the rows of an architecture.
pub(crate) fn rows(arch: Arch) -> impl Iterator<Item = &'static Packaged> {
    KERNELS.iter().filter(move |row| row.arch == arch.name)
}

/// Every row of the matrix.
pub(crate) const KERNELS: [Packaged; 5] = [
    Packaged {
        series: Series::V5_10,
        release: "bullseye",
        security: true,
        arch: "x86_64",
        newest: "linux-image-cloud-{arch}",
        configuration: None,
        busybox: false,
    },
    Packaged {
        series: Series::V6_1,
        release: "bookworm",
        security: true,
        arch: "x86_64",
        newest: "linux-image-cloud-{arch}",
        configuration: None,
        busybox: true,
    },
    Packaged {
        series: Series::V6_12,
        release: "bookworm",
        security: true,
        arch: "x86_64",
        newest: "linux-image-6.12-cloud-{arch}",
        configuration: None,
        busybox: true,
    },
    Packaged {
        series: Series::V7_2,
        release: "sid",
        security: false,
        arch: "x86_64",
        newest: "linux-image-cloud-{arch}",
        configuration: None,
        busybox: false,
    },
    Packaged {
        series: Series::V7_3,
        release: "trixie-backports",
        security: false,
        arch: "riscv64",
        newest: "linux-source",
        configuration: Some("tests/linux/riscv64.config"),
        busybox: false,
    },
];
