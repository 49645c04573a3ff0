// SPDX-License-Identifier: MIT OR Apache-2.0
//! The change that makes a tree embed a purgatory that was built elsewhere: an entry
//! in Kconfig with its path, and a rule that takes it instead of linking one.
//!
//! Everything behind `purgatory.ro` stays: the check for undefined symbols and the
//! way it gets into the kernel. Which of the two rules is in force is part of the
//! command that kbuild remembers, so that nothing has to be cleaned.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use blob::load;

use super::{
    KCONFIG, PREBUILT, PURGATORY, Statement, Tree, kconfig,
    make::{self, Kind},
    patch::{Insertion, Way, insert},
    property::{Assumption, Reason, facts, require},
    rules,
    state::{New, Now, STATE, State, sha256},
};
use crate::host::failure::Failure;

/// The symbol of the configuration.
const SYMBOL: &str = "KEXEC_PURGATORY_PREBUILT";

/// The entries that say that this architecture has a purgatory; ours stands behind.
const NEIGHBOURS: [&str; 2] = ["ARCH_SUPPORTS_KEXEC_PURGATORY", "ARCH_HAS_KEXEC_PURGATORY"];

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The change, as a patch.
    Changed(String),
    /// Nothing was to be done.
    Already,
}

/// Makes the tree build with `blob`, or only shows how.
pub(crate) fn integrate(
    tree: &Tree,
    blob: &[u8],
    assumed: &[Assumption],
    dry: bool,
) -> Result<Outcome> {
    let root = tree.root.as_path();
    if let Some(state) = State::read(root)? {
        return already(root, &state, blob);
    }
    let facts = facts(tree, assumed).map_err(Failure::Usage)?;
    require(&facts)?;
    let value = |name: &str| {
        let fact = facts.iter().find(|fact| fact.property.name == name);
        let answer = fact.and_then(|fact| fact.answer.as_ref().ok());
        answer.map_or("", |(value, _)| value)
    };
    fits(blob, value("symbols"), value("segments"))?;
    let guesses = facts.iter().filter_map(|fact| match &fact.answer {
        Ok((value, Reason::Assumed)) => Some(format!("{}={value}", fact.property.name)),
        _ => None,
    });
    let guesses: Vec<_> = guesses.collect();

    let text = |file| tree.text(file).map_err(|why| anyhow!(why));
    let (kconfig, makefile) = (text(KCONFIG)?, text(PURGATORY)?);
    let quoted = value("strings") == "quoted";
    let insertions = [
        entry(&kconfig).map_err(|why| anyhow!("{KCONFIG}{why}"))?,
        rule(&makefile, quoted, &guesses).map_err(|why| anyhow!("{PURGATORY}{why}"))?,
    ];
    copies(tree)?;
    let [in_kconfig, in_makefile] = insertions;
    let changed = |path, old: &str, insertions: Vec<Insertion>| New {
        path,
        bytes: insert(old, &insertions).into_bytes(),
        insertions,
    };
    let new = [
        New {
            path: PREBUILT,
            bytes: blob.to_owned(),
            insertions: Vec::new(),
        },
        changed(KCONFIG, &kconfig, in_kconfig),
        changed(PURGATORY, &makefile, in_makefile),
    ];
    let state = State::plan(root, guesses, &new)?;
    let patch = state.patch(root, Way::Insert)?;
    if !dry {
        state.make(root, &new)?;
    }
    Ok(Outcome::Changed(patch))
}

/// Puts the tree back as it was before [`integrate`], or only shows how.
pub(crate) fn revert(tree: &Tree, dry: bool) -> Result<Outcome> {
    let root = tree.root.as_path();
    let Some(state) = State::read(root)? else {
        let text = tree.text(KCONFIG).map_err(|why| anyhow!(why))?;
        return match kconfig::entries(&text)
            .iter()
            .find(|entry| entry.name == SYMBOL)
        {
            None => Ok(Outcome::Already),
            Some(entry) => bail!(
                "{KCONFIG}:{} defines {SYMBOL}, but there is no {STATE} that says what was \
                 there before: restore the tree from where it came",
                entry.line
            ),
        };
    };
    state.check(root)?;
    let patch = state.patch(root, Way::Remove)?;
    if !dry {
        state
            .revert(root)
            .context("not all is back yet; mend this and run it again")?;
    }
    Ok(Outcome::Changed(patch))
}

/// Judges a tree that has a state: twice is once, and nothing else is.
fn already(root: &Path, state: &State, blob: &[u8]) -> Result<Outcome> {
    for file in &state.files {
        if state.now(root, file)? != Now::New {
            bail!(
                "{} is not as `cargo xtask integrate` left it: take the rest back with --revert \
                 (it says what is in the way), then integrate again",
                root.join(&file.path).display()
            );
        }
    }
    let wanted = sha256(blob);
    let prebuilt = state.files.iter().find(|file| file.path == PREBUILT);
    match prebuilt {
        Some(file) if file.new_sha256 == wanted => Ok(Outcome::Already),
        _ => bail!(
            "{} has another blob already (this one has sha256 {wanted}): take that one out with \
             --revert first",
            root.display()
        ),
    }
}

/// Refuses a blob that this loader would refuse for its symbols.
fn fits(blob: &[u8], symbols: &str, segments: &str) -> Result<()> {
    let file = load::File::parse(blob).map_err(|why| anyhow!("the blob: {why}"))?;
    for name in symbols.split(',') {
        let found = file
            .find_symbol(name)
            .map_err(|why| anyhow!("the blob: {why}"))?;
        let found = found.with_context(|| {
            format!("this tree's loader wants the symbol {name}, which the blob does not have")
        })?;
        let rows: u64 = segments.parse().context("KEXEC_SEGMENT_MAX")?;
        // {start, length} each.
        if name == "purgatory_sha_regions" && found.size != rows * 16 {
            bail!(
                "this tree's loader writes {rows} rows to {name}, the blob has room for {}",
                found.size / 16
            );
        }
    }
    Ok(())
}

/// Makes sure that kbuild has the command that our rule uses.
fn copies(tree: &Tree) -> Result<()> {
    const LIB: &str = "scripts/Makefile.lib";
    let statements = rules::makefile(tree, LIB).map_err(|why| anyhow!(why))?;
    let defines = |statement: &Statement| matches!(&statement.kind, Kind::Assign { name, .. } if name == "cmd_copy");
    match statements.iter().any(defines) {
        true => Ok(()),
        false => bail!("{LIB} defines no cmd_copy, by which the blob would be taken"),
    }
}

/// Composes the entry for Kconfig; an error begins with its line.
fn entry(source: &str) -> Result<Vec<Insertion>, String> {
    let entries = kconfig::entries(source);
    if let Some(known) = entries.iter().find(|entry| entry.name == SYMBOL) {
        return Err(format!(
            ":{} defines {SYMBOL} already, and not by `cargo xtask integrate`: set that, or \
             restore the tree from where it came",
            known.line
        ));
    }
    let mut neighbours = entries
        .iter()
        .filter(|entry| NEIGHBOURS.contains(&entry.name));
    let neighbour = match (neighbours.next(), neighbours.next()) {
        (Some(one), None) => one,
        (Some(_), Some(second)) => {
            return Err(format!(
                ":{} says a second time that there is a purgatory",
                second.line
            ));
        }
        _ => return Err(format!(" defines neither of {}", NEIGHBOURS.join(", "))),
    };
    // A file without an end in its last line gets one.
    let ends = source[..neighbour.end].ends_with('\n');
    let text = format!(
        "{}
config {SYMBOL}
\tstring \"Prebuilt purgatory\"
\tdepends on KEXEC_FILE
\tdefault \"{PREBUILT}\"
\thelp
\t  The file that the kernel embeds as the purgatory of
\t  kexec_file_load(), instead of linking one from
\t  arch/x86/purgatory. A relative path is looked up in the folder
\t  of the build and then in that of the sources.

\t  If this is empty, the kernel links its own.
",
        if ends { "" } else { "\n" }
    );
    let at = neighbour.end;
    Ok(vec![Insertion { at, text }])
}

/// Composes the rule for the purgatory's Makefile; an error begins with its line.
fn rule(source: &str, quoted: bool, guesses: &[String]) -> Result<Vec<Insertion>, String> {
    const TARGET: &str = "$(obj)/purgatory.ro";
    let statements = make::statements(source).map_err(|why| format!(": {why}"))?;
    if let Some(at) = source.find(SYMBOL) {
        let line = source[..at].matches('\n').count() + 1;
        return Err(format!(
            ":{line} names {SYMBOL} already, and not by `cargo xtask integrate`: restore the \
             tree from where it came"
        ));
    }
    let mut rules = statements
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.makes(TARGET));
    let (index, rule) = match (rules.next(), rules.next()) {
        (Some(one), None) => one,
        (Some(_), Some((_, second))) => {
            return Err(format!(":{} is a second rule for {TARGET}", second.line));
        }
        _ => return Err(format!(" has no rule for {TARGET}")),
    };
    let unknown = |line: usize, what: &str| {
        Err(format!(
            ":{line} {what}: this is no Makefile that `cargo xtask integrate` knows"
        ))
    };
    if rule.depth > 0 {
        return unknown(rule.line, "makes purgatory.ro on some condition only");
    }
    match &rule.kind {
        Kind::Rule { targets, needs }
            if targets.len() == 1 && needs.iter().any(|need| need == "FORCE") => {}
        _ => {
            return unknown(
                rule.line,
                "is no rule for purgatory.ro alone that kbuild watches",
            );
        }
    }
    let recipe: Vec<_> = statements[index + 1..]
        .iter()
        .take_while(|statement| matches!(statement.kind, Kind::Recipe(_)))
        .collect();
    let [recipe] = &*recipe else {
        return unknown(rule.line, "does not make purgatory.ro by one command");
    };
    if recipe.kind != Kind::Recipe("$(call if_changed,ld)".to_owned()) {
        return unknown(recipe.line, "does not link purgatory.ro as kbuild links");
    }
    let remembered = |statement: &Statement| {
        statement.depth == 0
            && matches!(&statement.kind, Kind::Assign { name, adds: true, value }
                if name == "targets" && value.split(' ').any(|file| file == "purgatory.ro"))
    };
    if !statements.iter().any(remembered) {
        return unknown(
            rule.line,
            "makes purgatory.ro, which `targets` does not have",
        );
    }

    let assumed = match guesses {
        [] => String::new(),
        guesses => format!("# Assumed of this tree: {}.\n", guesses.join(", ")),
    };
    let (condition, path) = if quoted {
        let path = "$(purgatory-prebuilt)";
        let plain = format!("purgatory-prebuilt := $(CONFIG_{SYMBOL}:\"%\"=%)\nifneq ({path},)");
        (plain, path.to_owned())
    } else {
        (
            format!("ifdef CONFIG_{SYMBOL}"),
            format!("$(CONFIG_{SYMBOL})"),
        )
    };
    let begin =
        format!("{assumed}{condition}\n{TARGET}: {path} FORCE\n\t$(call if_changed,copy)\nelse\n");
    let ends = source[..recipe.bytes.end].ends_with('\n');
    let end = if ends { "endif\n" } else { "\nendif\n" };
    Ok(vec![
        Insertion {
            at: rule.bytes.start,
            text: begin,
        },
        Insertion {
            at: recipe.bytes.end,
            text: end.to_owned(),
        },
    ])
}
