// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes what users get: lines on the terminal, files on the disk.
//!
//! The standard library's macros panic where nobody reads any more (`| head -1`)
//! or the disk is full; these, of the same names, do not. A reader who left is
//! nobody's failure; any other line that is lost ends the command with an error.
//! Files are replaced at once: a reader sees the old one or the new one. Folders of
//! intermediate files have one user at a time.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::{fmt, fs, io};

use anyhow::{Context as _, Result};
use blob::manifest::{self, Manifest};
use tempfile::Builder;

/// Why the first line of those that were lost did not get out.
static LOST: OnceLock<io::Error> = OnceLock::new();

macro_rules! print {
    ($($text:tt)*) => { $crate::host::output::out(format_args!($($text)*)) };
}

macro_rules! println {
    ($($text:tt)*) => { $crate::host::output::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::host::output::error(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) fn out(text: fmt::Arguments<'_>) {
    // Its own macro is all that the test harness captures.
    #[cfg(test)]
    std::print!("{text}");
    #[cfg(not(test))]
    keep(io::stdout().write_fmt(text));
}

pub(crate) fn error(text: fmt::Arguments<'_>) {
    // The exit code says the same, and there is nowhere else to say it.
    let _ = io::stderr().write_fmt(text);
}

/// Fails if a line was lost.
pub(crate) fn finish() -> Result<()> {
    keep(io::stdout().flush());
    match LOST.get() {
        Some(error) => anyhow::bail!("cannot write to standard output: {error}"),
        None => Ok(()),
    }
}

fn keep(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// Writes a file whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        // Behind a link: the link stays.
        let behind = fs::canonicalize(path);
        let path = behind.as_deref().unwrap_or(path);
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut builder = Builder::new();
        let old = fs::metadata(path).map(|old| old.permissions());
        // What the umask leaves of it, as for any new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
        let mut file = builder.prefix(".purgatory-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        if let Ok(old) = old {
            file.as_file().set_permissions(old)?;
        }
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}, which stays as it is", path.display()))
}

/// Leaves the list of what was loaded in the folder of a run.
pub(crate) fn manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let path = folder.join(manifest::FILE_NAME);
    fs::write(&path, serde_json::to_string_pretty(manifest)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Waits until no other xtask uses a folder; the file keeps it until it is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let lock = || -> io::Result<File> {
        let file = File::create(folder.join("lock"))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            eprintln!("waiting for another run in {}", folder.display());
            file.lock()?;
        }
        Ok(file)
    };
    lock().with_context(|| format!("cannot lock {}", folder.display()))
}

/// How many last lines of a log a failure shows.
const LAST_LINES: usize = 20;

/// Returns the end of a log.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LAST_LINES);
    lines[first..]
        .iter()
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn replaces_whole_files() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link, taken] = ["file", "link", "taken"].map(|name| folder.path().join(name));
        symlink(&file, &link).unwrap();
        replace(&file, b"old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        fs::create_dir(&taken).unwrap();
        let error = replace(&taken, b"").unwrap_err().to_string();
        assert!(error.contains("taken, which stays as it is"), "{error}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    }

    #[test]
    fn shows_the_last_lines_only() {
        let text: String = (0..50).map(|number| format!("{number}\n")).collect();
        let last = last_lines(&text);
        assert_eq!(last.lines().count(), LAST_LINES);
        assert!(last.starts_with("30\n") && last.ends_with("49\n"));
    }
}
