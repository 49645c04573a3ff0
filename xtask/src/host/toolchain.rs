// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds what builds freestanding code, by the property that is needed and never
//! by a version or a name: a `rustc` that has `core` for the target, or the
//! source of `core`; and an lld, because GNU ld rewrites GOT loads into absolute
//! addresses.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::host::process;
use blob::arch::Arch;

/// The oldest compiler that takes this workspace: its `rust-version`.
pub(crate) const OLDEST: (u32, u32) = (1, 95);

/// Where `core` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Core {
    /// Compiled already, in the toolchain's sysroot.
    Prebuilt,
    /// Compiled now, from the toolchain's source of the library.
    Source,
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prebuilt => "prebuilt",
            Self::Source => "source",
        })
    }
}

/// A compiler and a linker that can build the blob.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// The cargo that goes with [`Toolchain::rustc`].
    pub(crate) cargo: PathBuf,
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// What it says of itself.
    pub(crate) version: String,
    /// Where it has `core` from, and [`Toolchain::why`] it was chosen.
    pub(crate) core: Core,
    /// The reason for the choice, for people.
    pub(crate) why: String,
    /// lld.
    pub(crate) lld: PathBuf,
    /// What it says of itself.
    pub(crate) lld_version: String,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No paths: it stands in a release, too.
        writeln!(f, "  {}", self.version)?;
        writeln!(f, "  core: {}, because {}", self.core, self.why)?;
        write!(f, "  {}", self.lld_version)
    }
}

/// One compiler on this machine.
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    version: String,
    sysroot: PathBuf,
}

impl Compiler {
    /// Tells whether it has a library of its own, `core` or `std`, for a target.
    fn has(&self, library: &str, origin: Core, target: &str) -> bool {
        let folder = self.sysroot.join("lib/rustlib");
        match origin {
            Core::Prebuilt => {
                has_library(&folder.join(target).join("lib"), &format!("lib{library}-"))
            }
            Core::Source => folder
                .join(format!("src/rust/library/{library}/src/lib.rs"))
                .exists(),
        }
    }

    /// Where its clippy lies if it has one; by path, because a rustup earlier on
    /// PATH would answer for every other compiler too.
    fn clippy(&self) -> PathBuf {
        self.sysroot.join("bin/cargo-clippy")
    }
}

/// Finds a toolchain for `arch`. `wanted` insists on one origin of `core`.
pub(crate) fn find(arch: Arch, wanted: Option<Core>) -> Result<Toolchain> {
    let compilers = compilers();
    let (core, compiler) = choose(&compilers, arch, wanted)?;
    toolchain(arch, wanted, core, compiler, choose_linker(&compilers)?)
}

/// Finds a toolchain with a clippy, and returns that clippy too.
pub(crate) fn find_clippy(arch: Arch, wanted: Option<Core>) -> Result<(PathBuf, Toolchain)> {
    let mut compilers = compilers();
    let lld = choose_linker(&compilers)?;
    compilers.retain(|compiler| compiler.clippy().is_file());
    let (core, compiler) =
        choose(&compilers, arch, wanted).context("among the compilers that have a clippy")?;
    let toolchain = toolchain(arch, wanted, core, compiler, lld)?;
    Ok((compiler.clippy(), toolchain))
}

/// Describes a run of cargo on programs for the Linux of an architecture. Where no
/// compiler has `std` for it, that is built from source, and another linker links.
pub(crate) fn with_std(name: &str, target: &str, verb: &str) -> Result<Command> {
    let compilers = compilers();
    let found = |origin| {
        let mut all = compilers.iter();
        let compiler = all.find(|compiler| compiler.has("std", origin, target))?;
        Some((origin, compiler))
    };
    let found = found(Core::Prebuilt).or_else(|| found(Core::Source));
    let (origin, compiler) = found
        .with_context(|| format!("no compiler has `std` for {target}, and none has its source"))?;
    let mut command = Command::new(&compiler.cargo);
    command.env("RUSTC", &compiler.rustc);
    command.args([verb, "--target", target]);
    if origin == Core::Source {
        command.env("RUSTC_BOOTSTRAP", "1");
        command.arg("-Zbuild-std=std,panic_abort");
    }
    if name != env::consts::ARCH {
        let variable = target.to_uppercase().replace('-', "_");
        let linker = format!("{name}-linux-gnu-gcc");
        command.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
    }
    Ok(command)
}

fn toolchain(
    arch: Arch,
    wanted: Option<Core>,
    core: Core,
    compiler: &Compiler,
    lld: PathBuf,
) -> Result<Toolchain> {
    let why = match (wanted, core) {
        (Some(_), _) => "asked for".to_owned(),
        (None, Core::Prebuilt) => format!("the toolchain has {}", arch.target),
        (None, Core::Source) => {
            format!("no toolchain has {}, this one has the source", arch.target)
        }
    };
    let lld_version = process::output(Command::new(&lld).args(["-flavor", "gnu", "--version"]))?;
    Ok(Toolchain {
        cargo: compiler.cargo.clone(),
        rustc: compiler.rustc.clone(),
        version: compiler.version.clone(),
        core,
        why,
        lld_version: lld_version.trim().to_owned(),
        lld,
    })
}

/// Fails, in words for people, where no compiler has `core` for `arch`.
pub(crate) fn has_compiler(arch: Arch, wanted: Option<Core>) -> Result<()> {
    choose(&compilers(), arch, wanted).map(drop)
}

/// Fails where there is no lld.
pub(crate) fn has_linker() -> Result<()> {
    choose_linker(&compilers()).map(drop)
}

/// Takes prebuilt before source, and the active toolchain before the distribution's.
fn choose(compilers: &[Compiler], arch: Arch, wanted: Option<Core>) -> Result<(Core, &Compiler)> {
    for core in [Core::Prebuilt, Core::Source] {
        if wanted.is_none_or(|wanted| wanted == core)
            && let Some(compiler) = compilers
                .iter()
                .find(|compiler| compiler.has("core", core, arch.target))
        {
            return Ok((core, compiler));
        }
    }
    let seen: Vec<_> = compilers
        .iter()
        .map(|compiler| compiler.version.as_str())
        .collect();
    bail!(
        "no compiler has {} (seen: {})",
        match wanted {
            Some(Core::Prebuilt) => format!("`core` for {}", arch.target),
            Some(Core::Source) => "the source of `core`".to_owned(),
            None => format!("`core` for {}, or its source", arch.target),
        },
        if seen.is_empty() {
            "none".to_owned()
        } else {
            seen.join(", ")
        },
    )
}

/// Lists the compilers that are new enough for this workspace: the one that runs
/// this program first, then every other on PATH.
fn compilers() -> Vec<Compiler> {
    let mut found: Vec<Compiler> = Vec::new();
    let active = env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let others = search_path("rustc").map(|rustc| (rustc.with_file_name("cargo"), rustc));
    for (cargo, rustc) in std::iter::once((cargo(), active)).chain(others) {
        let Ok(sysroot) = process::output(Command::new(&rustc).args(["--print", "sysroot"])) else {
            continue;
        };
        let Ok(version) = process::output(Command::new(&rustc).arg("--version")) else {
            continue;
        };
        let sysroot = PathBuf::from(sysroot.trim());
        let number = version.strip_prefix("rustc ").and_then(numbers);
        if number < Some(OLDEST) {
            continue;
        }
        if found.iter().all(|compiler| compiler.sysroot != sysroot) {
            found.push(Compiler {
                cargo,
                rustc,
                version: version.trim().to_owned(),
                sysroot,
            });
        }
    }
    found
}

/// Finds an lld: the one beside a compiler, else one on PATH.
fn choose_linker(compilers: &[Compiler]) -> Result<PathBuf> {
    let beside = compilers.iter().flat_map(|compiler| {
        let hosts = compiler.sysroot.join("lib/rustlib").read_dir();
        hosts
            .into_iter()
            .flatten()
            .flatten()
            .map(|host| host.path().join("bin/rust-lld"))
    });
    let named = [
        "ld.lld",
        "ld.lld-22",
        "ld.lld-19",
        "ld.lld-16",
        "ld.lld-15",
        "ld.lld-14",
    ];
    beside
        .chain(named.into_iter().flat_map(search_path))
        .find(|candidate| candidate.exists())
        .context("no lld: neither a toolchain's rust-lld nor ld.lld")
}

/// Reads the first two numbers of a version.
pub(crate) fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Every executable of that name on PATH, in order.
pub(crate) fn search_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<_> = env::split_paths(&path)
        .map(|folder| folder.join(name))
        .collect();
    candidates
        .into_iter()
        .filter(|candidate| candidate.is_file())
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

fn has_library(folder: &Path, name: &str) -> bool {
    folder.read_dir().is_ok_and(|mut files| {
        files
            .any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        assert_eq!(numbers(env!("CARGO_PKG_RUST_VERSION")), Some(OLDEST));
        assert_eq!(
            numbers("1.96.0 (b0 2026-01-01) (built from a source tarball)"),
            Some((1, 96))
        );
        assert_eq!(numbers("7.2+dfsg-7+deb12u18+b3"), Some((7, 2)));
        assert_eq!(numbers("nightly"), None);
    }
}
