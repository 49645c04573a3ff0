// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture: median speed over size, a line for each contender, its name at the end.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::{
    ChartBuilder, Color as _, IntoDrawingArea as _, IntoFont as _, IntoLogRange as _, LineSeries,
    RGBAColor, RGBColor, SVGBackend, Text, WHITE,
};
use purgatory::abi::Backend;

use super::contender::Pieces;
use super::report::name_of;
use super::result::{Group, ours};
use super::rounds::Spread;

const OURS: RGBColor = RGBColor(200, 60, 20);
const OTHERS: RGBColor = RGBColor(110, 110, 110);
/// Pixels: the picture, what the names take at its right, and one of them.
const SIZE: (u32, u32) = (900, 560);
const NAMES: u32 = 140;
const NAME: i32 = 16;

/// Draws `path`.
pub(super) fn draw(groups: &[Group], path: &Path) -> Result<()> {
    draw_all(groups, path).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

/// One colour for ours, the fastest strongest, and grey for everybody else.
fn color(name: &str) -> RGBAColor {
    let strengths = [
        (Backend::ShaNi, 1.0),
        (Backend::Sse2, 0.7),
        (Backend::Portable, 0.45),
    ];
    let own = strengths.iter().find(|(backend, _)| ours(*backend) == name);
    own.map_or(OTHERS.mix(0.8), |(_, strength)| OURS.mix(*strength))
}

fn draw_all(groups: &[Group], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let median = |rates: &[f64]| Some(Spread::of(rates.iter().copied())?.median / 1e6);
    let mut lines: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for row in groups.iter().flat_map(|group| &group.rows) {
        if row.layout == Pieces::One && lines.iter().all(|(name, _)| *name != row.name) {
            let points = groups.iter().filter_map(|group| {
                let rate = median(&group.row(&row.name, Pieces::One)?.rates)?;
                Some((group.size as f64, rate))
            });
            lines.push((&row.name, points.collect()));
        }
    }
    // Ours above the others.
    lines.sort_by_key(|(name, _)| Backend::ALL.iter().any(|backend| ours(*backend) == *name));
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (Some(sizes), Some(rates)) = (
        Spread::of(points().map(|(size, _)| *size)),
        Spread::of(points().map(|(_, rate)| *rate)),
    ) else {
        return Ok(());
    };
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let font = ("sans-serif", 14).into_font();
    let mut chart = ChartBuilder::on(&root)
        .caption("SHA-256 of one region, MB/s, medians", ("sans-serif", 18))
        .margin(10)
        .margin_right(NAMES)
        .x_label_area_size(40)
        .y_label_area_size(60)
        // A single size still needs a range.
        .build_cartesian_2d(
            (sizes.min..sizes.max.max(sizes.min * 1.01))
                .log_scale()
                .base(2.0),
            (rates.min * 0.9..rates.max * 1.1).log_scale().base(2.0),
        )?;
    chart
        .configure_mesh()
        .disable_mesh()
        .label_style(font.clone())
        .x_label_formatter(&|size| name_of(*size as usize))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .x_desc("bytes to verify")
        .draw()?;
    let mut names: Vec<(i32, &str)> = Vec::new();
    for (name, points) in &lines {
        let line = LineSeries::new(points.iter().copied(), color(name).stroke_width(2));
        chart.draw_series(line)?;
        if let Some(last) = points.last() {
            names.push((chart.backend_coord(last).1 - NAME / 2, name));
        }
    }
    // From the top down; names that would meet move apart.
    names.sort_unstable();
    let right = SIZE.0.cast_signed() - NAMES.cast_signed() + 6;
    let mut free = i32::MIN;
    for (height, name) in names {
        let height = height.max(free);
        free = height + NAME;
        let text = font.clone().color(&color(name));
        root.draw(&Text::new(name, (right, height), text))?;
    }
    root.present()?;
    Ok(())
}
