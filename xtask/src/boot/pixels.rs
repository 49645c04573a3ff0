// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads text back from a frame buffer, by the drawing that the font is made from.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use purgatory_tests::cases::ScreenInfo;

/// Eight glyphs in a row: six columns and eight lines each, and an empty line.
const FONT: &str = include_str!("../../../purgatory/src/arch/font.txt");
/// What they are; capitals are drawn as small letters.
const SIGNS: &str = "#$%&'()*+,-./0123456789:;_`abcdefghijklmnopqrstuvwxyz";

const COLUMNS: usize = 6;
const LINES: usize = 9;

/// Reads the text; `untouched` is what fills the bytes of lines that are not seen.
pub(super) fn read(info: &ScreenInfo, bytes: &[u8], untouched: u8) -> Result<String> {
    let scale = usize::from(info.height) * 7 / 2048;
    let pixel = usize::from(info.depth).div_ceil(8);
    let (width, stride) = (usize::from(info.width), usize::from(info.stride));
    let (columns, rows) = (
        width / (COLUMNS * scale),
        usize::from(info.height) / (LINES * scale),
    );
    for line in bytes.chunks(stride) {
        let unseen = line.get(width * pixel..).unwrap_or_default();
        ensure!(
            unseen.iter().all(|byte| *byte == untouched),
            "it wrote behind the end of a line"
        );
    }
    let glyphs = glyphs();
    let mut text = String::new();
    for row in 0..rows {
        let mut line = String::new();
        for column in 0..columns {
            let mut glyph = Vec::new();
            for y in 0..LINES {
                for x in 0..COLUMNS {
                    let at =
                        (row * LINES + y) * scale * stride + (column * COLUMNS + x) * scale * pixel;
                    glyph.push(lit(&bytes[at..], stride, scale, scale * pixel)?);
                }
            }
            let known = glyphs.get(&glyph);
            line.push(*known.with_context(|| format!("row {row}, column {column} is no glyph"))?);
        }
        let end = line.trim_end();
        text += end;
        // A full row goes on in the next one.
        if end.len() < columns {
            text.push('\n');
        }
    }
    Ok(text.trim_end().to_owned() + "\n")
}

/// Tells whether so many bytes of so many lines are white, or all are black.
fn lit(bytes: &[u8], stride: usize, lines: usize, run: usize) -> Result<bool> {
    let mut all = bytes
        .chunks(stride)
        .take(lines)
        .flat_map(|line| &line[..run]);
    let first = *all.next().context("an empty pixel")?;
    ensure!(
        matches!(first, 0 | 0xff) && all.all(|byte| *byte == first),
        "a pixel is neither black nor white"
    );
    Ok(first != 0)
}

fn glyphs() -> BTreeMap<Vec<bool>, char> {
    let lines: Vec<&str> = FONT.lines().collect();
    let mut glyphs = BTreeMap::from([(vec![false; COLUMNS * LINES], ' ')]);
    for (index, sign) in SIGNS.chars().enumerate() {
        let (top, left) = (index / 8 * LINES, index % 8 * COLUMNS);
        let is_set = |y: usize, x: usize| {
            let line = lines.get(top + y).unwrap_or(&"");
            line.as_bytes().get(left + x) == Some(&b'#')
        };
        let bits = (0..LINES).flat_map(|y| (0..COLUMNS).map(move |x| (y, x)));
        glyphs
            .entry(bits.map(|(y, x)| is_set(y, x)).collect())
            .or_insert(sign);
    }
    glyphs
}
