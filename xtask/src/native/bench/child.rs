// SPDX-License-Identifier: MIT OR Apache-2.0
//! One contender in a process of its own: for valgrind to count, and for a stock
//! purgatory that spins to be ended.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use purgatory::abi::Backend;

use super::contender::{Hasher, Message, Pieces};
use super::openssl::{self, OpenSsl};
use crate::host::process::wait_until;
use crate::native::arch::runs_here;
use crate::native::userspace::{Ours, Stock};

/// The hidden subcommand.
pub(super) const NAME: &str = "bench-child";

/// Who hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Portable,
    Sse2,
    ShaNi,
    Stock,
    OpenSsl,
    Sha2,
}

/// Options of the hidden subcommand.
#[derive(clap::Args)]
pub(crate) struct Options {
    kind: Kind,
    #[arg(long)]
    blob: Option<PathBuf>,
    #[arg(long)]
    size: usize,
    #[arg(long)]
    calls: u32,
    /// Expect another digest
    #[arg(long)]
    wrong: bool,
}

/// Hashes as told.
pub(crate) fn run(options: &Options) -> Result<()> {
    let blob = options.blob.as_ref().map(fs::read).transpose()?;
    let blob = blob.as_deref().unwrap_or_default();
    let mut library = None;
    let mut hasher = match options.kind {
        Kind::Portable => Hasher::Ours(Ours::load(blob)?, Backend::Portable),
        Kind::Sse2 => Hasher::Ours(Ours::load(blob)?, Backend::Sse2),
        Kind::ShaNi => Hasher::Ours(Ours::load(blob)?, Backend::ShaNi),
        Kind::Stock => Hasher::Stock(Stock::load(blob)?),
        Kind::OpenSsl => Hasher::OpenSsl(library.insert(OpenSsl::load(openssl::NAME.as_ref())?)),
        Kind::Sha2 => Hasher::Sha2,
    };
    if let Hasher::Ours(_, backend) = hasher {
        let name = backend.name();
        ensure!(runs_here(backend), "the CPU lacks {name}");
    }
    let memory = vec![0x5a; Pieces::room(options.size)];
    let mut message = Message::new(Pieces::One.cut(&memory, options.size));
    if options.wrong {
        message.spoil();
    }
    let mut hash = hasher.prepare(&message)?;
    println!("hashing");
    for _ in 0..options.calls {
        hash();
    }
    Ok(())
}

/// Returns the command line of a child.
pub(super) fn command(
    kind: Kind,
    blob: Option<&Path>,
    size: usize,
    calls: u32,
) -> Result<Vec<String>> {
    let program = env::current_exe().context("where am I?")?;
    let kind = kind.to_possible_value().context("a skipped kind")?;
    let mut line = vec![
        program.display().to_string(),
        NAME.to_owned(),
        kind.get_name().to_owned(),
        format!("--size={size}"),
        format!("--calls={calls}"),
    ];
    line.extend(blob.map(|blob| format!("--blob={}", blob.display())));
    Ok(line)
}

/// Proves that a stock purgatory hashes what it is told to: it returns for the
/// right digest, and does not for another.
pub(super) fn prove_stock(blob: &Path) -> Result<()> {
    prove(&command(Kind::Stock, Some(blob), 64 << 10, 1)?)
}

/// Proves it of the child with this command line.
fn prove(line: &[String]) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    const SPIN: Duration = Duration::from_millis(300);
    for (wrong, limit) in [(false, PATIENCE), (true, SPIN)] {
        let mut child = Command::new(&line[0]);
        child.args(&line[1..]).args(wrong.then_some("--wrong"));
        let mut child = child.stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        let output = child.stdout.take().context("a child without output")?;
        BufReader::new(output).read_line(&mut said)?;
        let ended = wait_until(&mut child, Instant::now() + limit)?;
        if ended.is_none() {
            child.kill()?;
            child.wait()?;
        }
        match (wrong, ended) {
            (false, Some(status)) => ensure!(status.success(), "it fails: {status}"),
            (false, None) => bail!("it takes the right digest for a wrong one"),
            (true, Some(status)) => bail!("it takes a wrong digest for the right one ({status})"),
            (true, None) => (),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that is a line of shell; `$1` may be `--wrong`.
    fn proof(script: &str) -> Result<()> {
        let script = format!("echo hashing; {script}");
        prove(&["sh", "-c", &script, "child"].map(str::to_owned))
    }

    #[test]
    fn a_stock_blob_that_cannot_tell_digests_apart_takes_no_part() {
        let error = |script| proof(script).unwrap_err().to_string();
        proof("test -z $1 || exec sleep 60").unwrap();
        assert!(error("exit 0").contains("takes a wrong digest for the right one"));
        assert!(error("exit 3").contains("it fails: exit status: 3"));
        assert!(error("kill -SEGV $$").contains("it fails: signal: 11"));
        // Only one that spins has compared.
        assert!(error("test -z $1").contains("takes a wrong digest for the right one"));
    }
}
