// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds freestanding code: the blob, linked completely and proven position
//! independent before it is wrapped for the loader.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::host::failure::{read_blob, usage};
use crate::host::paths::{root, target_directory};
use crate::host::toolchain::{Core, Toolchain};
use crate::host::{output, process};
use blob::arch::Arch;
use blob::check::{ADDRESSES, Grade, judge};
use blob::load::{File, Series};
use blob::{proof, symbols, wrap};

/// The most bytes that the file may have.
pub(crate) const LARGEST: usize = 13 << 10;

/// The finished files.
pub(crate) struct Built {
    /// The linked program, with all symbols.
    pub(crate) elf: PathBuf,
    /// The file for the kernel.
    pub(crate) relocatable: PathBuf,
}

/// Flags of everything freestanding. They start from nothing: `RUSTFLAGS` would
/// replace them, so it is refused.
const FLAGS: [&str; 9] = [
    "-Crelocation-model=pic",
    // Otherwise LLVM reaches what is exported through a GOT, and makes tables of
    // addresses.
    "-Zdirect-access-external-data=yes",
    "-Cjump-tables=no",
    "--cfg=sha2_backend=\"soft\"",
    "-Clinker-flavor=ld.lld",
    "-Clink-arg=--no-dynamic-linker",
    // One of the two tables of round constants, ours and `sha2`'s.
    "-Clink-arg=--icf=all",
    "-Clink-arg=--ignore-data-address-equality",
    "-Cstrip=none",
];

/// Where the files go when nobody says otherwise.
pub(crate) fn default_folder(arch: Arch) -> PathBuf {
    let folder = target_directory().join("purgatory");
    match arch == Arch::ALL[0] {
        true => folder,
        false => folder.join(arch.name),
    }
}

/// Builds, proves and wraps the blob into `out`.
pub(crate) fn blob(arch: Arch, toolchain: &Toolchain, out: &Path) -> Result<Built> {
    let work = folder(toolchain, "purgatory")
        .join(arch.target)
        .join("proof");
    for folder in [out, &work] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let _lock = output::lock(&work)?;
    let near = write_script(&work, "near", proof::NEAR)?;
    let far = write_script(&work, "far", proof::FAR)?;
    // Kept: cargo writes it only when it compiles.
    let object = work.join("purgatory.o");
    let independent = compile(
        arch,
        toolchain,
        "purgatory",
        // Not every target makes one by itself.
        &[
            "-Clink-arg=--pie",
            &format!("-Clink-arg=-T{}", near.display()),
        ],
        Some(&object),
    )?;
    let near_elf = work.join("near.elf");
    let far_elf = work.join("far.elf");
    link(toolchain, "--no-pie", &object, &near, &near_elf)?;
    link(toolchain, "--no-pie", &object, &far, &far_elf)?;
    let linked = fs::read(&near_elf)?;
    let bytes = proof::prove(&fs::read(&independent)?, &linked, &fs::read(&far_elf)?)
        .context("the blob is not position independent, and no loader will relocate it")?;
    // Written only now: a failed build leaves the last good files alone.
    let elf = out.join(arch.linked_name());
    let relocatable = out.join("purgatory.ro");
    let map = symbols::map(&linked, toolchain)?;
    let wrapped = wrap::wrap(arch, &linked, &bytes)?;
    output::replace(
        &out.join(format!("purgatory-{}.map", arch.name)),
        map.as_bytes(),
    )?;
    output::replace(&relocatable, &wrapped)?;
    output::replace(&elf, &linked)?;
    Ok(Built { elf, relocatable })
}

/// Where freestanding code is compiled: a folder for each origin of `core` and each
/// program. Each has flags of its own, and cargo would compile everything anew
/// whenever they change.
fn folder(toolchain: &Toolchain, name: &str) -> PathBuf {
    target_directory()
        .join(format!("freestanding-{}", toolchain.core))
        .join(name)
}

/// Compiles one freestanding package and returns the linked program.
pub(crate) fn compile(
    arch: Arch,
    toolchain: &Toolchain,
    package: &str,
    flags: &[&str],
    object: Option<&Path>,
) -> Result<PathBuf> {
    let mut command = freestanding(&toolchain.cargo, "rustc", arch, toolchain, package, flags)?;
    command.args(["--package", package, "--bin", package]);
    if let Some(object) = object {
        command.args(["--", &format!("--emit=obj={}", object.display())]);
    }
    process::output(&mut command).with_context(|| format!("{package} does not build"))?;
    let folder = folder(toolchain, package).join(arch.target);
    Ok(folder.join("blob").join(package))
}

/// Describes a run of cargo, or of a program like it, on freestanding code; `name`
/// is that of the folder it compiles in.
pub(crate) fn freestanding(
    program: &Path,
    verb: &str,
    arch: Arch,
    toolchain: &Toolchain,
    name: &str,
    flags: &[&str],
) -> Result<Command> {
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        if env::var_os(variable).is_some() {
            let what = "it would replace the flags that the blob depends on: unset it";
            return Err(usage(format!("{variable} is set; {what}")));
        }
    }
    let target = target_directory();
    if target.to_string_lossy().contains(',') {
        return Err(usage(format!(
            "there is a comma in {}, where options of rustc and QEMU end: \
             give another folder as CARGO_TARGET_DIR",
            target.display()
        )));
    }
    let linker = format!("-Clinker={}", toolchain.lld.display());
    let remap = format!("--remap-path-prefix={}=.", root().display());
    let all: Vec<&str> = arch
        .rustc_flags
        .iter()
        .copied()
        .chain(FLAGS)
        .chain([linker.as_str(), remap.as_str()])
        .chain(flags.iter().copied())
        .collect();
    let mut command = Command::new(program);
    command
        .current_dir(root())
        .args([verb, "--quiet", "--locked", "--profile", "blob"])
        .args(["--target", arch.target])
        .env("CARGO", &toolchain.cargo)
        .env("CARGO_TARGET_DIR", folder(toolchain, name))
        .env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"))
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1");
    if toolchain.core == Core::Source {
        command.arg("-Zbuild-std=core");
    }
    Ok(command)
}

/// Writes the linker script with a literal base in front: lld ignores `--defsym`
/// against a default inside the script.
pub(crate) fn write_script(folder: &Path, name: &str, base: u64) -> Result<PathBuf> {
    let script = fs::read_to_string(root().join("linker/purgatory.ld"))?;
    let path = folder.join(name).with_extension("ld");
    fs::write(&path, format!("BASE = {base:#x};\n{script}"))?;
    Ok(path)
}

/// Links an object completely; `kind` is `--pie` or `--no-pie`.
pub(crate) fn link(
    toolchain: &Toolchain,
    kind: &str,
    object: &Path,
    script: &Path,
    to: &Path,
) -> Result<()> {
    let mut command = Command::new(&toolchain.lld);
    command
        .args(["-flavor", "gnu", kind, "--no-dynamic-linker"])
        .args(["--icf=all", "--ignore-data-address-equality"])
        .args(["--gc-sections", "-T"])
        .arg(script)
        .arg(object)
        .arg("-o")
        .arg(to);
    process::output(&mut command).map(drop)
}

/// Reads a blob that is about to be started; refuses one that breaks a promise, one
/// for another architecture, and one that does not leave the record by which a boot is
/// judged.
pub(crate) fn accept(path: &Path, arch: Arch) -> Result<Vec<u8>> {
    let bytes = read_blob(path)?;
    if let Some(other) = File::parse(&bytes).ok().map(|file| file.arch)
        && other != arch
    {
        let path = path.display();
        return Err(usage(format!(
            "{path} is for {other}, not {arch}: say --arch"
        )));
    }
    let linked = linked_beside(path, &bytes);
    let report = judge(
        &bytes,
        linked.as_deref(),
        Series::ALL.to_vec(),
        ADDRESSES.to_vec(),
    );
    match report.count(Grade::Broken) {
        0 if report.is_ours => Ok(bytes),
        0 => Err(usage(format!(
            "{} is not a blob of this project, as `cargo xtask build` makes one: it has no purgatory_config",
            path.display()
        ))),
        count => {
            let mut text = format!("{} breaks what its loaders rely on:\n", path.display());
            for row in report.broken() {
                text += &row.to_string();
            }
            bail!("{text}{count} broken; `cargo xtask check` prints the whole table")
        }
    }
}

/// Reads the linked program that the build leaves beside a blob, if it is there.
pub(crate) fn linked_beside(blob: &Path, bytes: &[u8]) -> Option<Vec<u8>> {
    let name = File::parse(bytes).ok()?.arch.linked_name();
    fs::read(blob.with_file_name(name)).ok()
}
