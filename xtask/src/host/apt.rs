// SPDX-License-Identifier: MIT OR Apache-2.0
//! apt: installs packages, from the release's backports where it is too old, and
//! reads archives of other releases.
//!
//! The system's own list of sources stays as it is: whatever else is needed stands
//! in private lists under `target/`. What comes from there is verified with Debian's
//! keys, or does not come.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::output::last_lines;
use super::paths::target_directory;
use super::toolchain::{numbers, search_path};
use super::{process, progress};

/// The keys of Debian's archives, as every Debian has them.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SOURCES: &str = "/etc/apt/sources.list.d";

/// Something to install.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Package {
    name: &'static str,
    /// The release that it comes from, where that is not the system's choice.
    release: Option<String>,
}

/// apt, with options of its own.
pub(crate) struct Apt {
    options: Vec<String>,
    sudo: bool,
    log: PathBuf,
}

impl Apt {
    /// Tells whether this machine has apt.
    pub(crate) fn is_here() -> bool {
        search_path("apt-get").next().is_some()
    }

    /// The system's own, with the right to install; sudo may ask for a password.
    pub(crate) fn of_system() -> Result<Self> {
        let sudo = !rustix::process::geteuid().is_root();
        if sudo {
            let allowed = Command::new("sudo").arg("-v").status();
            ensure!(
                allowed.is_ok_and(|status| status.success()),
                "installing packages takes root or sudo: run it as root, or leave `--provision` \
                 out to see what is missing"
            );
        }
        let folder = target_directory().join("provision");
        fs::create_dir_all(&folder)?;
        let log = folder.join("apt.log");
        File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        Ok(Self {
            options: Vec::new(),
            sudo,
            log,
        })
    }

    /// One that knows these sources only and keeps everything in `folder`.
    pub(crate) fn private(folder: &Path, sources: &str) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        File::create(folder.join("status"))?;
        fs::write(folder.join("sources.list"), sources)?;
        let own = |part: &str| folder.join(part).display().to_string();
        let options = [
            format!("Dir::State={}", own("")),
            format!("Dir::State::Lists={}", own("lists")),
            format!("Dir::State::Status={}", own("status")),
            format!("Dir::Cache={}", own("cache")),
            format!("Dir::Etc::SourceList={}", own("sources.list")),
            "Dir::Etc::SourceParts=-".to_owned(),
            // Our directories need not be open to apt's own user.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ];
        Ok(Self {
            options: options.into(),
            sudo: false,
            log: folder.join("apt.log"),
        })
    }

    /// Describes a run of one of apt's programs.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("LC_ALL", "C");
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }

    /// Brings the package lists up to date. One that cannot be had is no reason to
    /// stop: the machine may have sources that have nothing to do with us.
    pub(crate) fn update(&self) -> Result<()> {
        let _busy = progress::spinner("updating apt's package lists");
        if !self.run(&["update"])? {
            eprintln!("note: apt-get update failed ({})", self.log.display());
        }
        Ok(())
    }

    /// Chooses what to install for `name`: apt's candidate, or a backport where the
    /// candidate is older than it should be. `None` if there is no such package, or
    /// none that is as new as it must be.
    pub(crate) fn choose(
        &mut self,
        name: &'static str,
        [least, best]: [(u32, u32); 2],
    ) -> Result<Option<Package>> {
        let Some(candidate) = self.candidate(name)? else {
            return Ok(None);
        };
        let mut release = None;
        if upstream(&candidate) < Some(best)
            && let Some(backports) = self.backports()?
            && self.has(name, &backports, best)?
        {
            release = Some(backports);
        }
        let useful = release.is_some() || upstream(&candidate) >= Some(least);
        Ok(useful.then_some(Package { name, release }))
    }

    /// Installs packages and nothing that they only recommend.
    pub(crate) fn install(&self, packages: &[Package]) -> Result<()> {
        // One by one release: with `name/release`, apt takes the dependencies
        // from the old one and gives up.
        for group in packages.chunk_by(|one, next| one.release == next.release) {
            let names: Vec<_> = group.iter().map(|package| package.name).collect();
            let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
            let mut what = names.join(" ");
            if let Some(release) = &group[0].release {
                arguments.extend(["--target-release", release]);
                what += &format!(" from {release}");
            }
            arguments.extend(names);
            eprintln!("installing {what}");
            let _busy = progress::spinner(format!("installing {what}"));
            if !self.run(&arguments)? {
                let log = fs::read_to_string(&self.log)?;
                bail!(
                    "apt-get could not install {what}\n--- last lines of {}\n{}",
                    self.log.display(),
                    last_lines(&log).trim_end()
                )
            }
        }
        Ok(())
    }

    /// The version that apt would install.
    fn candidate(&self, package: &str) -> Result<Option<String>> {
        let policy = process::output(self.program("apt-cache").args(["policy", package]))?;
        let candidate = policy
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(candidate
            .filter(|version| *version != "(none)")
            .map(str::to_owned))
    }

    /// Tells whether `release` has at least `version` of the package.
    fn has(&self, package: &str, release: &str, version: (u32, u32)) -> Result<bool> {
        let all = process::output(self.program("apt-cache").args(["madison", package]))?;
        Ok(all.lines().any(|line| {
            let mut fields = line.split('|').map(str::trim).skip(1);
            let number = fields.next().and_then(upstream);
            let place = fields.next().unwrap_or_default();
            number >= Some(version) && place.contains(&format!(" {release}/"))
        }))
    }

    /// Adds Debian's backports, from the mirror that the system uses, to what this
    /// value sees; returns the name of the release.
    fn backports(&mut self) -> Result<Option<String>> {
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let field = |name: &str| {
            let value = system.lines().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim_matches('"'))
        };
        let (Some("debian"), Some(codename)) = (field("ID="), field("VERSION_CODENAME=")) else {
            return Ok(None);
        };
        let release = format!("{codename}-backports");
        let known = mirrors()?;
        if !self.options.is_empty() || known.iter().any(|(name, _)| *name == release) {
            return Ok(Some(release));
        }
        let Some((_, mirror)) = known.iter().find(|(name, _)| *name == codename) else {
            return Ok(None);
        };

        let folder = target_directory().join("provision/sources.list.d");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(SOURCES).into_iter().flatten().flatten() {
            symlink(entry.path(), folder.join(entry.file_name()))?;
        }
        let own = folder.join("purgatory.list");
        let signed = match Path::new(KEYRING).exists() {
            true => format!("[signed-by={KEYRING}] "),
            false => String::new(),
        };
        fs::write(&own, format!("deb {signed}{mirror} {release} main\n"))?;
        self.options = vec![format!("Dir::Etc::SourceParts={}", folder.display())];
        let _busy = progress::spinner(format!("looking into {release}"));
        let only = format!("Dir::Etc::SourceList={}", own.display());
        let keep = "APT::Get::List-Cleanup=false";
        let arguments = ["-o", &only, "-o", "Dir::Etc::SourceParts=-", "-o", keep];
        let there = self.run(&[&["update"], arguments.as_slice()].concat())?;
        Ok(there.then_some(release))
    }

    /// Runs `apt-get` with the right to install; its output goes to the log.
    fn run(&self, arguments: &[&str]) -> Result<bool> {
        let mut log = File::options().append(true).open(&self.log)?;
        writeln!(log, "\n$ apt-get {}", arguments.join(" "))?;
        let mut command = Command::new(if self.sudo { "sudo" } else { "env" });
        command.args(self.sudo.then_some("env"));
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        for option in &self.options {
            command.args(["-o", option]);
        }
        let status = command
            .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .context("cannot run apt-get")?;
        Ok(status.success())
    }
}

/// Where this system's own apt gets its packages from: releases and archives.
pub(crate) fn mirrors() -> Result<Vec<(String, String)>> {
    // Before the first update, `indextargets` knows none.
    let listed = process::output(Command::new("apt-get").args(["update", "--print-uris"]))?;
    Ok(listed.lines().filter_map(mirror).collect())
}

/// Reads `'ARCHIVE/dists/RELEASE/InRelease' …`.
fn mirror(line: &str) -> Option<(String, String)> {
    let (archive, rest) = line.strip_prefix('\'')?.split_once("/dists/")?;
    let (release, _) = rest.split_once("/InRelease")?;
    Some((release.to_owned(), archive.to_owned()))
}

/// Reads the first two numbers of a Debian version, behind its epoch.
fn upstream(version: &str) -> Option<(u32, u32)> {
    numbers(version.split_once(':').map_or(version, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mirrors_of_the_system() {
        let line = "'https://mirror.example/debian/dists/bookworm/InRelease' a 0 ";
        let archive = "https://mirror.example/debian".to_owned();
        assert_eq!(mirror(line), Some(("bookworm".to_owned(), archive)));
        assert_eq!(mirror("Reading package lists..."), None);
    }
}
