// SPDX-License-Identifier: MIT OR Apache-2.0
//! One virtual machine: QEMU, and the ways to listen to it and to reach into it.

pub(crate) mod channel;
pub(crate) mod gdb;
pub(crate) mod memory;
pub(crate) mod qemu;
pub(crate) mod qmp;
pub(crate) mod ram;
pub(crate) mod run;
pub(crate) mod trials;
