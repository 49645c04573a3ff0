// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask campaign`: flips bits at random, and counts what comes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use plotters::prelude::{
    ChartBuilder, Color as _, IntoDrawingArea as _, RGBColor, Rectangle, SVGBackend, WHITE,
};
use purgatory::arch::BACKENDS;
use purgatory::status::Verdict;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::boot::flips::{self, Ending};
use crate::boot::programs::Programs;
use crate::freestanding::{accept, blob, default_folder};
use crate::host::failure::{Failure, read_blob};
use crate::host::needs::FREESTANDING;
use crate::host::options::Setup;
use crate::host::paths::target_directory;
use crate::host::progress;
use crate::host::tally::in_parallel;
use crate::machine;
use crate::native::arch::runs_here;
use crate::native::campaign::{Flip, Outcome, Parts, Place, Results, Share, work};

/// Options of `cargo xtask campaign`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Flips in user space for each backend
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    flips: u64,
    /// Flips in whole boots under QEMU
    #[arg(long, value_name = "N", default_value_t = 0)]
    boots: u64,
    /// Where all of them follow from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Print the tables as JSON
    #[arg(long)]
    json: bool,
    /// Folder for results, from which it goes on, and for campaign.svg [default: target/campaign]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Damage this blob instead of building one, whatever it promises
    #[arg(long, value_name = "FILE")]
    blob: Option<PathBuf>,
}

/// How often a flip of a place came to an outcome.
type Table = BTreeMap<(Place, Outcome), u64>;

/// A register image or the configuration, like the entry code, is only read by boots.
const VOUCHED: [Place; 3] = [Place::Memory, Place::Table, Place::Digest];

/// Runs `cargo xtask campaign`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    setup.require(machine::needs(setup.arch).into_iter().chain(FREESTANDING))?;
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| target_directory().join("campaign"));
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let bytes = match &options.blob {
        Some(path) => read_blob(path)?,
        None => blob(setup.arch, &setup.toolchain()?, &default_folder(setup.arch))
            .and_then(|built| accept(&built.relocatable, setup.arch))?,
    };
    let parts = Parts::of(&bytes)?;
    let blob = out.join("blob.ro");
    fs::write(&blob, &bytes)?;
    // Results of another blob are no results of this one.
    let sum = base16ct::lower::encode_string(&Sha256::digest(&bytes)[..4]);
    let mut tables = Vec::new();
    let mut own = Vec::new();
    for &backend in BACKENDS {
        let name = backend.name();
        if !runs_here(backend) {
            println!("SKIPPED: {name}: this CPU lacks it");
            continue;
        }
        let (seed, flips) = (options.seed, options.flips);
        let share = Share {
            seed,
            backend,
            flips,
        };
        let bar = progress::bar(name, flips);
        let path = out.join(format!("{sum}-{seed}-{name}.flips"));
        let results = work(&blob, &path, share, |more| bar.add(more))?;
        drop(bar);
        let made = (0..).zip(results.iter());
        let made = made.map(|(number, result)| (share.flip(&parts, number), *result));
        tables.push((name.to_owned(), count(made, &mut own)?));
    }
    if options.boots > 0 {
        let programs = Programs::build(Some(bytes), setup)?;
        let path = out.join(format!("{sum}-{}-boots.flips", options.seed));
        tables.push((
            "whole boots".to_owned(),
            boots(options, &programs, &parts, &path, &mut own)?,
        ));
    }
    let picture = out.join("campaign.svg");
    draw(&own, parts.len, &picture).map_err(|error| anyhow!("cannot draw: {error}"))?;
    if options.json {
        println!("{}", as_json(options, &sum, &tables)?);
    } else {
        tables
            .iter()
            .for_each(|(name, table)| print!("{}", text(name, table)));
        println!("seed {}, blob {sum}, {}", options.seed, picture.display());
    }
    let escapes = |table: &Table| {
        VOUCHED
            .iter()
            .any(|place| table.contains_key(&(*place, Outcome::Escaped)))
    };
    match tables.iter().any(|(_, table)| escapes(table)) {
        true => Err(Failure::Reported.into()),
        false => Ok(()),
    }
}

/// Counts results; those of the blob's own bytes go to `own`, too.
fn count(made: impl Iterator<Item = (Flip, u8)>, own: &mut Vec<(usize, Outcome)>) -> Result<Table> {
    let mut table = Table::new();
    for (flip, result) in made {
        let outcome = Outcome::from_number(result).context("a file of results is damaged")?;
        *table.entry((flip.place, outcome)).or_default() += 1;
        if flip.place != Place::Memory && outcome != Outcome::Unread {
            own.push((flip.offset, outcome));
        }
    }
    Ok(table)
}

/// Flips bits in whole boots, most of them in the blob itself.
fn boots(
    options: &Options,
    programs: &Programs,
    parts: &Parts,
    path: &Path,
    own: &mut Vec<(usize, Outcome)>,
) -> Result<Table> {
    let bar = progress::bar("whole boots", options.boots);
    let numbers: Vec<u64> = (0..options.boots).collect();
    let flip = |number: u64| {
        let mut random = fastrand::Rng::with_seed(options.seed << 32 ^ number);
        let mask = 1 << random.u8(..8);
        match random.u8(..4) {
            0 => Flip {
                place: Place::Memory,
                offset: random.usize(..1 << 30),
                mask,
            },
            _ => {
                let offset = random.usize(..parts.len);
                Flip {
                    place: parts.place(offset),
                    offset,
                    mask,
                }
            }
        }
    };
    let results = Results::open(path, options.boots)?;
    let known = results.all()?;
    let made = in_parallel(&numbers, |&number| {
        if known[number as usize] == 0 {
            results.note(number, boot(programs, number, flip(number))?)?;
        }
        bar.add(1);
        Ok(())
    });
    drop(bar);
    made.into_iter().collect::<Result<()>>()?;
    let known = results.all()?;
    let made = numbers.iter().map(|&number| flip(number));
    count(made.zip(known), own)
}

/// Boots with a flip.
fn boot(programs: &Programs, number: u64, flip: Flip) -> Result<Outcome> {
    let name = format!("campaign-{}", number % 16);
    let ending = flips::boot(programs, &name, |blob, regions| {
        let total: u64 = regions.iter().map(|(_, len)| len).sum();
        let mut offset = flip.offset as u64 % total;
        let hit = regions.iter().find_map(|(start, len)| match offset < *len {
            true => Some(start + offset),
            false => {
                offset -= len;
                None
            }
        });
        match flip.place {
            Place::Memory => (hit.unwrap_or(blob), flip.mask),
            _ => (blob + flip.offset as u64, flip.mask),
        }
    })?;
    Ok(match ending {
        Ending::Stopped(Verdict::Exception) => Outcome::Reported,
        Ending::Stopped(Verdict::Match | Verdict::Nothing) | Ending::RanDamaged => Outcome::Escaped,
        Ending::Stopped(_) => Outcome::Refused,
        Ending::Reset => Outcome::Reset,
        Ending::Hung => Outcome::Hung,
        // All was right: of what is to be verified, that is no proof.
        Ending::Ran if [Place::Memory, Place::Digest].contains(&flip.place) => Outcome::Escaped,
        Ending::Ran => Outcome::Unused,
    })
}

/// Formats a table: a row a place, a column an outcome that there was.
fn text(name: &str, table: &Table) -> String {
    let came = |outcome: &Outcome| table.keys().any(|(_, one)| one == outcome);
    let outcomes: Vec<_> = Outcome::ALL.into_iter().filter(came).collect();
    let mut text = format!("{name}\n{:20}", "");
    for outcome in &outcomes {
        let _ = write!(text, "  {}", outcome.name());
    }
    text.push('\n');
    for place in Place::ALL {
        if !table.keys().any(|(one, _)| *one == place) {
            continue;
        }
        let _ = write!(text, "  {:18}", place.name());
        for outcome in &outcomes {
            let count = table.get(&(place, *outcome)).unwrap_or(&0);
            let _ = write!(text, "  {count:>width$}", width = outcome.name().len());
        }
        text.push('\n');
    }
    text
}

fn as_json(options: &Options, sum: &str, tables: &[(String, Table)]) -> Result<String> {
    let row = |((place, outcome), count): (&(Place, Outcome), &u64)| json!({"place": place.name(), "outcome": outcome.name(), "count": count});
    let table = |(name, table): &(String, Table)| json!({"name": name, "rows": table.iter().map(row).collect::<Vec<_>>()});
    let tables: Vec<_> = tables.iter().map(table).collect();
    let all = json!({"seed": options.seed, "blob": sum, "tables": tables});
    Ok(serde_json::to_string_pretty(&all)?)
}

/// Colours of the picture, and what they stand for: the last one is drawn on top.
const COLORS: [(Outcome, RGBColor); 7] = [
    (Outcome::Refused, RGBColor(120, 170, 120)),
    (Outcome::RefusedBySum, RGBColor(60, 120, 60)),
    (Outcome::Reported, RGBColor(90, 130, 200)),
    (Outcome::Unused, RGBColor(200, 200, 200)),
    (Outcome::Reset, RGBColor(230, 170, 60)),
    (Outcome::Hung, RGBColor(180, 90, 200)),
    (Outcome::Escaped, RGBColor(220, 40, 20)),
];

/// Draws what came of flips of the blob's bytes, by 64 of them.
fn draw(
    own: &[(usize, Outcome)],
    len: usize,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    const BYTES: usize = 64;
    let mut columns: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for (offset, outcome) in own {
        let index = COLORS.iter().position(|(one, _)| one == outcome);
        let column = columns
            .entry(offset / BYTES)
            .or_insert_with(|| vec![0; COLORS.len()]);
        if let Some(count) = index.and_then(|index| column.get_mut(index)) {
            *count += 1;
        }
    }
    let root = SVGBackend::new(path, (900, 320)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "what comes of a flipped bit, by its place in the blob",
            ("sans-serif", 16),
        )
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(45)
        .build_cartesian_2d(0..len, 0.0..1.0)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_label_formatter(&|offset| format!("{offset:#x}"))
        .draw()?;
    for (index, (outcome, color)) in COLORS.iter().enumerate() {
        let bars = columns.iter().map(|(column, counts)| {
            let total: u64 = counts.iter().sum();
            let share = |counts: &[u64]| counts.iter().sum::<u64>() as f64 / total.max(1) as f64;
            let x = column * BYTES;
            Rectangle::new(
                [
                    (x, share(&counts[..index])),
                    (x + BYTES, share(&counts[..=index])),
                ],
                color.filled(),
            )
        });
        let color = *color;
        chart
            .draw_series(bars)?
            .label(outcome.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 10, y + 4)], color.filled()));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
