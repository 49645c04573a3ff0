// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shipped bytes on this very processor.

pub(crate) mod arch;
pub(crate) mod bench;
pub(crate) mod campaign;
pub(crate) mod emulated;
pub(crate) mod trials;
mod userspace;
