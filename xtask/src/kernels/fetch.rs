//! Fetches Debian's kernels through apt, beside the system's own set-up.
//!
//! apt works on private lists under `target/`; the system's sources are asked
//! for a mirror and otherwise left alone. Signatures are verified with the
//! system's Debian keyring; where that lacks the key, the user is told.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::host::{apt::KEYRING, paths::target_directory, process};

/// The option of a source whose signature cannot be verified.
const TRUSTED: &str = "trusted=yes";

/// How old package lists may be before a newer kernel is looked for.
const LISTS_LAST: Duration = Duration::from_secs(24 * 60 * 60);

/// A kernel that Debian distributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    /// The name on our command line: the first version of this row.
    pub(crate) name: &'static str,
    pub(crate) release: &'static str,
    /// Whether the release has a security archive.
    security: bool,
    /// The package that depends on the newest image.
    newest: &'static str,
}

/// Every row of the matrix.
pub(crate) const PACKAGES: [Package; 4] = [
    Package {
        name: "5.10",
        release: "bullseye",
        security: true,
        newest: "linux-image-cloud-amd64",
    },
    Package {
        name: "6.1",
        release: "bookworm",
        security: true,
        newest: "linux-image-cloud-amd64",
    },
    Package {
        name: "6.12",
        release: "bookworm",
        security: true,
        newest: "linux-image-6.12-cloud-amd64",
    },
    Package {
        name: "7.2",
        release: "sid",
        security: false,
        newest: "linux-image-cloud-amd64",
    },
];

/// Tells whether this system has what fetching takes.
pub(crate) fn is_possible() -> bool {
    let present = |program| Command::new(program).arg("--version").output().is_ok();
    present("apt-get") && present("dpkg-deb")
}

impl Package {
    /// Returns the path of the newest bzImage, from the cache if it is there.
    pub(crate) fn fetch(&self) -> Result<PathBuf> {
        let apt = Apt::new(self)?;
        apt.update().with_context(|| {
            let release = self.release;
            format!("cannot fetch a kernel from Debian {release} (--vmlinuz takes any bzImage)")
        })?;
        apt.file(&self.image(&apt)?, "vmlinuz")
    }

    /// Returns the path of the same release's busybox, linked statically.
    pub(crate) fn fetch_busybox(&self) -> Result<PathBuf> {
        let apt = Apt::new(self)?;
        apt.update()?;
        apt.file("busybox-static", "busybox")
    }

    /// Resolves the package that holds the newest bzImage.
    fn image(&self, apt: &Apt) -> Result<String> {
        let depends = apt.run("apt-cache", &["depends", self.newest])?;
        let image = depends.lines().find_map(|line| {
            let name = line.trim().strip_prefix("Depends: ")?;
            name.starts_with("linux-image-").then_some(name)
        });
        let image = image.with_context(|| format!("{} depends on no image", self.newest))?;
        // Since 7.0 the file itself is in a package of its own.
        let binary = image.replacen("linux-image-", "linux-binary-", 1);
        let names = apt.run("apt-cache", &["pkgnames", &binary])?;
        let split = names.lines().any(|name| name == binary);
        Ok(if split { binary } else { image.to_owned() })
    }
}

/// apt with private lists of one release.
struct Apt {
    directory: PathBuf,
    release: &'static str,
    security: bool,
}

impl Apt {
    fn new(package: &Package) -> Result<Self> {
        let directory = target_directory().join("linux/apt").join(package.release);
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(part))?;
        }
        File::create(directory.join("status"))?;
        let Package {
            release, security, ..
        } = *package;
        Ok(Self {
            directory,
            release,
            security,
        })
    }

    /// Brings the package lists up to date; old ones will do where that fails.
    fn update(&self) -> Result<()> {
        let stamp = self.directory.join("updated");
        let updated = fs::metadata(&stamp).and_then(|data| data.modified()).ok();
        let age = updated.map(|moment| moment.elapsed().unwrap_or_default());
        if age.is_none_or(|age| age > LISTS_LAST) {
            match self.fetch_lists() {
                Ok(()) => drop(File::create(stamp)?),
                Err(error) if age.is_some() => {
                    eprintln!("{}: {error:#}\ngoing on with older lists", self.release);
                }
                Err(error) => return Err(error),
            }
        }
        if fs::read_to_string(self.sources())?.contains(TRUSTED) {
            eprintln!("{}: NOT VERIFIED, {KEYRING} lacks its key", self.release);
        }
        Ok(())
    }

    fn fetch_lists(&self) -> Result<()> {
        let mirrors = Mirrors::of_system()?;
        let update = ["update", "--error-on=any"];
        self.write_sources(&mirrors, &format!("signed-by={KEYRING}"))?;
        match self.run("apt-get", &update) {
            // Any other fault of a signature is a fault.
            Err(error) if format!("{error:#}").contains("NO_PUBKEY") => {
                self.write_sources(&mirrors, TRUSTED)?;
                self.run("apt-get", &update).map(drop)
            }
            result => result.map(drop),
        }
    }

    fn sources(&self) -> PathBuf {
        self.directory.join("sources.list")
    }

    fn write_sources(&self, mirrors: &Mirrors, option: &str) -> Result<()> {
        let Mirrors { main, security } = mirrors;
        let release = self.release;
        let mut sources = format!("deb [arch=amd64 {option}] {main} {release} main\n");
        if self.security {
            sources += &format!("deb [arch=amd64 {option}] {security} {release}-security main\n");
        }
        fs::write(self.sources(), sources)?;
        Ok(())
    }

    /// Returns the path of the first file of `package` whose name begins with
    /// `name`, from the cache if it is there.
    fn file(&self, package: &str, name: &str) -> Result<PathBuf> {
        let version = self.run("apt-cache", &["show", "--no-all-versions", package])?;
        let version = version
            .lines()
            .find_map(|line| line.strip_prefix("Version: "));
        let version = version.with_context(|| format!("{package} has no version"))?;
        let directory = target_directory()
            .join("linux")
            .join(format!("{package}_{version}"));
        let file = directory.join(name);
        if !file.exists() {
            eprintln!("fetching {package} {version} from {}", self.release);
            self.download(package, &directory, name)
                .with_context(|| format!("cannot fetch {package}"))?;
        }
        Ok(file)
    }

    fn download(&self, package: &str, directory: &Path, name: &str) -> Result<()> {
        fs::create_dir_all(directory)?;
        let scratch = tempfile::tempdir_in(directory)?;
        self.run_in(scratch.path(), "apt-get", &["download", package])?;
        let archive = entries(scratch.path())?
            .pop()
            .context("apt-get downloaded nothing")?;
        let tree = scratch.path().join("tree");
        let mut extract = Command::new("dpkg-deb");
        process::output(extract.arg("--extract").arg(archive).arg(&tree))?;
        let found = find_file(&tree, name)?;
        let found = found.with_context(|| format!("the package has no file {name}*"))?;
        // Last, so that an interrupted download leaves nothing to be believed.
        fs::rename(found, directory.join(name))?;
        Ok(())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run_in(&self.directory, program, arguments)
    }

    fn run_in(&self, directory: &Path, program: &str, arguments: &[&str]) -> Result<String> {
        let own = |part: &str| self.directory.join(part).display().to_string();
        let options = [
            format!("Dir::State={}", own("")),
            format!("Dir::State::Lists={}", own("lists")),
            format!("Dir::State::Status={}", own("status")),
            format!("Dir::Cache={}", own("cache")),
            format!("Dir::Etc::SourceList={}", self.sources().display()),
            "Dir::Etc::SourceParts=-".to_owned(),
            // Our directories need not be open to apt's own user.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ];
        let mut command = Command::new(program);
        command.current_dir(directory).env("LC_ALL", "C");
        for option in options {
            command.args(["-o", &option]);
        }
        process::output(command.args(arguments))
    }
}

/// Where this system's own apt gets Debian from.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: String,
}

impl Mirrors {
    fn of_system() -> Result<Self> {
        let listed = process::output(Command::new("apt-get").args(["update", "--print-uris"]))?;
        Ok(Self::parse(&listed))
    }

    /// Picks the first of each kind; on a system that is not Debian, the usual.
    fn parse(listed: &str) -> Self {
        let bases = listed
            .lines()
            .filter_map(|line| Some(line.strip_prefix('\'')?.split_once("/dists/")?.0));
        let bases: Vec<&str> = bases.collect();
        let first = |name: &str, usual: &str| {
            let found = bases.iter().find(|base| base.ends_with(name));
            found.map_or_else(
                || format!("http://{usual}{name}"),
                |base| (*base).to_owned(),
            )
        };
        Self {
            main: first("/debian", "ftp.debian.org"),
            security: first("/debian-security", "security.debian.org"),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_mirrors_of_the_system_and_else_the_usual_ones() {
        let listed = "'https://mirror.example/debian/dists/bookworm/InRelease' a 0 \n\
                      'https://deb.example.org/node/dists/x/InRelease' b 0 \n\
                      'https://mirror.example/debian-security/dists/s/InRelease' c 0 \n";
        let mirrors = Mirrors::parse(listed);
        assert_eq!(mirrors.main, "https://mirror.example/debian");
        assert_eq!(mirrors.security, "https://mirror.example/debian-security");
        let usual = Mirrors::parse("'http://archive.example.com/ubuntu/dists/x/InRelease' a 0\n");
        assert_eq!(usual.main, "http://ftp.debian.org/debian");
        assert_eq!(usual.security, "http://security.debian.org/debian-security");
    }
}
