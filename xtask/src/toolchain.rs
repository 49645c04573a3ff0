//! Finds what builds freestanding code, by the property that is needed and never
//! by a version or a name: a `rustc` that has `core` for the target, or the
//! source of `core`; and an lld, because GNU ld rewrites GOT loads into absolute
//! addresses.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{arch::Arch, process};

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

/// One compiler on this machine.
struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    version: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn has(&self, core: Core, arch: Arch) -> bool {
        let library = self.sysroot.join("lib/rustlib");
        match core {
            Core::Prebuilt => has_core(&library.join(arch.target()).join("lib")),
            Core::Source => library.join("src/rust/library/core/src/lib.rs").exists(),
        }
    }
}

/// Finds a toolchain for `arch`. `wanted` insists on one origin of `core`.
pub(crate) fn find(arch: Arch, wanted: Option<Core>) -> Result<Toolchain> {
    let compilers = compilers();
    let (core, compiler) = choose(&compilers, arch, wanted)?;
    let lld = linker(&compilers)?;
    let why = match (wanted, core) {
        (Some(_), _) => "asked for".to_owned(),
        (None, Core::Prebuilt) => format!("the toolchain has {}", arch.target()),
        (None, Core::Source) => format!(
            "no toolchain has {}, this one has the source",
            arch.target()
        ),
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

/// Takes prebuilt before source, and the active toolchain before the distribution's.
fn choose(compilers: &[Compiler], arch: Arch, wanted: Option<Core>) -> Result<(Core, &Compiler)> {
    for core in [Core::Prebuilt, Core::Source] {
        if wanted.is_none_or(|wanted| wanted == core)
            && let Some(compiler) = compilers.iter().find(|compiler| compiler.has(core, arch))
        {
            return Ok((core, compiler));
        }
    }
    let seen: Vec<_> = compilers
        .iter()
        .map(|compiler| compiler.version.as_str())
        .collect();
    bail!(
        "no toolchain here has {} of `core` for {target} (seen: {})\n\
         do one of these, or add `--provision`:\n\
         \x20 rustup target add {target}\n\
         \x20 rustup component add rust-src\n\
         \x20 apt-get install rustc-web cargo-web rust-web-src   (Debian 12)",
        wanted.map_or("a build or the source".to_owned(), |core| match core {
            Core::Prebuilt => "a build".to_owned(),
            Core::Source => "the source".to_owned(),
        }),
        if seen.is_empty() {
            "none".to_owned()
        } else {
            seen.join(", ")
        },
        target = arch.target(),
    )
}

/// Lists the compilers: the one that runs this program first, then every other on PATH.
fn compilers() -> Vec<Compiler> {
    let mut found: Vec<Compiler> = Vec::new();
    let active = env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let others = search_path("rustc").map(|rustc| (rustc.with_file_name("cargo"), rustc));
    for (cargo, rustc) in std::iter::once((cargo, active)).chain(others) {
        let Ok(sysroot) = process::output(Command::new(&rustc).args(["--print", "sysroot"])) else {
            continue;
        };
        let Ok(version) = process::output(Command::new(&rustc).arg("--version")) else {
            continue;
        };
        let sysroot = PathBuf::from(sysroot.trim());
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
fn linker(compilers: &[Compiler]) -> Result<PathBuf> {
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
        .context("no lld here: install `lld`, or a rustup toolchain (it brings rust-lld), or add `--provision`")
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

fn has_core(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|mut files| {
        files.any(|file| {
            file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
        })
    })
}
