// SPDX-License-Identifier: MIT OR Apache-2.0
//! The licences of what the tools are linked with, which ask to be handed on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::host::paths::root;
use crate::host::process;
use crate::host::toolchain::cargo;

/// Returns the texts, a package after the other.
pub(super) fn of_tools() -> Result<String> {
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(cargo());
        process::output(command.current_dir(root()).args(arguments))
    };
    let edges = ["--edges", "normal,no-proc-macro", "--prefix", "none"];
    let linked = ask(&[&["tree", "--locked", "--package", "xtask"], &edges[..]].concat())?;
    // A line is `name v1.2.3`, and then perhaps more.
    let linked: BTreeSet<(&str, &str)> = linked
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata = ask(&["metadata", "--locked", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let mut text = String::new();
    for package in packages {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let (name, version) = (field("name"), field("version"));
        // Those without a source are this project's own.
        if package["source"].is_null() || !linked.contains(&(name, version)) {
            continue;
        }
        let rule = "-".repeat(79);
        text += &format!("\n{rule}\n\n{name} {version}: {}\n", field("license"));
        let folder = Path::new(field("manifest_path"))
            .parent()
            .context("no folder")?;
        for path in texts(folder)? {
            text += &format!("\n{}", String::from_utf8_lossy(&fs::read(path)?));
        }
    }
    ensure!(!text.is_empty(), "cargo tree names no package");
    Ok(text)
}

/// Finds the licence of a package: the short one where it has two.
fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        if path.is_file() && (name.starts_with("LICEN") || name.starts_with("COPYING")) {
            found.push((!name.contains("MIT"), path));
        }
    }
    found.sort();
    if found.first().is_some_and(|(other, _)| !other) {
        found.retain(|(other, _)| !other);
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
