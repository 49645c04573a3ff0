//! What each command needs from the machine, in one table; what is missing is
//! said at once, before anything starts, or installed with `--provision`.
//!
//! It asks for properties, not for packages: a QEMU built by hand is as good as
//! the distribution's. It never runs rustup: what rustup should download is
//! written in `rust-toolchain.toml`.

use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::{
    host::{
        apt::Apt,
        process,
        toolchain::{self, Core, Toolchain, cargo, search_path},
    },
    vm::qemu,
};
use blob::arch::Arch;

/// Options of every command.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Setup {
    /// Install what the command needs and this machine lacks
    #[arg(long, global = true)]
    provision: bool,
    /// Insist on where `core` comes from
    #[arg(long, global = true, value_enum)]
    pub(crate) core: Option<Core>,
}

/// A command, as far as it needs something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Build,
    Boot,
    Test,
    Linux,
    Lint,
}

/// One thing that commands need.
struct Need {
    tasks: &'static [Task],
    /// Fails, in words for people, where it is missing.
    check: fn(&Setup) -> Result<()>,
    /// Whether the command can do without.
    optional: bool,
    /// Its packages, in the order of [`MANAGERS`].
    packages: [&'static str; MANAGERS.len()],
    /// The versions that the first of the apt packages must and should have.
    versions: [(u32, u32); 2],
    /// What helps beside packages.
    or: &'static str,
}

/// The package managers that have a column in the table: program, how it installs.
const MANAGERS: [(&str, &str); 4] = [
    ("apt-get", "apt-get install"),
    ("dnf", "dnf install"),
    ("pacman", "pacman -S"),
    ("brew", "brew install"),
];

/// The oldest QEMU that the boots were seen to work with.
const QEMU_OLDEST: (u32, u32) = (7, 2);
/// The first QEMU that emulates SHA-NI.
pub(crate) const QEMU_SHA_NI: (u32, u32) = (8, 2);

const QEMU_PACKAGES: [&str; 4] = [
    "qemu-system-x86",
    "qemu-system-x86-core",
    "qemu-system-x86",
    "qemu",
];

const NEEDS: [Need; 8] = [
    Need {
        tasks: &[Task::Boot, Task::Test, Task::Linux],
        check: |_| match qemu::version()? {
            version if version < QEMU_OLDEST => bail!(
                "QEMU {} is too old: {} is the oldest that works",
                dotted(version),
                dotted(QEMU_OLDEST)
            ),
            _ => Ok(()),
        },
        optional: false,
        packages: QEMU_PACKAGES,
        versions: [QEMU_OLDEST, QEMU_SHA_NI],
        or: "",
    },
    Need {
        tasks: &[Task::Test, Task::Linux],
        check: |_| match qemu::version() {
            Ok(version) if version < QEMU_SHA_NI => bail!(
                "QEMU {} does not emulate SHA-NI, {} does: its cases are skipped",
                dotted(version),
                dotted(QEMU_SHA_NI)
            ),
            _ => Ok(()),
        },
        optional: true,
        packages: QEMU_PACKAGES,
        versions: [QEMU_OLDEST, QEMU_SHA_NI],
        or: "",
    },
    Need {
        tasks: &[Task::Build, Task::Boot, Task::Test, Task::Linux, Task::Lint],
        check: |setup| match setup.core {
            Some(Core::Prebuilt) => Ok(()),
            any => toolchain::has_compiler(Arch::X86_64, any),
        },
        optional: false,
        packages: [
            "rustc-web cargo-web rust-web-src",
            "rust-std-static-x86_64-unknown-none",
            "rust-src",
            "rustup",
        ],
        versions: [toolchain::OLDEST; 2],
        or: "rustup target add x86_64-unknown-none",
    },
    Need {
        tasks: &[Task::Build, Task::Boot, Task::Test, Task::Linux, Task::Lint],
        check: |setup| match setup.core {
            Some(Core::Prebuilt) => toolchain::has_compiler(Arch::X86_64, setup.core),
            _ => Ok(()),
        },
        optional: false,
        packages: ["", "rust-std-static-x86_64-unknown-none", "", "rustup"],
        versions: [(0, 0); 2],
        or: "rustup target add x86_64-unknown-none",
    },
    Need {
        tasks: &[Task::Build, Task::Boot, Task::Test, Task::Linux, Task::Lint],
        check: |_| toolchain::has_linker(),
        optional: false,
        packages: ["lld", "lld", "lld", "lld"],
        versions: [(0, 0); 2],
        or: "",
    },
    Need {
        tasks: &[Task::Test],
        check: |_| on_path(&["cc", "ld"]),
        optional: false,
        packages: ["gcc libc6-dev", "gcc", "gcc", "x86_64-elf-gcc"],
        versions: [(0, 0); 2],
        or: "",
    },
    Need {
        tasks: &[Task::Lint],
        check: |_| {
            for tool in ["fmt", "clippy"] {
                process::output(Command::new(cargo()).args([tool, "--version"]))
                    .map_err(|_| anyhow!("no cargo {tool}"))?;
            }
            Ok(())
        },
        optional: false,
        packages: [
            "rustfmt-web rust-web-clippy",
            "rustfmt clippy",
            "rust",
            "rust",
        ],
        versions: [toolchain::OLDEST; 2],
        or: "rustup component add rustfmt clippy",
    },
    Need {
        tasks: &[Task::Lint],
        check: |setup| toolchain::find_clippy(Arch::X86_64, setup.core).map(drop),
        optional: false,
        packages: [
            "rust-web-clippy cargo-web rust-web-src",
            "clippy",
            "rust",
            "rust",
        ],
        versions: [toolchain::OLDEST; 2],
        or: "",
    },
];

impl Setup {
    /// Makes sure that the machine has what `task` needs.
    pub(crate) fn require(&self, task: Task) -> Result<()> {
        let mut lacking = self.lacking(task);
        if self.provision && !lacking.is_empty() && Apt::is_here() {
            install(&lacking)?;
            lacking = self.lacking(task);
        }
        for (need, what) in &lacking {
            if need.optional {
                eprintln!("note: {what}");
            }
        }
        lacking.retain(|(need, _)| !need.optional);
        if lacking.is_empty() {
            return Ok(());
        }
        Err(anyhow!(self.describe(&lacking)))
    }

    /// Finds the toolchain; [`Setup::require`] has made sure that there is one.
    pub(crate) fn toolchain(&self) -> Result<Toolchain> {
        toolchain::find(Arch::X86_64, self.core)
    }

    /// Lists what is missing for `task`, each with the reason.
    fn lacking(&self, task: Task) -> Vec<(&'static Need, String)> {
        NEEDS
            .iter()
            .filter(|need| need.tasks.contains(&task))
            .filter_map(|need| Some((need, format!("{:#}", (need.check)(self).err()?))))
            .collect()
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
            let names = unique(names).join(" ");
            if !names.is_empty() && (!any || here(program)) {
                text += &format!("\n  {install} {names}");
            }
        }
        let others = lacking.iter().map(|(need, _)| need.or);
        for command in unique(others.filter(|command| !command.is_empty())) {
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
    let mut apt = Apt::new()?;
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

fn on_path(programs: &[&str]) -> Result<()> {
    let missing: Vec<_> = programs
        .iter()
        .copied()
        .filter(|program| search_path(program).next().is_none())
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => bail!("no {} on PATH", missing.join(", no ")),
    }
}

fn dotted((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}
