// SPDX-License-Identifier: MIT OR Apache-2.0
//! A purgatory's file, its records and its reports: bytes in, findings out.
//!
//! It reads no command line, starts no program and knows no emulator, so that
//! commands, boots and fuzzers look at the same bytes through the same code.

pub mod arch;
pub mod check;
pub mod config;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod fuzz;
pub mod load;
pub mod manifest;
pub mod map;
pub mod number;
pub mod proof;
pub mod record;
pub mod report;
pub mod status;
pub mod symbols;
pub mod wrap;
