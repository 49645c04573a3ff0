// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's kernels that are booted.

use blob::load::Series;

/// A kernel that Debian distributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packaged {
    /// The first version of this row.
    pub(crate) series: Series,
    pub(crate) release: &'static str,
    /// Whether the release has a security archive.
    pub(super) security: bool,
    /// The package that depends on the newest image; `{arch}` is what Debian calls it.
    pub(super) newest: &'static str,
    /// Whether it also boots a busybox by `cargo xtask boot --kernel`.
    pub(super) busybox: bool,
}

/// The kernel on which every `cargo xtask test` runs everything, and whose purgatory
/// is the yardstick of speed.
pub(crate) const USUAL: Series = Series::V6_1;

/// Every row of the matrix.
pub(crate) const KERNELS: [Packaged; 4] = [
    Packaged {
        series: Series::V5_10,
        release: "bullseye",
        security: true,
        newest: "linux-image-cloud-{arch}",
        busybox: false,
    },
    Packaged {
        series: Series::V6_1,
        release: "bookworm",
        security: true,
        newest: "linux-image-cloud-{arch}",
        busybox: true,
    },
    Packaged {
        series: Series::V6_12,
        release: "bookworm",
        security: true,
        newest: "linux-image-6.12-cloud-{arch}",
        busybox: true,
    },
    Packaged {
        series: Series::V7_2,
        release: "sid",
        security: false,
        newest: "linux-image-cloud-{arch}",
        busybox: false,
    },
];
