// SPDX-License-Identifier: MIT OR Apache-2.0
//! `purgatory-tools setup`: makes kdump-tools load by `kexec_file_load(2)`.
//!
//! Debian 12's takes `kexec_load(2)`, which brings a purgatory of kexec-tools'. Its
//! defaults are a shell script: what is there stays, and two lines follow it.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Result;

use crate::host::failure::usage;
use crate::host::output;

/// What is put at the end, to the letter.
const LINES: &str = "\n# By purgatory-tools setup; setup --revert takes both lines out.\n\
                     KDUMP_KEXEC_ARGS=\"$KDUMP_KEXEC_ARGS -s\"\n";

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
    let new = match (options.revert, text.contains(LINES)) {
        (true, true) => text.replace(LINES, ""),
        (false, false) => text + LINES,
        _ => {
            println!("{name} is so already");
            return Ok(());
        }
    };
    output::replace(&options.file, new.as_bytes())?;
    println!("{name} is changed; `kdump-config reload` loads the crash kernel so");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverts_to_the_letter() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("kdump-tools");
        for text in ["", "USE_KDUMP=1\n", "KDUMP_KEXEC_ARGS=\"-d\""] {
            fs::write(&file, text)?;
            for (revert, expected) in [
                (true, text.to_owned()),
                (false, text.to_owned() + LINES),
                (false, text.to_owned() + LINES),
                (true, text.to_owned()),
            ] {
                let file = file.clone();
                run(&Options {
                    revert,
                    file: file.clone(),
                })?;
                assert_eq!(fs::read_to_string(&file)?, expected);
            }
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
