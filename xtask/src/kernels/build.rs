// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds a kernel from Debian's source, where Debian's own kernels have no
//! `kexec_file_load(2)`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use anyhow::{Context as _, Result};
use base16ct::lower::encode_string;
use blob::arch::Arch;
use sha2::{Digest as _, Sha256};

use crate::host::paths::root;
use crate::host::{process, progress};

/// Returns the kernel of a source, with this and the least besides, from the cache if
/// it is there.
pub(super) fn kernel(source: &Path, configuration: &str, arch: Arch) -> Result<PathBuf> {
    let fragment = root().join(configuration);
    let folder = source.parent().context("a source lies in a folder")?;
    let image = folder.join(name(configuration)?);
    if image.exists() {
        return Ok(image);
    }
    let _busy = progress::spinner("building a kernel");
    let scratch = tempfile::tempdir_in(folder)?;
    let [tree, out] = ["tree", "out"].map(|name| scratch.path().join(name));
    fs::create_dir(&tree)?;
    fs::create_dir(&out)?;
    let mut unpack = Command::new("tar");
    unpack.arg("--extract").arg("--file").arg(source);
    unpack
        .args(["--strip-components=1", "--directory"])
        .arg(&tree);
    process::output(&mut unpack)?;
    let (family, kind) = names(arch);
    let make = |goals: &[&str]| {
        let mut make = Command::new("make");
        make.arg("--directory").arg(&tree).args(goals);
        make.arg(format!("O={}", out.display()));
        make.arg(format!("ARCH={family}"));
        make.arg(format!("CROSS_COMPILE={}-linux-gnu-", arch.name));
        process::output(&mut make).map(drop)
    };
    make(&["tinyconfig"])?;
    let mut merge = Command::new(tree.join("scripts/kconfig/merge_config.sh"));
    merge.current_dir(&tree).args(["-m", "-O"]).arg(&out);
    process::output(merge.arg(out.join(".config")).arg(&fragment))?;
    make(&["olddefconfig"])?;
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    make(&[&format!("--jobs={jobs}"), kind])?;
    // Last, so that a build that ends early leaves nothing to be believed.
    let built = out.join("arch").join(family).join("boot").join(kind);
    fs::rename(built, &image)?;
    Ok(image)
}

/// The name of what is built with a configuration.
pub(super) fn name(configuration: &str) -> Result<String> {
    let text = fs::read(root().join(configuration)).context(configuration.to_owned())?;
    let sum = &encode_string(&Sha256::digest(&text))[..8];
    Ok(format!("Image-{sum}"))
}

/// What the kernel calls an architecture, and its image.
fn names(arch: Arch) -> (&'static str, &'static str) {
    match arch.name {
        "riscv64" => ("riscv", "Image"),
        other => (other, "vmlinux"),
    }
}
