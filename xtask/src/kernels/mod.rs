// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real kernels, unmodified but for the purgatory in them, and what is proven in them.

mod build;
pub(crate) mod busybox;
mod corrupt;
pub(crate) mod debian;
pub(crate) mod direct;
mod fetch;
mod hanging;
mod header;
mod initramfs;
pub(crate) mod kernel;
pub(crate) mod matrix;
mod module;
mod pstore;
mod scenario;
mod segments;
mod slot;
pub(crate) mod table;
pub(crate) mod trials;
mod unpack;

pub(crate) use fetch::is_possible;
