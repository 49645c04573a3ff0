// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packs what the two kernels run: our init, and 64 MiB to be carried over.
//!
//! The second kernel's archive travels inside the first one's, beside the very
//! bzImage that the first kernel came from.
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use base16ct::lower::encode_string;
use blob::arch::Arch;
use cpio::newc::{Builder, ModeFileType, trailer};
use sha2::{Digest as _, Sha256};

use crate::host::paths::target_directory;
use crate::host::toolchain;

/// Bytes that the second boot verifies: incompressible, so that neither kernel
/// nor emulator can cheat, and most of what a purgatory hashes in practice.
const PAYLOAD: usize = 64 << 20;

/// The parts that every kernel's archives share.
pub(crate) struct Parts {
    init: Vec<u8>,
    second: Vec<u8>,
    /// SHA-256 of the payload, in hexadecimal.
    pub(crate) digest: String,
}

impl Parts {
    /// Builds the init and packs the second kernel's archive.
    pub(crate) fn build(arch: Arch) -> Result<Self> {
        let path = build_init(arch)?;
        let init = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let mut payload = vec![0; PAYLOAD];
        fastrand::Rng::with_seed(64).fill(&mut payload);
        let digest = encode_string(&Sha256::digest(&payload));
        let second = pack(&[("init", &init), (name(linux_init::PAYLOAD), &payload)])?;
        Ok(Self {
            init,
            second,
            digest,
        })
    }

    /// Packs the first kernel's archive around `image`, with our module for that kernel,
    /// and for both those of its own, by their names.
    pub(crate) fn pack(
        &self,
        image: &[u8],
        module: Option<&[u8]>,
        own: &[(&str, Vec<u8>)],
    ) -> Result<Vec<u8>> {
        let own: Vec<_> = own
            .iter()
            .map(|(path, module)| (name(path), module.as_slice()))
            .collect();
        // One archive may follow another.
        let second = [self.second.as_slice(), &pack(&own)?].concat();
        let mut files = vec![
            ("init", self.init.as_slice()),
            (name(linux_init::KERNEL), image),
            (name(linux_init::INITRD), &second),
        ];
        files.extend(module.map(|module| (name(linux_init::MODULE), module)));
        files.extend(own);
        pack(&files)
    }
}

fn name(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// Builds the init as one static file: the archive has no C library.
fn build_init(arch: Arch) -> Result<PathBuf> {
    let target = target_directory();
    let mut command = toolchain::with_std(arch.name, arch.linux_target, "build")?;
    let status = command
        .args(["--quiet", "--release", "--package", "linux-init"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .status()
        .context("cargo")?;
    ensure!(status.success(), "building linux-init failed: {status}");
    Ok(target.join(arch.linux_target).join("release/linux-init"))
}

/// Packs a cpio archive with the mount points and the console of an initramfs.
pub(super) fn pack(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    for directory in ["bin", "dev", "proc", "sys"] {
        let entry = Builder::new(directory)
            .mode(0o755)
            .set_mode_file_type(ModeFileType::Directory);
        archive = entry.write(archive, 0).finish()?;
    }
    // The kernel opens it before init could make it: Documentation/admin-guide/devices.txt.
    let console = Builder::new("dev/console")
        .mode(0o600)
        .rdev_major(5)
        .rdev_minor(1);
    archive = console
        .set_mode_file_type(ModeFileType::Char)
        .write(archive, 0)
        .finish()?;
    for (name, bytes) in files {
        let entry = Builder::new(name)
            .mode(0o755)
            .set_mode_file_type(ModeFileType::Regular);
        let mut writer = entry.write(archive, u32::try_from(bytes.len())?);
        std::io::Write::write_all(&mut writer, bytes)?;
        archive = writer.finish()?;
    }
    Ok(trailer(archive)?)
}
