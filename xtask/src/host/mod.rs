// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine that xtask itself runs on.

#[macro_use]
pub(crate) mod output;

pub(crate) mod apt;
pub(crate) mod failure;
pub(crate) mod needs;
pub(crate) mod options;
pub(crate) mod paths;
pub(crate) mod process;
pub(crate) mod progress;
pub(crate) mod tally;
pub(crate) mod toolchain;
