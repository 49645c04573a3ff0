// SPDX-License-Identifier: MIT OR Apache-2.0
//! `purgatory-tools setup`: makes kdump-tools load by `kexec_file_load(2)`.
//!
//! Debian 12's takes `kexec_load(2)`, which brings a purgatory of kexec-tools'. Its
//! defaults are read by a shell and by systemd, which expands nothing: what is there
//! stays, and two lines follow it that repeat the arguments and add one.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::host::failure::usage;
use crate::host::output;

/// How the two lines begin.
const NOTE: &str = "\n# By purgatory-tools setup; setup --revert takes both lines out.\n";
const NAME: &str = "KDUMP_KEXEC_ARGS=";

/// Options of `purgatory-tools setup`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Take out again what it put in
    #[arg(long)]
    revert: bool,
    /// The defaults of kdump-tools
    #[arg(long, value_name = "FILE", default_value = "/etc/default/kdump-tools")]
    file: PathBuf,
}

/// Runs `purgatory-tools setup`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let name = options.file.display();
    let text = match fs::read_to_string(&options.file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && options.revert => String::new(),
        Err(error) => {
            let what = match error.kind() {
                ErrorKind::NotFound => "; is kdump-tools installed? Other loaders need no setup",
                _ => "",
            };
            return Err(usage(format!("cannot read {name}: {error}{what}")));
        }
    };
    let new = match options.revert {
        true => reverted(&text),
        false => changed(&text).with_context(|| name.to_string())?,
    };
    let Some(new) = new else {
        println!("{name} is so already");
        return Ok(());
    };
    output::replace(&options.file, new.as_bytes())?;
    println!("{name} is changed; `kdump-config reload` loads the crash kernel so");
    Ok(())
}

/// Adds the two lines, unless the argument is there.
fn changed(text: &str) -> Result<Option<String>> {
    let last = text.lines().rev().find_map(|line| line.strip_prefix(NAME));
    let given = unquoted(last.unwrap_or_default()).context(
        "KDUMP_KEXEC_ARGS is set there by more than a plain text in quotes: add -s by hand",
    )?;
    let mut words: Vec<_> = given.split_whitespace().collect();
    if words.contains(&"-s") || words.contains(&"--kexec-file-syscall") {
        return Ok(None);
    }
    words.push("-s");
    Ok(Some(format!("{text}{NOTE}{NAME}\"{}\"\n", words.join(" "))))
}

/// Takes the two lines out.
fn reverted(text: &str) -> Option<String> {
    let (before, rest) = text.split_once(NOTE)?;
    let after = match rest.split_once('\n') {
        Some((line, after)) if line.starts_with(NAME) => after,
        _ => rest,
    };
    Some(before.to_owned() + after)
}

/// Returns a value that a shell and systemd read alike.
fn unquoted(value: &str) -> Option<&str> {
    let value = value.trim_end();
    let quoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    let special = |letter| matches!(letter, '"' | '\'' | '$' | '`' | '\\');
    match quoted('"').or_else(|| quoted('\'')) {
        Some(inner) => Some(inner).filter(|inner| !inner.contains(special)),
        None => Some(value).filter(|value| {
            let ends = |letter: char| letter.is_whitespace() || "#;&|<>()".contains(letter);
            !value.contains(special) && !value.contains(ends)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverts_to_the_letter() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("kdump-tools");
        for (text, args) in [
            ("", "-s"),
            ("USE_KDUMP=1\n", "-s"),
            ("#KDUMP_KEXEC_ARGS=\"-d\"\n", "-s"),
            ("KDUMP_KEXEC_ARGS=\"-d\"", "-d -s"),
            (
                "KDUMP_KEXEC_ARGS=-i\nKDUMP_KEXEC_ARGS=' -d  -t x'\nUSE_KDUMP=1\n",
                "-d -t x -s",
            ),
        ] {
            fs::write(&file, text)?;
            let lines = format!("{text}{NOTE}KDUMP_KEXEC_ARGS=\"{args}\"\n");
            for (revert, expected) in [(true, text), (false, &lines), (false, &lines), (true, text)]
            {
                let file = file.clone();
                run(&Options {
                    revert,
                    file: file.clone(),
                })?;
                assert_eq!(fs::read_to_string(&file)?, expected);
            }
            // What came behind it stays.
            fs::write(&file, format!("{lines}USE_KDUMP=0\n"))?;
            run(&Options {
                revert: true,
                file: file.clone(),
            })?;
            assert_eq!(fs::read_to_string(&file)?, format!("{text}USE_KDUMP=0\n"));
        }
        let file = folder.path().join("none");
        run(&Options {
            revert: true,
            file: file.clone(),
        })?;
        let error = run(&Options {
            revert: false,
            file,
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains("is kdump-tools installed?"), "{error}");
        Ok(())
    }

    #[test]
    fn leaves_alone_what_it_cannot_read_or_has_the_argument() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        for (value, is_fine) in [
            ("\"-s\"", true),
            ("-s", true),
            ("\"--kexec-file-syscall -d\"", true),
            ("\"$MORE\"", false),
            ("\"-d\" # for now", false),
            ("$(cat /etc/kexec)", false),
            ("-d; USE_KDUMP=1", false),
            ("\"-d", false),
        ] {
            let text = format!("KDUMP_KEXEC_ARGS={value}\n");
            fs::write(&file, &text)?;
            let result = run(&Options {
                revert: false,
                file: file.path().to_owned(),
            });
            assert_eq!(result.is_ok(), is_fine, "{value}: {result:?}");
            assert_eq!(fs::read_to_string(&file)?, text);
        }
        Ok(())
    }

    #[test]
    fn says_why_it_cannot_write() {
        // Where not even root writes.
        let file = PathBuf::from("/proc/version");
        let error = run(&Options {
            revert: false,
            file,
        });
        let error = format!("{:#}", error.unwrap_err());
        let says = "cannot write /proc/version, which stays as it is: ";
        assert!(error.starts_with(says), "{error}");
    }
}
