//! The house: imports between its rooms run one way, and architectures are told apart
//! in few of them.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `xtask/src`, the ground floor first; a room takes from those below it.
const FLOORS: [&[&str]; 7] = [
    &["host"],
    &["machine", "freestanding"],
    &["vm"],
    &["boot"],
    &["kernels"],
    &["native"],
    &["command"],
];

/// Returns every Rust file below a folder of the workspace, and its text.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 10, "{folder}");
    found
}

#[test]
fn imports_run_one_way() {
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    for (path, text) in files("xtask/src") {
        let mut rooms = path
            .components()
            .rev()
            .map(|part| part.as_os_str().to_str().unwrap());
        let own = rooms.find(|room| floor(room).is_some());
        // main.rs takes from all.
        let Some(own) = own.filter(|_| !path.ends_with("src/main.rs")) else {
            continue;
        };
        for taken in text.split("crate::").skip(1) {
            let taken = taken
                .split(|letter: char| !letter.is_alphanumeric())
                .next()
                .unwrap();
            let is_below = floor(taken) < floor(own) || taken == own;
            // Fixtures are for tests.
            assert!(
                is_below || taken == "fixture",
                "{}: {taken}",
                path.display()
            );
        }
    }
}

#[test]
fn the_library_starts_nothing_and_opens_nothing() {
    for (path, text) in files("xtask/blob/src") {
        let is_test = ["tests", "tests.rs", "fixture.rs"].map(Path::new);
        if path
            .components()
            .any(|part| is_test.contains(&Path::new(part.as_os_str())))
        {
            continue;
        }
        for taken in ["std::process", "std::fs", "std::net", "std::env", "clap"] {
            assert!(!text.contains(taken), "{}: {taken}", path.display());
        }
    }
}

#[test]
fn architectures_are_told_apart_in_their_rooms() {
    // In two pieces, so that this file has neither.
    let signs = [concat!("target_", "arch"), concat!("Arch::X86", "_64")];
    for folder in ["xtask", "tests"] {
        for (path, text) in files(folder) {
            let is_room = ["arch", "machine"].map(Path::new);
            if path
                .components()
                .any(|part| is_room.contains(&Path::new(part.as_os_str())))
            {
                continue;
            }
            for sign in signs {
                assert!(!text.contains(sign), "{}: {sign}", path.display());
            }
        }
    }
}
