// SPDX-License-Identifier: MIT OR Apache-2.0
//! RISC-V: which backends it runs.

use std::fs;

use purgatory::abi::Backend;

/// No variable is known that hides anything from OpenSSL.
pub(crate) const WITHOUT_SHA: Option<(&str, &str)> = None;

/// Reads nothing.
pub(crate) const fn has_sha(_: &str) -> Option<bool> {
    None
}

/// Tells whether this CPU runs a backend, by what the kernel says of it: `std` cannot
/// be asked for vectors yet.
pub(crate) fn runs_here(backend: Backend) -> bool {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let isa = cpus.lines().find(|line| line.starts_with("isa"));
    let has = |name| isa.is_some_and(|isa| isa.split('_').any(|extension| extension == name));
    match backend {
        Backend::Portable => true,
        Backend::Zknh => has("zknh"),
        Backend::Zvknh => has("zvkb") && (has("zvknha") || has("zvknhb")),
        Backend::ShaNi | Backend::Sse2 => false,
    }
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
