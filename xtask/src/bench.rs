//! `cargo xtask bench`: how fast the shipped bytes verify, beside everything
//! that does the same on this machine, and the limit of its CPU.
//!
//! Speed is measured natively, in one run and in turns; what can be counted is
//! counted. It refuses to compare numbers of two runs.

pub(crate) mod child;
mod contender;
mod instructions;
mod limit;
mod openssl;
mod plot;
mod report;
mod result;
mod rounds;
mod steps;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use memmap2::{Advice, MmapMut};
use purgatory::sha256::Backend;
use serde_json::json;

use crate::{
    boot::Programs,
    check,
    failure::Failure,
    linux, progress,
    provision::{Setup, Task},
    qemu, target_directory,
    userspace::{self, Ours, Stock},
};
use child::Kind;
use contender::{Hasher, Layout, Message};
use openssl::OpenSsl;
use result::{Group, JUDGED, LIMIT, OPENSSL, OPENSSL_WITHOUT, Row, ours};
use rounds::{Entry, Pin};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Bytes to verify, such as 64K or 1M (may be given more than once)
    /// [default: 4K 64K 1M 16M 256M]
    #[arg(long = "size", value_name = "SIZE", value_parser = size)]
    sizes: Vec<usize>,
    /// How often each contender has its turn
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u16).range(9..))]
    rounds: u16,
    /// Folder for bench.json and bench.svg [default: target/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Two sizes, and nothing is counted
    #[arg(long)]
    quick: bool,
    /// Fail if a target is missed
    #[arg(long)]
    check: bool,
    /// Time this blob instead of building one
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
}

const SIZES: [usize; 5] = [4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20];
const QUICK: [usize; 2] = [64 << 10, 1 << 20];
const BACKENDS: [Backend; 3] = [Backend::ShaNi, Backend::Avx2, Backend::Portable];

/// Reads a size: a number, and perhaps K or M.
fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M']) {
        Some(digits) if text.ends_with('K') => (digits, 1 << 10),
        Some(digits) => (digits, 1 << 20),
        None => (text, 1),
    };
    let number: usize = digits
        .parse()
        .map_err(|_| "a size is a number, or one with K or M behind it, such as 64K".to_owned())?;
    match number.checked_mul(unit) {
        Some(size) if size > 0 && size.is_multiple_of(4096) && size <= 4 << 30 => Ok(size),
        _ => Err("it takes a multiple of 4K, up to 4096M".to_owned()),
    }
}

/// The blobs that take part, loaded anew for every message.
struct Blobs {
    ours: Vec<u8>,
    stock: Vec<(String, Vec<u8>)>,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    let default: &[usize] = if options.quick { &QUICK } else { &SIZES };
    let sizes = if options.sizes.is_empty() {
        default
    } else {
        &options.sizes
    };
    if options.check && sizes.iter().all(|&size| size < JUDGED) {
        let what = "--check judges what is measured from 1M on: give such a --size, too";
        return Err(Failure::Usage(what.to_owned()).into());
    }
    setup.require(Task::Boot)?;
    // SAFETY: this process has one thread so far.
    let mut openssl = match unsafe { OpenSsl::load_both() } {
        Ok((with, without)) => Some((with, without)),
        Err(error) => {
            println!("SKIPPED: OpenSSL: {error:#}");
            None
        }
    };
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| target_directory().join("bench"));
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let blob = options.blob.as_deref().map(check::accept).transpose()?;
    let programs = Programs::build(blob, setup)?;
    let blobs = Blobs {
        stock: stock(&out),
        ours: programs.blob.clone(),
    };
    for backend in BACKENDS
        .into_iter()
        .filter(|one| !userspace::runs_here(*one))
    {
        println!("SKIPPED: {}: this CPU lacks it", ours(backend));
    }

    let pin = Pin::here()?;
    let groups = sizes
        .iter()
        .map(|&size| {
            let group = measure(size, usize::from(options.rounds), &blobs, openssl.as_mut())?;
            println!("{}", report::group(&group));
            Ok(group)
        })
        .collect::<Result<Vec<_>>>()?;
    drop(pin);

    let (counted, costs) = if options.quick {
        println!("SKIPPED: counting instructions (--quick)");
        (Vec::new(), Vec::new())
    } else {
        (count(&out, &blobs)?, fixed_cost(&programs)?)
    };
    let targets = result::targets(&groups, &costs, blobs.ours.len());
    print!("{}", report::targets(&targets));

    let machine = json!({
        "cpu": cpu_name(),
        "openssl": openssl.map(|(library, _)| library.version.clone()),
        "rounds": options.rounds,
    });
    let json = report::json(machine, &groups, &counted, &costs, &targets);
    let path = out.join("bench.json");
    fs::write(&path, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    let path = out.join("bench.svg");
    plot::draw(&groups, &path)?;
    println!("{}", path.display());
    if options.check && targets.iter().any(result::Target::is_missed) {
        return Err(Failure::Reported.into());
    }
    Ok(())
}

/// Returns the stock purgatories that can be had and that do their work, and
/// leaves them in `out`.
fn stock(out: &Path) -> Vec<(String, Vec<u8>)> {
    let _busy = progress::spinner("taking the stock purgatories out of Debian's kernels");
    let mut found = Vec::new();
    for (kernel, blob) in linux::stock_blobs() {
        let name = format!("stock {kernel}");
        let proven = blob.and_then(|blob| {
            let path = stock_path(out, &name);
            fs::write(&path, &blob)?;
            child::prove_stock(&path)?;
            Ok(blob)
        });
        match proven {
            Ok(blob) => found.push((name, blob)),
            Err(error) => println!("SKIPPED: {name}: {error:#}"),
        }
    }
    found
}

fn stock_path(out: &Path, name: &str) -> PathBuf {
    out.join(format!("{}.ro", name.replace(' ', "-")))
}

/// Lets everybody take turns at one size.
fn measure(
    size: usize,
    rounds: usize,
    blobs: &Blobs,
    openssl: Option<&mut (OpenSsl, OpenSsl)>,
) -> Result<Group> {
    let room = Layout::room(size);
    let mut memory =
        MmapMut::map_anon(room).with_context(|| format!("no {room} bytes of memory"))?;
    // As the identity map between two kernels has them. No promise: where there
    // are none, everybody goes without.
    _ = memory.advise(Advice::HugePage);
    fastrand::Rng::with_seed(4).fill(&mut memory);
    let messages = Layout::ALL.map(|layout| Message::new(layout.cut(&memory, size)));

    let mut hashers: Vec<(String, Layout, Hasher<'_>)> = Vec::new();
    for backend in BACKENDS
        .into_iter()
        .filter(|one| userspace::runs_here(*one))
    {
        for layout in Layout::ALL {
            let blob = Ours::load(&blobs.ours)?;
            hashers.push((ours(backend), layout, Hasher::Ours(blob, backend)));
        }
    }
    let mut whole = |name: &str, hasher| hashers.push((name.to_owned(), Layout::One, hasher));
    for (name, blob) in &blobs.stock {
        whole(name, Hasher::Stock(Stock::load(blob)?));
    }
    if let Some((with, without)) = openssl {
        if with.has_sha {
            whole(OPENSSL, Hasher::OpenSsl(with));
        }
        whole(OPENSSL_WITHOUT, Hasher::OpenSsl(without));
    }
    whole("sha2 crate", Hasher::Sha2);
    if userspace::runs_here(Backend::ShaNi) {
        whole(LIMIT, Hasher::Limit);
    }

    let mut names = Vec::new();
    let mut entries = Vec::new();
    for (name, layout, hasher) in &mut hashers {
        let message = &messages[*layout as usize];
        names.push((name.clone(), *layout));
        entries.push(Entry {
            bytes: message.bytes,
            run: hasher.prepare(message)?,
        });
    }
    let ticks = rounds::samples(&entries) * (entries.len() * rounds) as u64;
    let bar = ProgressBar::new(ticks)
        .with_style(ProgressStyle::with_template("{msg} {wide_bar} {eta}")?)
        .with_message(report::name_of(size));
    let rates = rounds::run(&mut entries, rounds, || bar.inc(1));
    bar.finish_and_clear();
    let rows = names.into_iter().zip(&entries).zip(rates);
    let rows = rows.map(|(((name, layout), entry), rates)| Row {
        name,
        layout,
        bytes: entry.bytes,
        rates,
    });
    Ok(Group {
        size,
        rows: rows.collect(),
    })
}

/// Counts the instructions of everybody that valgrind can run.
fn count(out: &Path, blobs: &Blobs) -> Result<Vec<(String, Result<f64>)>> {
    let Some(version) = instructions::valgrind() else {
        println!("SKIPPED: instructions per byte: valgrind is not installed");
        return Ok(Vec::new());
    };
    let _busy = progress::spinner("counting instructions by callgrind");
    let blob = out.join("ours.ro");
    fs::write(&blob, &blobs.ours)?;
    let mut counted = Vec::new();
    for (kind, backend) in [
        (Kind::ShaNi, Backend::ShaNi),
        (Kind::Avx2, Backend::Avx2),
        (Kind::Portable, Backend::Portable),
    ] {
        let count = instructions::per_byte(kind, Some(&blob));
        counted.push((
            ours(backend),
            count.with_context(|| format!("under {version}")),
        ));
    }
    for (name, _) in &blobs.stock {
        let count = instructions::per_byte(Kind::Stock, Some(&stock_path(out, name)));
        counted.push((name.clone(), count));
    }
    counted.push((
        OPENSSL_WITHOUT.to_owned(),
        instructions::per_byte(Kind::OpenSsl, None),
    ));
    counted.push((
        "sha2 crate".to_owned(),
        instructions::per_byte(Kind::Sha2, None),
    ));
    print!("{}", report::instructions(&counted));
    Ok(counted)
}

/// Counts the instructions between entry and jump.
fn fixed_cost(programs: &Programs) -> Result<Vec<steps::Cost>> {
    if let Err(error) = qemu::version() {
        println!("SKIPPED: instructions between entry and jump: {error:#}");
        return Ok(Vec::new());
    }
    let _busy = progress::spinner("stepping through the purgatory in QEMU");
    let costs = steps::count(programs)?;
    print!("{}", report::costs(&costs));
    Ok(costs)
}

/// Returns what the CPU calls itself.
fn cpu_name() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64K"), Ok(64 << 10));
        assert_eq!(size("256M"), Ok(256 << 20));
        assert_eq!(size("4096M"), Ok(4 << 30));
        for wrong in ["", "K", "1", "0", "2K", "4097M", "1G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
