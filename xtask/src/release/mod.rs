// SPDX-License-Identifier: MIT OR Apache-2.0
//! A release: a tarball, and packages for Debian.
//!
//! The same sources and the same compiler give the same bytes, whoever builds them,
//! where and when: nothing of the machine gets in, and the one time in there is given.

mod archive;
mod notices;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use base16ct::lower::encode_string;
use blob::arch::Arch;
use sha2::{Digest as _, Sha256};

use crate::freestanding;
use crate::host::failure::usage;
use crate::host::options::Setup;
use crate::host::paths::{root, target_directory};
use crate::host::toolchain::cargo;
use crate::host::{output, process};
use archive::{Item, deb, tar_gz};

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The sums of everything beside or below them.
const SUMS: &str = "SHA256SUMS";

/// Whose a package is. They have no address: Debian's dpkg asks for none.
const MAINTAINER: &str = "The purgatory authors";

/// The time of the release's files, in seconds: what was given, or the last commit's.
pub(crate) fn epoch() -> Result<u64> {
    let given = env::var("SOURCE_DATE_EPOCH").or_else(|_| {
        let mut git = Command::new("git");
        process::output(git.current_dir(root()).args(["log", "-1", "--format=%ct"]))
    });
    let given = given.ok().and_then(|text| text.trim().parse().ok());
    given.ok_or_else(|| usage("when is this release? give SOURCE_DATE_EPOCH, in seconds"))
}

/// Builds the release into `out`; returns its files.
pub(crate) fn build(setup: &Setup, out: &Path, epoch: u64) -> Result<Vec<PathBuf>> {
    let work = target_directory().join("release-blob");
    freestanding::blob(setup.arch, &setup.toolchain()?, &work)?;
    let tools = build_tools(setup.arch)?;
    let map = format!("purgatory-{}.map", setup.arch.name);
    let blob = file(&work.join("purgatory.ro"))?;

    let source = |name: &str| file(&root().join(name));
    let licence = [source("LICENSE")?, notices::of_tools()?.into_bytes()].concat();
    let manual = filled(include_str!("purgatory-tools.8"));
    let mut module = sources()?;
    module.push(Item::new("purgatory.ro", blob.clone()));
    let below = |folder: &str| {
        let items = module.iter();
        items
            .map(move |item| item.below(folder))
            .collect::<Vec<_>>()
    };

    let mut items = vec![
        Item::new("CHANGELOG.md", source("CHANGELOG.md")?),
        Item::new("LICENSE", licence.clone()),
        Item::new("Makefile", filled(include_str!("Makefile"))),
        Item::new("README.md", source("README.md")?),
        Item::new("purgatory.h", source("purgatory/include/purgatory.h")?),
        Item::new("purgatory.ro", blob),
        Item::new(&map, file(&work.join(&map))?),
        Item::new(
            &setup.arch.linked_name(),
            file(&work.join(setup.arch.linked_name()))?,
        ),
        Item::program("purgatory-tools", tools.clone()),
        Item::new("purgatory-tools.8", manual.clone()),
    ];
    items.extend(below("module"));
    let sums = sums(items.iter().map(|item| (&*item.path, &*item.bytes)));
    items.push(Item::new(SUMS, sums.into_bytes()));
    let name = format!("purgatory-{VERSION}");
    let all: Vec<_> = items.iter().map(|item| item.below(&name)).collect();

    let documents = |package: &str| {
        let folder = format!("usr/share/doc/{package}");
        [
            Item::new("copyright", licence.clone()).below(&folder),
            Item::new("README.md", module_manual(&module)).below(&folder),
        ]
    };
    let mut dkms = below(&format!("usr/src/purgatory-{VERSION}"));
    dkms.push(Item::new(
        "usr/lib/modules-load.d/purgatory.conf",
        b"purgatory\n".to_vec(),
    ));
    dkms.extend(documents("purgatory-dkms"));
    let mut programs = vec![
        Item::program("usr/sbin/purgatory-tools", tools),
        Item::new("usr/share/man/man8/purgatory-tools.8", manual),
    ];
    programs.extend(documents("purgatory-tools"));

    let debian = setup.arch.debian;
    let control = |name: &str, files: &[Item], relations: &str, what: &str| {
        let size: usize = files.iter().map(|item| item.bytes.len()).sum();
        format!(
            "Package: {name}\nVersion: {VERSION}\nArchitecture: {debian}\n\
             Maintainer: {MAINTAINER}\nInstalled-Size: {}\nSection: kernel\n\
             Priority: optional\n{relations}Description: {what}\n",
            size.div_ceil(1024)
        )
    };
    let dkms_control = control(
        "purgatory-dkms",
        &dkms,
        "Depends: dkms, kmod\nRecommends: purgatory-tools\n",
        "kexec purgatory that says what went wrong (DKMS)\n \
         While its module is loaded, kexec_file_load(2) takes this purgatory instead of\n \
         the kernel's own.",
    );
    let tools_control = control(
        "purgatory-tools",
        &programs,
        "",
        "tools for a kexec purgatory\n \
         They judge and configure a purgatory, and explain its reports.",
    );
    let scripts = [
        Item::program("postinst", filled(include_str!("postinst"))),
        Item::program("prerm", filled(include_str!("prerm"))),
    ];
    let prerm = [Item::program("prerm", filled(include_str!("tools.prerm")))];
    let mut files = vec![
        (format!("{name}.tar.gz"), tar_gz(&all, epoch)?),
        (
            format!("purgatory-dkms_{VERSION}_{debian}.deb"),
            deb(&dkms_control, &scripts, &dkms, epoch)?,
        ),
        (
            format!("purgatory-tools_{VERSION}_{debian}.deb"),
            deb(&tools_control, &prerm, &programs, epoch)?,
        ),
    ];
    let sums = self::sums(files.iter().map(|(name, bytes)| (&**name, &**bytes)));
    files.push((SUMS.to_owned(), sums.into_bytes()));
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let write = |(name, bytes): (String, Vec<u8>)| {
        let path = out.join(name);
        output::replace(&path, &bytes)?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

/// Returns when a release is from, and its purgatory.
pub(crate) fn open(folder: &Path) -> Result<(u64, Vec<u8>)> {
    let name = format!("purgatory-{VERSION}");
    let path = folder.join(format!("{name}.tar.gz"));
    let file = fs::File::open(&path).map_err(|error| {
        let what = "give the folder of a release of this very version";
        usage(format!("cannot read {}: {error}; {what}", path.display()))
    })?;
    let found = archive::find(file, &format!("{name}/purgatory.ro"));
    found.with_context(|| path.display().to_string())
}

/// Compiles the tools as one static program.
fn build_tools(arch: Arch) -> Result<Vec<u8>> {
    let target = target_directory().join("release-tools");
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| home + "/.cargo"));
    let mut command = Command::new(cargo());
    command
        .current_dir(root())
        .args(["build", "--quiet", "--locked", "--release"]);
    command.args(["--package", "xtask", "--features", "tools"]);
    command.args(["--target", arch.linux_target, "--target-dir"]);
    command
        .arg(&target)
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=.", root().display()),
        format!("--remap-path-prefix={}=cargo", home.unwrap_or_default()),
    ];
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    process::output(&mut command).context("the tools do not build")?;
    file(&target.join(arch.linux_target).join("release/xtask"))
}

/// Returns the module's sources.
fn sources() -> Result<Vec<Item>> {
    let folder = root().join("purgatory/module");
    let mut items = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        // What was built by hand stays here.
        if path.is_file() && path.extension().is_none_or(|end| end != "ro") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            items.push(Item::new(&name, file(&path)?));
        }
    }
    items.sort_by(|one, other| one.path.cmp(&other.path));
    let version = format!("PACKAGE_VERSION=\"{VERSION}\"\n");
    let conf = items.iter().find(|item| item.path == "dkms.conf");
    let conf = conf.map(|item| String::from_utf8_lossy(&item.bytes));
    ensure!(
        conf.is_some_and(|conf| conf.contains(&version)),
        "purgatory/module/dkms.conf is not of version {VERSION}"
    );
    Ok(items)
}

fn module_manual(module: &[Item]) -> Vec<u8> {
    let manual = module.iter().find(|item| item.path == "README.md");
    manual.map(|item| item.bytes.clone()).unwrap_or_default()
}

/// Fills in the version.
fn filled(text: &str) -> Vec<u8> {
    text.replace("@VERSION@", VERSION).into_bytes()
}

fn file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// Writes what `sha256sum --check` reads.
fn sums<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let line = |(name, bytes)| format!("{}  {name}\n", encode_string(&Sha256::digest(bytes)));
    files.map(line).collect()
}

/// Builds the release once more, from a copy of the sources elsewhere and with nothing
/// that the first one left; `out` gets its files.
pub(crate) fn rebuild(scratch: &Path, out: &Path, epoch: u64) -> Result<()> {
    let copy = scratch.join("a copy of the sources");
    copy_sources(&root(), &copy)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(cargo());
    command.args(["xtask", "release", "--out"]).arg(out);
    command
        .current_dir(&copy)
        .env("SOURCE_DATE_EPOCH", epoch.to_string());
    command.env("CARGO_TARGET_DIR", scratch.join("target"));
    process::output(&mut command).map(drop)
}

/// Copies all but what was built and the history.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let target = to.join(&name);
        match kind {
            kind if kind.is_dir() && name != "target" && name != ".git" => {
                copy_sources(&entry.path(), &target)?;
            }
            kind if kind.is_file() => drop(fs::copy(entry.path(), target)?),
            kind if kind.is_dir() => {}
            _ => bail!("{} is neither file nor folder", entry.path().display()),
        }
    }
    Ok(())
}
