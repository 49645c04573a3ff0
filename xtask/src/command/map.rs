// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask map`: what went into the blob, and where it lies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use blob::map::{Defined, defined, listing, who};
use plotters::prelude::{
    ChartBuilder, Color as _, IntoDrawingArea as _, Palette as _, Palette99, Rectangle, SVGBackend,
    WHITE,
};

use crate::freestanding::default_folder;
use crate::host::failure::read_blob;
use crate::host::options::Setup;

/// Options of `cargo xtask map`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// The linked program [default: the one that `cargo xtask build` left]
    elf: Option<PathBuf>,
    /// Say only who defines this name; NAME,2 is the second of several
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Draw what lies where, from the entry to the end
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs `cargo xtask map`.
pub(crate) fn run(options: &Options, setup: &Setup) -> Result<()> {
    let built = default_folder(setup.arch).join(setup.arch.linked_name());
    let path = options.elf.as_deref().unwrap_or(&built);
    let linked = read_blob(path).context("the linked program: `cargo xtask build` makes it")?;
    let all = defined(&linked)?;
    if let Some(svg) = &options.svg {
        // Of the file beside it, whose code is the same.
        let blob = fs::read(path.with_file_name("purgatory.ro")).unwrap_or_default();
        let deepest = blob::check::stack(&blob, &linked).ok().flatten();
        draw(&all, deepest, svg)
            .map_err(|error| anyhow!("cannot draw {}: {error}", svg.display()))?;
        println!("{}", fs::canonicalize(svg)?.display());
    } else if let Some(asked) = &options.who {
        let one = who(&all, asked)?;
        println!(
            "*{}\n{} {:#x} {} {}",
            one.owner, one.name, one.address, one.size, one.section
        );
    } else {
        print!("{}", listing(&all));
    }
    Ok(())
}

/// Draws a row an owner: its symbols, over their offsets; whatever has no symbol is blank.
/// Of the stack, so many bytes are in use at its deepest.
fn draw(
    all: &[Defined],
    deepest: Option<u64>,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let place = |name: &str| {
        all.iter()
            .find(|one| one.name == name)
            .map(|one| one.address)
    };
    let stack = |start, end| place(start).zip(place(end));
    let mut rows: Vec<(String, Vec<(u64, u64)>)> = Vec::new();
    for one in all.iter().filter(|one| one.size > 0) {
        let range = (one.address, one.address + one.size);
        match rows.iter_mut().find(|(owner, _)| *owner == one.owner) {
            Some((_, ranges)) => ranges.push(range),
            None => rows.push((one.owner.clone(), vec![range])),
        }
    }
    if let Some((start, end)) = stack("stack_start", "stack_end") {
        rows.push(("the stack".to_owned(), vec![(start, end)]));
        let used = deepest.map(|bytes| (end.saturating_sub(bytes), end));
        rows.extend(used.map(|used| ("at most in use of it".to_owned(), vec![used])));
    }
    let faults = stack("fault_stack_start", "fault_stack_end");
    rows.extend(faults.map(|range| ("the fault stack".to_owned(), vec![range])));
    let ends = rows.iter().flat_map(|(_, ranges)| ranges);
    let end = ends.map(|(_, end)| *end).max().unwrap_or(1);
    let root = SVGBackend::new(path, (1000, 60 + 40 * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let names: Vec<_> = rows
        .iter()
        .map(|(owner, ranges)| {
            let bytes: u64 = ranges.iter().map(|(start, end)| end - start).sum();
            format!("{owner}: {bytes}")
        })
        .collect();
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(190)
        .build_cartesian_2d(0..end, 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .y_labels(2 * rows.len() + 1)
        .x_label_formatter(&|offset| format!("{offset:#x}"))
        .y_label_formatter(&|y| match (y.fract() - 0.5).abs() < 0.1 {
            true => names.get(*y as usize).cloned().unwrap_or_default(),
            false => String::new(),
        })
        .draw()?;
    for (index, (_, ranges)) in rows.iter().enumerate() {
        let row = index as f64;
        let color = Palette99::pick(index).filled();
        chart.draw_series(ranges.iter().map(|(start, end)| {
            Rectangle::new([(*start, row + 0.15), (*end, row + 0.85)], color)
        }))?;
    }
    Ok(())
}
