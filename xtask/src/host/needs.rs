// SPDX-License-Identifier: MIT OR Apache-2.0
//! What commands need from the machine; what is missing is said at once, before
//! anything starts, or installed with `--provision`.
//!
//! It asks for properties, not for packages: a QEMU built by hand is as good as
//! the distribution's. It never runs rustup: what rustup should download is
//! written in `rust-toolchain.toml`.

use std::env;
use std::process::Command;

use anyhow::{Result, anyhow, ensure};

use super::apt::Apt;
use super::options::Setup;
use super::toolchain::{Core, cargo, search_path};
use super::{process, toolchain};

/// One thing that commands need.
pub(crate) struct Need {
    /// Fails, in words for people, where it is missing.
    pub(crate) check: fn(&Setup) -> Result<()>,
    /// Whether the command can do without.
    pub(crate) optional: bool,
    /// Its packages, in the order of [`MANAGERS`]; `{target}` is the target's name.
    pub(crate) packages: [&'static str; MANAGERS.len()],
    /// The versions that the first of the apt packages must and should have.
    pub(crate) versions: [(u32, u32); 2],
    /// What helps beside packages.
    pub(crate) or: &'static str,
}

/// The package managers that have a column: program, how it installs.
const MANAGERS: [(&str, &str); 4] = [
    ("apt-get", "apt-get install"),
    ("dnf", "dnf install"),
    ("pacman", "pacman -S"),
    ("brew", "brew install"),
];

/// Something for which there is neither a package nor another way.
const NOTHING: Need = Need {
    check: |_| Ok(()),
    optional: false,
    packages: [""; MANAGERS.len()],
    versions: [(0, 0); 2],
    or: "",
};

/// What freestanding code takes.
pub(crate) const FREESTANDING: [&Need; 3] = [&COMPILER, &PREBUILT, &LINKER];

static COMPILER: Need = Need {
    check: |setup| match setup.core {
        Some(Core::Prebuilt) => Ok(()),
        any => toolchain::has_compiler(setup.arch, any),
    },
    packages: [
        "rustc-web cargo-web rust-web-src",
        "rust-std-static-{target}",
        "rust-src",
        "rustup",
    ],
    versions: [toolchain::OLDEST; 2],
    or: "rustup target add {target}",
    ..NOTHING
};

static PREBUILT: Need = Need {
    check: |setup| match setup.core {
        Some(Core::Prebuilt) => toolchain::has_compiler(setup.arch, setup.core),
        _ => Ok(()),
    },
    packages: ["", "rust-std-static-{target}", "", "rustup"],
    or: "rustup target add {target}",
    ..NOTHING
};

static LINKER: Need = Need {
    check: |_| toolchain::has_linker(),
    packages: ["lld", "lld", "lld", "lld"],
    ..NOTHING
};

/// What the tests of the host compile their fixtures with.
pub(crate) static C_COMPILER: Need = Need {
    check: |setup| match setup.arch.name {
        env::consts::ARCH => on_path(&["cc", "ld"]),
        other => on_path(&["gcc", "ld"].map(|tool| format!("{other}-linux-gnu-{tool}"))),
    },
    packages: ["gcc libc6-dev", "gcc", "gcc", "x86_64-elf-gcc"],
    ..NOTHING
};

/// What a kernel is built with where Debian's own cannot load the blob, and an init for it.
pub(crate) static KERNEL_BUILD: [&Need; 1] = [&Need {
    check: |setup| match setup.arch.name {
        env::consts::ARCH => Ok(()),
        other => {
            let cross = ["gcc", "ld"].map(|tool| format!("{other}-linux-gnu-{tool}"));
            on_path(&cross)?;
            on_path(&["make", "flex", "bison", "bc", "xz"])
        }
    },
    packages: [
        "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross make flex bison bc xz-utils gcc libc6-dev",
        "gcc-riscv64-linux-gnu make flex bison bc xz gcc",
        "riscv64-linux-gnu-gcc make flex bison bc xz gcc",
        "",
    ],
    ..NOTHING
}];

/// What makes and reads the disk of a Debian machine.
pub(crate) static STRANGER: Need = Need {
    check: |_| on_path(&["debootstrap", "mke2fs", "debugfs"]),
    packages: [
        "debootstrap e2fsprogs",
        "debootstrap e2fsprogs",
        "debootstrap e2fsprogs",
        "",
    ],
    ..NOTHING
};

/// What `cargo xtask lint` runs.
pub(crate) const LINTERS: [&Need; 2] = [
    &Need {
        check: |_| {
            for tool in ["fmt", "clippy"] {
                process::output(Command::new(cargo()).args([tool, "--version"]))
                    .map_err(|_| anyhow!("no cargo {tool}"))?;
            }
            Ok(())
        },
        packages: [
            "rustfmt-web rust-web-clippy",
            "rustfmt clippy",
            "rust",
            "rust",
        ],
        versions: [toolchain::OLDEST; 2],
        or: "rustup component add rustfmt clippy",
        ..NOTHING
    },
    &Need {
        check: |setup| toolchain::find_clippy(setup.arch, setup.core).map(drop),
        packages: [
            "rust-web-clippy cargo-web rust-web-src",
            "clippy",
            "rust",
            "rust",
        ],
        versions: [toolchain::OLDEST; 2],
        ..NOTHING
    },
];

impl Setup {
    /// Makes sure that the machine has all of it, or says what is missing.
    pub(crate) fn require(&self, needs: impl IntoIterator<Item = &'static Need>) -> Result<()> {
        let needs: Vec<_> = needs.into_iter().collect();
        let lacking = || -> Vec<(&Need, String)> {
            let missing =
                |need: &&'static Need| Some((*need, format!("{:#}", (need.check)(self).err()?)));
            needs.iter().filter_map(missing).collect()
        };
        let mut found = lacking();
        if self.provision && !found.is_empty() && Apt::is_here() {
            install(&found)?;
            found = lacking();
        }
        for (_, what) in found.iter().filter(|(need, _)| need.optional) {
            eprintln!("note: {what}");
        }
        found.retain(|(need, _)| !need.optional);
        if found.is_empty() {
            return Ok(());
        }
        Err(anyhow!(self.describe(&found)))
    }

    /// Says everything that is missing, and how to get it on this machine.
    fn describe(&self, lacking: &[(&Need, String)]) -> String {
        let mut text = "this machine lacks what the command needs:".to_owned();
        for what in unique(lacking.iter().map(|(_, what)| what.as_str())) {
            text += &format!("\n  {what}");
        }
        text += match (self.provision, Apt::is_here()) {
            (true, true) => "\n`--provision` found no package for it; perhaps one of these:",
            (true, false) => "\n`--provision` installs with apt only; here it is up to you:",
            (false, true) => "\nadd `--provision`, or install it yourself:",
            (false, false) => "\ninstall it:",
        };
        let here = |program: &str| search_path(program).next().is_some();
        let any = MANAGERS.iter().any(|(program, _)| here(program));
        for (column, (program, install)) in MANAGERS.iter().enumerate() {
            let names = lacking
                .iter()
                .flat_map(|(need, _)| need.packages[column].split_whitespace());
            let names = unique(names)
                .join(" ")
                .replace("{target}", self.arch.target);
            if !names.is_empty() && (!any || here(program)) {
                text += &format!("\n  {install} {names}");
            }
        }
        let others = lacking.iter().map(|(need, _)| need.or);
        for command in unique(others.filter(|command| !command.is_empty())) {
            let command = command.replace("{target}", self.arch.target);
            text += &format!("\n  {command}   (where Rust comes from rustup)");
        }
        text
    }
}

/// Drops repetitions and keeps the order.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// Installs with apt what it has packages for.
fn install(lacking: &[(&Need, String)]) -> Result<()> {
    let mut apt = Apt::of_system()?;
    apt.update()?;
    let mut packages = Vec::new();
    for (need, _) in lacking {
        let names = need.packages[0].split_whitespace().enumerate();
        let found = names.map(|(index, name)| {
            let versions = if index == 0 {
                need.versions
            } else {
                [(0, 0); 2]
            };
            apt.choose(name, versions)
        });
        // All of them or none: part of a toolchain builds nothing.
        let found: Option<Vec<_>> = found.collect::<Result<_>>()?;
        for package in found.unwrap_or_default() {
            if !packages.contains(&package) {
                packages.push(package);
            }
        }
    }
    apt.install(&packages)
}

fn on_path<S: AsRef<str>>(programs: &[S]) -> Result<()> {
    let programs = programs.iter().map(AsRef::as_ref);
    let missing: Vec<_> = programs
        .filter(|program| search_path(program).next().is_none())
        .collect();
    ensure!(missing.is_empty(), "no {} on PATH", missing.join(", no "));
    Ok(())
}
