//! `x86_64`. What needs no privilege is compiled for hosts too, so that the very
//! same code runs in their tests; the rest is in [`machine`].

#[cfg(target_os = "none")]
mod exceptions;
#[cfg(target_os = "none")]
pub(super) mod machine;
pub mod mem;
pub mod sha256;
#[cfg(target_os = "none")]
mod tables;
