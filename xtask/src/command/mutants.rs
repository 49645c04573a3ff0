// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask mutants`: changes the code a place at a time, and lists the changes that no
//! test of the host notices. `tests/mutants.txt` explains those that are known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::host::failure::Failure;
use crate::host::needs::C_COMPILER;
use crate::host::options::Setup;
use crate::host::paths::{root, target_directory};
use crate::host::process;
use crate::host::toolchain::{cargo, search_path};

/// Options of `cargo xtask mutants`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Change this package; what goes unnoticed in blob is not listed yet
    #[arg(long, value_name = "NAME", default_value = "purgatory", value_parser = PACKAGES.map(|(name, _)| name))]
    package: String,
    /// Change only files whose paths match
    #[arg(long, value_name = "REGEX")]
    file: Option<String>,
    /// Make only every Nth change, from the Kth on
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
}

/// What is changed, and the tests that are to notice. `.cargo/mutants.toml` has the files.
const PACKAGES: [(&str, &[&str]); 2] = [
    // A million messages take long and notice nothing that these do not.
    (
        "purgatory",
        &[
            "--lib",
            "--test",
            "verify",
            "--test",
            "vectors",
            "--test",
            "abi",
            "--",
            "--skip",
            "monte_carlo",
        ],
    ),
    ("blob", &["--lib"]),
];

/// What makes the changes.
const PROGRAM: &str = "cargo-mutants";
const VERSION: &str = "27.1.0";
/// It ends so when all were noticed, some were not, and some did not end.
const JUDGED: [i32; 3] = [0, 2, 3];

/// The changes that are known to go unnoticed.
const KNOWN: &str = "tests/mutants.txt";

/// Runs `cargo xtask mutants`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    setup.require([&C_COMPILER])?;
    let program = program(setup)?;
    let text = fs::read_to_string(root().join(KNOWN)).with_context(|| KNOWN)?;
    let known = known(&text)?;
    let mut is_clean = true;
    let asked = |(name, _): &(&str, &[&str])| options.package == *name;
    for (name, tests) in PACKAGES.into_iter().filter(asked) {
        let out = target_directory().join("mutants").join(name);
        fs::create_dir_all(&out)?;
        let mut command = Command::new(&program);
        command.args(["mutants", "--package", name, "--output"]);
        command.arg(&out).current_dir(root()).env("CARGO", cargo());
        if let Some(file) = &options.file {
            // Matched against a line that begins with a path; `--file` would only add.
            command.args(["--re", &format!("^[^:]*(?:{file})[^:]*:")]);
        }
        if let Some(shard) = &options.shard {
            command.args(["--shard", shard]);
        }
        // Random inputs find little in a second, and there are hundreds of runs.
        command.env("FUZZ_SECONDS", "0").env("PROPTEST_CASES", "32");
        let status = command.arg("--").args(tests).status()?;
        ensure!(
            status.code().is_some_and(|code| JUDGED.contains(&code)),
            "{PROGRAM} made no changes of {name}: {status}"
        );
        let outcomes = fs::read(out.join("mutants.out/outcomes.json"))?;
        let made = Made::of(&serde_json::from_slice(&outcomes)?)?;
        let findings = made.against(&known, options.shard.is_some());
        for finding in &findings {
            println!("FAIL {finding}");
        }
        println!(
            "{name}: {} changes, of which {} go unnoticed",
            made.count,
            made.survived.values().sum::<usize>()
        );
        is_clean &= findings.is_empty();
    }
    match is_clean {
        true => Ok(()),
        false => Err(Failure::Reported.into()),
    }
}

/// Finds the program, or installs it into the target folder.
fn program(setup: &Setup) -> Result<PathBuf> {
    let folder = target_directory().join("provision");
    let own = folder.join("bin").join(PROGRAM);
    if own.is_file() {
        return Ok(own);
    }
    if let Some(found) = search_path(PROGRAM).next() {
        return Ok(found);
    }
    let install = ["install", PROGRAM, "--version", VERSION, "--locked"];
    if !setup.provision {
        let line = install.join(" ");
        bail!("no {PROGRAM} on PATH: add `--provision`, or run `cargo {line}`");
    }
    let mut command = Command::new(cargo());
    process::output(command.args(install).arg("--root").arg(folder))?;
    Ok(own)
}

/// Changes, by file and what was changed, without their lines: those move.
type Changes = BTreeMap<String, usize>;

/// Reads the list: lines with `#` explain the changes that follow them.
fn known(text: &str) -> Result<Changes> {
    let mut known = Changes::new();
    let mut why = None;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix('#') {
            Some(reason) => why = Some(reason),
            None if line.is_empty() => why = None,
            None => {
                ensure!(why.is_some(), "{KNOWN} does not explain: {line}");
                *known.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(known)
}

/// What came of the changes that were made.
#[derive(Debug, Default)]
struct Made {
    count: usize,
    survived: Changes,
    files: BTreeSet<String>,
}

impl Made {
    fn of(outcomes: &Value) -> Result<Self> {
        let mut made = Self::default();
        for outcome in outcomes["outcomes"].as_array().context("no outcomes")? {
            let mutant = &outcome["scenario"]["Mutant"];
            // The first run is of the code as it is.
            let Some(name) = mutant["name"].as_str() else {
                continue;
            };
            let (place, what) = name.split_once(": ").context("a change without a place")?;
            let file = place.split(':').next().unwrap_or(place);
            made.count += 1;
            made.files.insert(file.to_owned());
            if outcome["summary"] == "MissedMutant" {
                *made.survived.entry(format!("{file}: {what}")).or_default() += 1;
            }
        }
        Ok(made)
    }

    /// Compares with what is known; a part of the changes cannot tell what is noticed now.
    fn against(&self, known: &Changes, is_part: bool) -> Vec<String> {
        let count = |changes: &Changes, change: &str| changes.get(change).copied().unwrap_or(0);
        let mut findings = Vec::new();
        for (change, made) in &self.survived {
            for _ in count(known, change)..*made {
                findings.push(format!("no test notices: {change}"));
            }
        }
        for (change, listed) in known {
            let file = change.split(": ").next().unwrap_or_default();
            if !is_part && self.files.contains(file) {
                for _ in count(&self.survived, change)..*listed {
                    findings.push(format!("noticed, or gone: take out of {KNOWN}: {change}"));
                }
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(outcomes: &[(&str, &str)]) -> Made {
        let outcome = |(name, summary): &(&str, &str)| json!({"scenario": {"Mutant": {"name": name}}, "summary": summary});
        let mut all = vec![json!({"scenario": "Baseline", "summary": "Success"})];
        all.extend(outcomes.iter().map(outcome));
        Made::of(&json!({"outcomes": all})).unwrap()
    }

    #[test]
    fn the_number_of_survivors_may_only_fall() {
        let made = made(&[
            ("a.rs:1:2: replace x with y in f", "MissedMutant"),
            ("a.rs:9:2: replace x with y in f", "MissedMutant"),
            ("a.rs:3:4: replace f with ()", "CaughtMutant"),
            ("a.rs:5:4: replace < with <= in g", "Timeout"),
        ]);
        assert_eq!((made.count, made.files.len()), (4, 1));
        let of = |text: &str, is_part| made.against(&known(text).unwrap(), is_part);
        let twice = "# same\na.rs: replace x with y in f\na.rs: replace x with y in f\n";
        assert!(of(twice, false).is_empty());
        let once = of("# same\na.rs: replace x with y in f\n", false);
        assert_eq!(once, ["no test notices: a.rs: replace x with y in f"]);
        let more = format!("{twice}a.rs: replace f with ()\nb.rs: replace f with ()\n");
        let gone = of(&more, false);
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert!(gone[0].ends_with("a.rs: replace f with ()"), "{gone:?}");
        assert!(of(&more, true).is_empty());
    }

    #[test]
    fn every_survivor_has_an_explanation() {
        assert!(known("# why\na.rs: replace f with ()\n").is_ok());
        assert!(known("a.rs: replace f with ()\n").is_err());
        assert!(known("# why\n\na.rs: replace f with ()\n").is_err());
        known(include_str!("../../../tests/mutants.txt")).unwrap();
    }
}
