// SPDX-License-Identifier: MIT OR Apache-2.0
//! The house: imports between its rooms run one way, the library opens nothing and does
//! not know who asks, and architectures are told apart in few places.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `xtask/src`, the ground floor first; each takes from those below it.
const FLOORS: [&[&str]; 7] = [
    &["host"],
    &["machine", "freestanding", "tree"],
    &["vm", "release"],
    &["boot"],
    &["kernels"],
    &["native"],
    &["command"],
];

/// Returns every Rust file below a folder of the workspace, but for those below one of
/// `others`, and its text.
fn files(folder: &str, others: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(folder),
    ];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path
                .iter()
                .any(|part| others.iter().any(|other| part == *other))
        {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    assert!(found.len() > 10, "{folder}");
    found
}

#[test]
fn imports_run_one_way() {
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    for (path, text) in files("xtask/src", &["main.rs"]) {
        let mut rooms = path.iter().filter_map(|part| part.to_str());
        let own = rooms.rfind(|room| floor(room).is_some()).unwrap();
        for taken in text.split("crate::").skip(1) {
            let mut words = taken.split(|letter: char| !letter.is_alphanumeric());
            let taken = words.next().unwrap();
            // Fixtures are for tests.
            let is_below = floor(taken) < floor(own) || [own, "feed", "fixture"].contains(&taken);
            assert!(is_below, "{} takes from {taken}", path.display());
        }
    }
}

#[test]
fn nothing_is_where_it_does_not_belong() {
    let rows: [(&str, &[&str], &[&str]); 3] = [
        (
            "xtask/blob/src",
            &[
                "tests",
                "tests.rs",
                "feed.rs",
                "fixture.rs",
                "fuzz.rs",
                "model.rs",
            ],
            &[
                "std::process",
                "std::fs",
                "std::net",
                "std::env",
                "clap",
                "cargo xtask",
            ],
        ),
        // In two pieces, so that this file has none of them.
        (
            "xtask",
            &["arch", "machine"],
            &[concat!("target_", "arch"), concat!("Arch::X86", "_64")],
        ),
        ("tests", &["arch"], &[concat!("target_", "arch")]),
    ];
    for (folder, others, signs) in rows {
        for (path, text) in files(folder, others) {
            for sign in signs {
                assert!(!text.contains(sign), "{}: {sign}", path.display());
            }
        }
    }
}
