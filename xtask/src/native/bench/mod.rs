// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast the shipped bytes verify, beside everything that does the same on this
//! machine, and the limit of its CPU.
//!
//! Speed is measured natively, in one run and in turns; what can be counted is
//! counted. It refuses to compare numbers of two runs.

pub(crate) mod child;
mod contender;
mod instructions;
pub(crate) mod openssl;
mod plot;
mod report;
pub(crate) mod result;
mod rounds;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use blob::arch::Arch;
use memmap2::{Advice, MmapMut};
use purgatory::abi::Backend;
use serde_json::json;

use crate::boot::programs::Programs;
use crate::host::progress;
use crate::kernels::kernel::Kernel;
use crate::kernels::table;
use crate::native::arch::{limit, runs_here};
use crate::native::userspace::{Ours, Stock};
use child::Kind;
use contender::{Hasher, Message, Pieces};
use openssl::OpenSsl;
use purgatory::arch::BACKENDS;
use result::{Group, LIMIT, OPENSSL, OPENSSL_WITHOUT, Row, ours};
use rounds::{Entry, Pin};

/// The blobs that take part, loaded anew for every message.
struct Blobs {
    ours: Vec<u8>,
    stock: Vec<(String, Vec<u8>)>,
}

/// What is to be measured.
pub(crate) struct Plan<'a> {
    pub(crate) sizes: &'a [usize],
    pub(crate) rounds: u16,
    /// Folder for what is measured.
    pub(crate) out: &'a Path,
    /// Nothing is counted.
    pub(crate) quick: bool,
}

/// Measures; tells whether a target is missed.
pub(crate) fn run(
    plan: &Plan<'_>,
    programs: &Programs,
    mut openssl: Option<(OpenSsl, OpenSsl)>,
) -> Result<bool> {
    let Plan {
        sizes,
        rounds,
        out,
        quick,
    } = *plan;
    let blobs = Blobs {
        stock: stock(out, programs.arch),
        ours: programs.blob.clone(),
    };
    for backend in BACKENDS.iter().copied().filter(|one| !runs_here(*one)) {
        println!("SKIPPED: {}: this CPU lacks it", ours(backend));
    }

    let pin = Pin::here()?;
    let groups = sizes
        .iter()
        .map(|&size| {
            let group = measure(size, usize::from(rounds), &blobs, openssl.as_mut())?;
            println!("{}", report::group(&group));
            Ok(group)
        })
        .collect::<Result<Vec<_>>>()?;
    drop(pin);

    let (counted, costs) = if quick {
        println!("SKIPPED: counting instructions (--quick)");
        (Vec::new(), Vec::new())
    } else {
        (count(out, &blobs)?, fixed_cost(programs)?)
    };
    let targets = result::targets(&groups, &costs, blobs.ours.len());
    print!("{}", report::targets(&targets));

    let machine = json!({
        "cpu": cpu_name(),
        "openssl": openssl.map(|(library, _)| library.version.clone()),
        "rounds": rounds,
    });
    let json = report::json(machine, &groups, &counted, &costs, &targets);
    let path = out.join("bench.json");
    fs::write(&path, serde_json::to_string_pretty(&json)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    let path = out.join("bench.svg");
    plot::draw(&groups, &path)?;
    println!("{}", path.display());
    Ok(targets.iter().any(result::Target::is_missed))
}

/// Returns the stock purgatories that can be had and that do their work, and
/// leaves them in `out`.
fn stock(out: &Path, arch: Arch) -> Vec<(String, Vec<u8>)> {
    let _busy = progress::spinner("taking the stock purgatories out of Debian's kernels");
    let mut found = Vec::new();
    for row in table::rows(arch) {
        let name = format!("stock {}", row.series);
        let proven = Kernel::fetch(row, arch).and_then(|kernel| {
            let path = stock_path(out, &name);
            fs::write(&path, kernel.stock())?;
            child::prove_stock(&path)?;
            Ok(kernel.stock().to_vec())
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
    let room = Pieces::room(size);
    let mut memory =
        MmapMut::map_anon(room).with_context(|| format!("no {room} bytes of memory"))?;
    // As the identity map between two kernels has them. No promise: where there
    // are none, everybody goes without.
    _ = memory.advise(Advice::HugePage);
    fastrand::Rng::with_seed(4).fill(&mut memory);
    let messages = Pieces::ALL.map(|layout| Message::new(layout.cut(&memory, size)));

    let mut hashers: Vec<(String, Pieces, Hasher<'_>)> = Vec::new();
    for backend in BACKENDS.iter().copied().filter(|one| runs_here(*one)) {
        for layout in Pieces::ALL {
            let blob = Ours::load(&blobs.ours)?;
            hashers.push((ours(backend), layout, Hasher::Ours(blob, backend)));
        }
    }
    let mut whole = |name: &str, hasher| hashers.push((name.to_owned(), Pieces::One, hasher));
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
    if let Some(limit) = limit() {
        whole(LIMIT, Hasher::Limit(limit));
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
    let bar = progress::bar(report::name_of(size), ticks);
    let rates = rounds::run(&mut entries, rounds, &rounds::own_time, || bar.add(1));
    drop(bar);
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
        (Kind::Sse2, Backend::Sse2),
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
    if let Err(error) = programs.machine.version() {
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
