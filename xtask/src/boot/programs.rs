// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three programs of a boot.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use blob::arch::Arch;
use purgatory::abi::Backend;

use crate::freestanding::{accept, blob, compile, default_folder};
use crate::host::options::Setup;
use crate::host::paths::root;
use crate::host::progress;
use crate::machine::{self, Machine};

/// The blob and the two test kernels, and the machine for them.
pub(crate) struct Programs {
    pub(crate) arch: Arch,
    pub(crate) machine: &'static Machine,
    /// Whether QEMU emulates all that the boots use.
    pub(crate) is_complete: bool,
    pub(crate) blob: Vec<u8>,
    pub(crate) harness: PathBuf,
    pub(crate) payload: Vec<u8>,
}

impl Programs {
    /// Builds what is not given. No blob gets here that breaks a promise.
    pub(crate) fn build(given: Option<Vec<u8>>, setup: &Setup) -> Result<Self> {
        let _busy = progress::spinner("building the blob and the two test kernels");
        let toolchain = setup.toolchain()?;
        let arch = setup.arch;
        let blob = match given {
            Some(bytes) => bytes,
            None => accept(
                &blob(arch, &toolchain, &default_folder(arch))?.relocatable,
                arch,
            )?,
        };
        let machine = machine::of(arch);
        let guest = |package, (entry, base): (&str, u64), script: Option<&str>| {
            let place = match script {
                Some(script) => format!("-T{}", root().join(script).display()),
                None => format!("--image-base={base:#x}"),
            };
            let flags = [
                "-Crelocation-model=static",
                &format!("-Clink-arg={place}"),
                &format!("-Clink-arg=--entry={entry}"),
            ];
            compile(arch, &toolchain, package, &flags, None)
        };
        Ok(Self {
            arch,
            machine,
            is_complete: machine.is_complete()?,
            blob,
            harness: guest("harness", machine.harness, machine.script)?,
            payload: fs::read(guest("payload", machine.payload, None)?)?,
        })
    }

    /// The backend that the usual processor is good for.
    pub(crate) fn best(&self) -> Backend {
        self.machine.best[usize::from(self.is_complete)]
    }
}
