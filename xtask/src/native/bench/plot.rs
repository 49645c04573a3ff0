// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture: median speed over size, a line for each contender.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, Color as _, IntoDrawingArea as _, IntoLogRange as _, LineSeries,
    Palette as _, Palette99, PathElement, SVGBackend, WHITE,
};

use super::contender::Pieces;
use super::report::name_of;
use super::result::Group;
use super::rounds::Spread;

/// Draws `path`.
pub(super) fn draw(groups: &[Group], path: &Path) -> Result<()> {
    draw_all(groups, path).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn draw_all(groups: &[Group], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let sizes = || groups.iter().map(|group| group.size as f64);
    let (Some(sizes), Some(rates)) = (
        Spread::of(sizes()),
        Spread::of(
            groups
                .iter()
                .flat_map(|group| &group.rows)
                .flat_map(|row| row.rates.iter().copied()),
        ),
    ) else {
        return Ok(());
    };
    let root = SVGBackend::new(path, (1000, 600)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("SHA-256 of one region, MB/s, medians", ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .right_y_label_area_size(10)
        // A single size still needs a range.
        .build_cartesian_2d(
            (sizes.min..sizes.max * 8.0).log_scale().base(2.0),
            0.0..rates.max * 1.05 / 1e6,
        )?;
    chart
        .configure_mesh()
        .x_labels(20)
        .x_label_formatter(&|size| name_of(*size as usize))
        .x_desc("bytes to verify")
        .y_desc("MB/s")
        .draw()?;
    let Some(first) = groups.first() else {
        return Ok(());
    };
    for (index, row) in first
        .rows
        .iter()
        .filter(|row| row.layout == Pieces::One)
        .enumerate()
    {
        let color = Palette99::pick(index).to_rgba();
        let points: Vec<(f64, f64)> = groups
            .iter()
            .filter_map(|group| {
                let rates = &group.row(&row.name, Pieces::One)?.rates;
                let rate = Spread::of(rates.iter().copied())?.median;
                Some((group.size as f64, rate / 1e6))
            })
            .collect();
        chart.draw_series(
            points
                .iter()
                .map(|point| Circle::new(*point, 3, color.filled())),
        )?;
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(&row.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}
