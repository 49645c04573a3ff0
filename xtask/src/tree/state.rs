// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was changed in a tree, in a file beside it, and how it is changed, all of it
//! or nothing, and put back.
//!
//! Everything is written under other names first, so that a lack of space or of
//! permission shows before the first file is replaced. The state is the first of
//! them: whatever interrupts the rest, it knows how to go back. A file that somebody
//! changed since is never touched.

use std::{
    fs::{self, File, FileTimes, Permissions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::{Builder, NamedTempFile};

use super::{
    KCONFIG, PREBUILT, PURGATORY,
    patch::{Insertion, Way, diff, remove},
};

/// Where the state is. kbuild neither reads nor cleans files with such names.
pub(super) const STATE: &str = "arch/x86/purgatory/.prebuilt.json";

/// What this program writes and reads.
const FORMAT: u32 = 1;

/// The change of a tree.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    /// What the user said about the tree where its sources do not.
    pub(super) assumed: Vec<String>,
    pub(super) files: Vec<Changed>,
}

/// One file of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changed {
    pub(super) path: String,
    /// `None` where there was no such file.
    old: Option<Old>,
    pub(super) new_sha256: String,
    insertions: Vec<Insertion>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Old {
    sha256: String,
    modified: SystemTime,
}

/// A file as it is to be.
pub(super) struct New {
    pub(super) path: &'static str,
    pub(super) bytes: Vec<u8>,
    /// Into what is there; none for a file that is not.
    pub(super) insertions: Vec<Insertion>,
}

/// How a file of the change looks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Now {
    Old,
    New,
    Other,
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl State {
    /// Reads what an earlier run left in a tree.
    pub(super) fn read(root: &Path) -> Result<Option<Self>> {
        let path = root.join(STATE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
        };
        let state = serde_json::from_slice::<Self>(&text).map_err(|error| error.to_string());
        // It comes with the tree, and names what would be written or removed.
        let known = |file: &Changed| [KCONFIG, PURGATORY, PREBUILT].contains(&&*file.path);
        let state = state.and_then(|state| match state.files.iter().find(|file| !known(file)) {
            Some(file) => Err(format!("{} is no file of ours", file.path)),
            None => Ok(state),
        });
        match state {
            Ok(state) if state.format == FORMAT => Ok(Some(state)),
            Ok(state) => bail!(
                "{} has format {}, this program knows {FORMAT}: use the version that wrote it",
                path.display(),
                state.format
            ),
            Err(error) => bail!(
                "{} does not say what was changed ({error}): restore the tree from where it \
                 came, then remove that file",
                path.display()
            ),
        }
    }

    /// Looks at what is there now, and writes nothing.
    pub(super) fn plan(root: &Path, assumed: Vec<String>, new: &[New]) -> Result<Self> {
        let mut files = Vec::new();
        for file in new {
            let path = root.join(file.path);
            let old = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
                Ok(old) => {
                    ensure!(
                        old.is_file(),
                        "{} is no file of its own (a link, a folder?): what is behind it would \
                         be changed with it",
                        path.display()
                    );
                    ensure!(
                        !file.insertions.is_empty(),
                        "{} is there already, and not by `cargo xtask integrate`: move it away",
                        path.display()
                    );
                    Some(Old {
                        sha256: sha256(&fs::read(&path)?),
                        modified: old.modified()?,
                    })
                }
            };
            files.push(Changed {
                path: file.path.to_owned(),
                old,
                new_sha256: sha256(&file.bytes),
                insertions: file.insertions.clone(),
            });
        }
        Ok(Self {
            format: FORMAT,
            assumed,
            files,
        })
    }

    /// Makes the change, or leaves the tree as it was.
    pub(super) fn make(&self, root: &Path, new: &[New]) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let state = (Path::new(STATE), &*text, None);
        let files = new
            .iter()
            .map(|file| (Path::new(file.path), &*file.bytes, None));
        let Err(error) = write_all(root, std::iter::once(state).chain(files)) else {
            return Ok(());
        };
        match self.revert(root) {
            Ok(()) => Err(error.context("the tree stays as it was")),
            Err(worse) => Err(error.context(format!(
                "the tree is half changed ({worse:#}): run `cargo xtask integrate --revert`"
            ))),
        }
    }

    /// Refuses to go back where a file was changed since.
    pub(super) fn check(&self, root: &Path) -> Result<()> {
        for file in &self.files {
            ensure!(
                self.now(root, file)? != Now::Other,
                "{} was changed since, and nothing is reverted: put back what \
                 `cargo xtask integrate` left there (sha256 {}), or what was there before",
                root.join(&file.path).display(),
                file.new_sha256
            );
        }
        Ok(())
    }

    /// Takes the change back; what was interrupted is finished by another run.
    pub(super) fn revert(&self, root: &Path) -> Result<()> {
        self.check(root)?;
        let (mut written, mut touched, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for file in &self.files {
            let path = root.join(&file.path);
            match (self.now(root, file)?, &file.old) {
                (Now::New, Some(old)) => written.push((file, old, file.original(root)?)),
                (Now::Old, Some(old)) => touched.push((path, old)),
                (Now::New, None) => removed.push(path),
                (Now::Old | Now::Other, _) => {}
            }
        }
        let _folders = Folders::keep(root, self.files.iter().map(|file| Path::new(&file.path)))?;
        let files = written
            .iter()
            .map(|(file, old, text)| (Path::new(&file.path), text.as_bytes(), Some(old.modified)));
        write_all(root, files)?;
        for (path, old) in touched {
            let file = File::open(&path)?;
            if file.metadata()?.modified()? != old.modified {
                file.set_modified(old.modified)
                    .with_context(|| format!("cannot set the time of {}", path.display()))?;
            }
        }
        // The state goes last: without it there is no way back.
        removed.extend(Some(root.join(STATE)).filter(|state| state.exists()));
        for path in removed {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Compares a file with both of its states.
    pub(super) fn now(&self, root: &Path, file: &Changed) -> Result<Now> {
        let path = root.join(&file.path);
        let digest = match fs::read(&path) {
            Ok(bytes) => Some(sha256(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
        };
        let old = file.old.as_ref().map(|old| &old.sha256);
        Ok(match digest {
            Some(digest) if digest == file.new_sha256 => Now::New,
            digest if digest.as_ref() == old => Now::Old,
            _ => Now::Other,
        })
    }

    /// Shows the change, one way or the other; a file without text is only counted.
    pub(super) fn patch(&self, root: &Path, way: Way) -> Result<String> {
        let mut text = String::new();
        for file in self.files.iter().filter(|file| file.old.is_some()) {
            text += &diff(&file.path, &file.original(root)?, &file.insertions, way);
        }
        Ok(text)
    }
}

impl Changed {
    /// Returns the text as it was before, whichever is there.
    fn original(&self, root: &Path) -> Result<String> {
        let path = root.join(&self.path);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let is_old = |text: &String| {
            let old = self.old.as_ref();
            old.is_some_and(|old| old.sha256 == sha256(text.as_bytes()))
        };
        if is_old(&text) {
            return Ok(text);
        }
        let original = remove(&text, &self.insertions).filter(is_old);
        original.with_context(|| {
            format!(
                "{STATE} does not say how {} was: restore it from where it came",
                self.path
            )
        })
    }
}

/// A file to be written: its path in the tree, its bytes, and its time where that is
/// not now.
type Write<'a> = (&'a Path, &'a [u8], Option<SystemTime>);

/// Writes files under other names, then moves all of them to their places.
fn write_all<'a>(root: &Path, files: impl Iterator<Item = Write<'a>>) -> Result<()> {
    let files: Vec<Write<'a>> = files.collect();
    let _folders = Folders::keep(root, files.iter().map(|(path, ..)| *path))?;
    let mut staged = Vec::new();
    for (path, bytes, modified) in files {
        let path = root.join(path);
        let file = stage(&path, bytes, modified)
            .with_context(|| format!("cannot write {}", path.display()))?;
        staged.push((file, path));
    }
    for (file, path) in staged {
        file.persist(&path)
            // Its other half is the file, which is to go before the folders look the same.
            .map_err(|failed| failed.error)
            .with_context(|| format!("cannot replace {}", path.display()))?;
    }
    Ok(())
}

/// Writes a file beside `path` that is like it in all but the contents.
fn stage(path: &Path, bytes: &[u8], modified: Option<SystemTime>) -> Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(path);
    let old = fs::metadata(path).ok();
    let mode = old.as_ref().map_or(0o666, |old| old.permissions().mode());
    let mut file = Builder::new()
        .prefix(".purgatory-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(old) = old {
        // Whoever may not give it away owns it from now on, as with any editor.
        let _ = chown(file.path(), Some(old.uid()), Some(old.gid()));
        // What the umask took of it.
        file.as_file().set_permissions(old.permissions())?;
    }
    if let Some(modified) = modified {
        file.as_file()
            .set_times(FileTimes::new().set_modified(modified))?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

/// Folders that look as if nothing was written in them, once this is dropped.
struct Folders(Vec<(PathBuf, SystemTime)>);

impl Folders {
    fn keep<'a>(root: &Path, files: impl Iterator<Item = &'a Path>) -> Result<Self> {
        let mut folders: Vec<(PathBuf, SystemTime)> = Vec::new();
        for file in files {
            let folder = root.join(file.parent().unwrap_or(file));
            if folders.iter().all(|(known, _)| *known != folder) {
                let modified = fs::metadata(&folder)
                    .and_then(|folder| folder.modified())
                    .with_context(|| format!("cannot read {}", folder.display()))?;
                folders.push((folder, modified));
            }
        }
        Ok(Self(folders))
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for (folder, modified) in &self.0 {
            // Nothing is built from a folder's time; the files' are what counts.
            let _ = File::open(folder).and_then(|folder| folder.set_modified(*modified));
        }
    }
}
