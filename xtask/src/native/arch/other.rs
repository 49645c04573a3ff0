// SPDX-License-Identifier: MIT OR Apache-2.0
//! A processor for which there is no blob yet, or no more than portable code.

use purgatory::abi::Backend;

/// No variable is known that hides anything from OpenSSL.
pub(crate) const WITHOUT_SHA: Option<(&str, &str)> = None;

/// Reads nothing.
pub(crate) const fn has_sha(_: &str) -> Option<bool> {
    None
}

/// Tells whether this CPU runs a backend.
pub(crate) fn runs_here(backend: Backend) -> bool {
    backend == Backend::Portable
}

/// Catches nothing.
pub(crate) fn catch_faults() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Calls a function.
pub(crate) fn caught(function: extern "C" fn(u32) -> u32, argument: u32) -> Result<u32, i32> {
    Ok(function(argument))
}

/// A function that returns 0; empty where nothing is caught.
pub(crate) const MATCHES: &[u8] = &[];

/// Knows no limit.
pub(crate) const fn limit() -> Option<fn(u64)> {
    None
}
