// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fetches Debian's kernels through apt, beside the system's own set-up.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use blob::arch::Arch;

use super::build;
use super::table::Packaged;
use crate::host::apt::{Apt, KEYRING, mirrors};
use crate::host::paths::target_directory;
use crate::host::process;
use crate::host::toolchain::search_path;

/// How old package lists may be before a newer kernel is looked for.
const LISTS_LAST: Duration = Duration::from_secs(24 * 60 * 60);

/// What kbuild runs, and every Debian has without being asked.
const ESSENTIAL: [&str; 8] = [
    "base-files",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "make",
    "mawk",
    "sed",
];

/// Tells whether this system has what fetching takes.
pub(crate) fn is_possible() -> bool {
    ["apt-get", "dpkg-deb"]
        .into_iter()
        .all(|program| search_path(program).next().is_some())
}

impl Packaged {
    /// Returns the path of the newest kernel, from the cache if it is there.
    pub(crate) fn fetch(&self, arch: Arch) -> Result<PathBuf> {
        ensure!(is_possible(), "Debian's kernels come through apt");
        let archive = Archive::open(self, arch).with_context(|| {
            let release = self.release;
            format!("cannot fetch a kernel from Debian {release} (--vmlinuz takes any bzImage)")
        })?;
        match self.configuration {
            None => archive.file(&self.image(&archive, arch)?, "vmlinuz"),
            Some(configuration) => {
                let package = self.depends(&archive, arch, "linux-source-")?;
                let source = archive.file(&package, "linux-source")?;
                build::kernel(&source, configuration, arch)
            }
        }
    }

    /// Tells whether it can be had without minutes of building it.
    pub(crate) fn is_ready(&self) -> Result<bool> {
        let Some(configuration) = self.configuration else {
            return Ok(true);
        };
        let name = build::name(configuration)?;
        let folder = target_directory().join("linux");
        let sources = if folder.exists() {
            entries(&folder)?
        } else {
            Vec::new()
        };
        Ok(sources.iter().any(|source| source.join(&name).exists()))
    }

    /// Returns the path of the same release's busybox, linked statically.
    pub(super) fn fetch_busybox(&self, arch: Arch) -> Result<PathBuf> {
        Archive::open(self, arch)?.file("busybox-static", "busybox")
    }

    /// Returns a root folder with the headers of a kernel of this release, and the
    /// compiler and the tools that they depend on, from the cache if it is there.
    pub(super) fn fetch_headers(&self, arch: Arch, version: &str) -> Result<PathBuf> {
        let archive = Archive::open(self, arch)?;
        let package = format!("linux-headers-{version}");
        let root = archive.folder(&package)?;
        if !root.exists() {
            eprintln!("fetching {package} from {}, and a compiler", self.release);
            archive
                .install(&package, &root)
                .with_context(|| format!("cannot fetch {package}"))?;
        }
        Ok(root)
    }

    /// Returns the paths of modules that belong to a kernel of this release, as they are in
    /// the package.
    pub(super) fn fetch_modules(
        &self,
        arch: Arch,
        version: &str,
        names: &[&str],
    ) -> Result<Vec<PathBuf>> {
        let archive = Archive::open(self, arch)?;
        let package = archive.split("modules", &format!("linux-image-{version}"))?;
        archive.files(&package, names)
    }

    /// Resolves the newest package, whose name begins so.
    fn depends(&self, archive: &Archive, arch: Arch, start: &str) -> Result<String> {
        let newest = self.newest.replace("{arch}", arch.debian);
        let depends = archive.cache(&["depends", &newest])?;
        let found = depends.lines().find_map(|line| {
            let name = line.trim().strip_prefix("Depends: ")?;
            name.starts_with(start).then(|| name.to_owned())
        });
        found.with_context(|| format!("{newest} depends on no {start}*"))
    }

    /// Resolves the package that holds the newest bzImage.
    fn image(&self, archive: &Archive, arch: Arch) -> Result<String> {
        let image = self.depends(archive, arch, "linux-image-")?;
        archive.split("binary", &image)
    }

    /// Describes the release's archives; their signatures are verified with Debian's
    /// keys, or nothing comes from there.
    pub(super) fn sources(&self, arch: Arch) -> Result<String> {
        let known = mirrors()?;
        let archive = |name: &str, usual: &str| {
            let same = known.iter().find(|(_, archive)| archive.ends_with(name));
            same.map_or_else(
                || format!("http://{usual}{name}"),
                |(_, archive)| archive.clone(),
            )
        };
        let release = self.release;
        let main = archive("/debian", "ftp.debian.org");
        // Source is for all, and in the index that every mirror has.
        let index = self.configuration.map_or(arch, |_| Arch::ALL[0]).debian;
        let option = format!("[arch={index} signed-by={KEYRING}]");
        let mut sources = format!("deb {option} {main} {release} main\n");
        if self.security {
            let security = archive("/debian-security", "security.debian.org");
            sources += &format!("deb {option} {security} {release}-security main\n");
        }
        Ok(sources)
    }
}

/// The archives of one release.
struct Archive {
    apt: Apt,
    release: &'static str,
}

impl Archive {
    /// Brings the package lists up to date; old ones will do where that fails.
    fn open(row: &Packaged, arch: Arch) -> Result<Self> {
        let release = row.release;
        let folder = target_directory().join("linux/apt").join(release);
        let apt = Apt::private(&folder, &row.sources(arch)?)?;
        let stamp = folder.join("updated");
        let updated = fs::metadata(&stamp).and_then(|data| data.modified()).ok();
        let age = updated.map(|moment| moment.elapsed().unwrap_or_default());
        if age.is_none_or(|age| age > LISTS_LAST) {
            let update = ["update", "--error-on=any"];
            match process::output(apt.program("apt-get").args(update)) {
                Ok(_) => drop(File::create(stamp)?),
                Err(error) if age.is_some() => {
                    eprintln!("{release}: {error:#}\ngoing on with older lists");
                }
                Err(error) => {
                    let keys = format!("its signatures are verified with {KEYRING} only");
                    return Err(error.context(keys));
                }
            }
        }
        Ok(Self { apt, release })
    }

    /// Asks `apt-cache`.
    fn cache(&self, question: &[&str]) -> Result<String> {
        process::output(self.apt.program("apt-cache").args(question))
    }

    /// Returns which package has a part of `image`: since 7.0 each has one of its own.
    fn split(&self, part: &str, image: &str) -> Result<String> {
        let own = image.replacen("linux-image-", &format!("linux-{part}-"), 1);
        let names = self.cache(&["pkgnames", &own])?;
        let split = names.lines().any(|name| name == own);
        Ok(if split { own } else { image.to_owned() })
    }

    /// Returns where a package of this version is cached.
    fn folder(&self, package: &str) -> Result<PathBuf> {
        let version = self.cache(&["show", "--no-all-versions", package])?;
        let version = version
            .lines()
            .find_map(|line| line.strip_prefix("Version: "));
        let version = version.with_context(|| format!("{package} has no version"))?;
        let name = format!("{package}_{version}");
        Ok(target_directory().join("linux").join(name))
    }

    /// Returns the path of the first file of `package` whose name begins with
    /// `name`, from the cache if it is there.
    fn file(&self, package: &str, name: &str) -> Result<PathBuf> {
        let mut files = self.files(package, &[name])?;
        files.pop().context("no file")
    }

    /// Returns the paths of several, likewise.
    fn files(&self, package: &str, names: &[&str]) -> Result<Vec<PathBuf>> {
        let directory = self.folder(package)?;
        let files: Vec<_> = names.iter().map(|name| directory.join(name)).collect();
        if !files.iter().all(|file| file.exists()) {
            eprintln!("fetching {package} from {}", self.release);
            self.download(package, &directory, names)
                .with_context(|| format!("cannot fetch {package}"))?;
        }
        Ok(files)
    }

    /// Unpacks a package and all that it depends on; nothing of it is run.
    fn install(&self, package: &str, root: &Path) -> Result<()> {
        let parent = root.parent().unwrap_or(root);
        fs::create_dir_all(parent)?;
        let scratch = tempfile::tempdir_in(parent)?;
        let archives = scratch.path().join("archives");
        fs::create_dir_all(archives.join("partial"))?;
        let mut download = self.apt.program("apt-get");
        download
            .args(["install", "--download-only", "--yes"])
            .args(["--no-install-recommends", "-o"])
            .arg(format!("Dir::Cache::Archives={}/", archives.display()))
            .arg(package)
            .args(ESSENTIAL);
        process::output(&mut download)?;
        let tree = scratch.path().join("tree");
        for archive in entries(&archives)? {
            if archive
                .extension()
                .is_some_and(|extension| extension == "deb")
            {
                extract(&archive, &tree)?;
            }
        }
        // What the packages' own scripts would do, and where module.rs mounts.
        symlink("mawk", tree.join("usr/bin/awk"))?;
        for folder in ["dev", "proc", "tmp", "purgatory"] {
            fs::create_dir_all(tree.join(folder))?;
        }
        // Last, so that an interrupted download leaves nothing to be believed.
        fs::rename(tree, root)?;
        Ok(())
    }

    fn download(&self, package: &str, directory: &Path, names: &[&str]) -> Result<()> {
        fs::create_dir_all(directory)?;
        let scratch = tempfile::tempdir_in(directory)?;
        let mut download = self.apt.program("apt-get");
        download
            .current_dir(scratch.path())
            .args(["download", package]);
        process::output(&mut download)?;
        let archive = entries(scratch.path())?
            .pop()
            .context("apt-get downloaded nothing")?;
        let tree = scratch.path().join("tree");
        extract(&archive, &tree)?;
        for name in names {
            let found = find_file(&tree, name)?;
            let found = found.with_context(|| format!("the package has no file {name}*"))?;
            // Last, so that an interrupted download leaves nothing to be believed.
            fs::rename(found, directory.join(name))?;
        }
        Ok(())
    }
}

fn extract(archive: &Path, tree: &Path) -> Result<()> {
    let mut extract = Command::new("dpkg-deb");
    process::output(extract.arg("--extract").arg(archive).arg(tree))?;
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    entries.collect()
}

/// Finds the largest file whose name begins with `start`: a package also holds
/// manual pages and hooks that are named after its program.
fn find_file(directory: &Path, start: &str) -> Result<Option<PathBuf>> {
    let mut found: Option<(u64, PathBuf)> = None;
    for path in entries(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let candidate = if path.is_dir() && !path.is_symlink() {
            find_file(&path, start)?
        } else {
            (path.is_file() && name.starts_with(start)).then_some(path)
        };
        if let Some(path) = candidate {
            found = found.max(Some((fs::metadata(&path)?.len(), path)));
        }
    }
    Ok(found.map(|(_, path)| path))
}
