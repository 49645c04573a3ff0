// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text on a screen, from the top, and from the top again: characters that the device
//! draws itself, or such that are drawn here on a linear frame buffer.

use super::machine;
use crate::{
    abi::{Exported, Region},
    memory,
};

/// A screen in use. Each value is a cell: a copy of all of it costs more than what is
/// done with it.
pub(crate) struct Screen {
    /// The physical address of its first byte; what follows counts from there.
    start: Exported<u64>,
    /// All of its bytes.
    size: Exported<u32>,
    /// Bytes of a line that are seen, and from one line to the next.
    line: Exported<u32>,
    stride: Exported<u32>,
    /// Lines of a glyph's pixel, and bytes of such a line: 0 and those of a character
    /// where the device draws it.
    scale: Exported<u32>,
    run: Exported<u32>,
    /// Bytes of a character, and of a row of them.
    width: Exported<u32>,
    height: Exported<u32>,
    /// The row that is written, and the next character in it.
    row: Exported<u32>,
    next: Exported<u32>,
}

/// Pixels of a glyph with what separates it from the next: in a line, and lines.
const COLUMNS: u32 = 6;
/// See [`COLUMNS`].
const LINES: u32 = 9;
/// Pixels of a glyph's line.
const GLYPH: u32 = 5;

impl Screen {
    /// The lowest screen that text is drawn on: for every so many lines, those of a glyph
    /// grow by a pixel. So there are 32 rows, and mostly 66 columns or more, which three
    /// registers take.
    pub(crate) const LEAST: u32 = 293;

    /// 8K, to be cleared before the first word.
    const LARGEST: u32 = 1 << 27;

    /// Is no screen yet.
    pub(crate) const fn new() -> Self {
        Self {
            start: Exported::new(0),
            size: Exported::new(0),
            line: Exported::new(0),
            stride: Exported::new(0),
            scale: Exported::new(0),
            run: Exported::new(0),
            width: Exported::new(0),
            height: Exported::new(0),
            row: Exported::new(0),
            next: Exported::new(0),
        }
    }

    /// Takes a screen into use and clears it; false if it makes no sense. `pixel` is how
    /// many bytes one has, or a character of a screen that is too low to draw any.
    #[inline(never)]
    pub(crate) fn open(
        &self,
        start: u64,
        columns: u32,
        lines: u32,
        stride: u32,
        pixel: u32,
    ) -> bool {
        // A division by `LEAST`, where it matters.
        let scale = lines.wrapping_mul(7) >> 11;
        let (mut width, mut height, mut run) = (pixel, stride, pixel);
        if scale > 0 {
            run = scale.wrapping_mul(pixel);
            width = run.wrapping_mul(COLUMNS);
            height = scale.wrapping_mul(LINES).wrapping_mul(stride);
        }
        let line = columns.wrapping_mul(pixel);
        let size = lines.wrapping_mul(stride);
        self.start.write(start);
        self.size.write(size);
        self.line.write(line);
        self.stride.write(stride);
        self.scale.write(scale);
        self.run.write(run);
        self.width.write(width);
        self.height.write(height);
        if width.wrapping_sub(1) >= line
            || line > stride
            || size > Self::LARGEST
            || !memory::is_free(Region {
                start,
                len: size.into(),
            })
        {
            return false;
        }
        loop {
            self.show(b'\n');
            if self.next.read() == 0 {
                return true;
            }
        }
    }

    /// Shows a byte; a new line clears the rest of its row.
    #[inline(never)]
    pub(crate) fn show(&self, byte: u8) {
        loop {
            self.put(if byte == b'\n' { b' ' } else { byte });
            let width = self.width.read();
            let mut next = self.next.read().wrapping_add(width);
            let mut row = self.row.read();
            let full = next.wrapping_add(width) > row.wrapping_add(self.line.read());
            if full {
                let height = self.height.read();
                row = row.wrapping_add(height);
                if row.wrapping_add(height) > self.size.read() {
                    row = 0;
                }
                self.row.write(row);
                next = row;
            }
            self.next.write(next);
            if full || byte != b'\n' {
                break;
            }
        }
    }

    /// Draws a character, white on black.
    #[inline(never)]
    fn put(&self, byte: u8) {
        const LIGHT_GREY: u32 = 7;
        let mut line = self.start.read().wrapping_add(self.next.read().into());
        let scale = self.scale.read();
        if scale == 0 {
            machine::fill(line, byte.into(), 1);
            return machine::fill(line.wrapping_add(1), LIGHT_GREY, 1);
        }
        let run = self.run.read();
        let mut glyph = glyph(byte);
        for _ in 0..LINES {
            for _ in 0..scale {
                let mut at = line;
                let mut row = glyph & 0x1f;
                for _ in 0..COLUMNS {
                    machine::fill(at, if row & 1 == 0 { 0 } else { u32::MAX }, run);
                    at = at.wrapping_add(run.into());
                    row >>= 1;
                }
                line = line.wrapping_add(self.stride.read().into());
            }
            glyph >>= GLYPH;
        }
    }
}

/// Returns the lines of a glyph, five bits each, the first one lowest.
fn glyph(byte: u8) -> u64 {
    let index = if byte < 0x40 {
        byte.wrapping_sub(b'#')
    } else {
        (byte.wrapping_add(1) & 0x1f).wrapping_add(SIGNS)
    };
    let glyph = FONT.get(usize::from(index)).copied().unwrap_or(0);
    u64::from(glyph & 0x3fff_ffff) << (glyph >> 30).wrapping_mul(GLYPH)
}

/// Glyphs before the letters: `#` to `;`.
const SIGNS: u8 = 25;
/// How many there are: the letters, too, from `_` to `z`. What has none is blank, and
/// capitals, of which reports have no others than those of exceptions, are drawn small.
const GLYPHS: usize = 53;

/// Six lines of five pixels a glyph, from the lowest bit up, and in the highest two bits
/// how many lines lower it begins.
static FONT: [u32; GLYPHS] = font(include_bytes!("font.txt"));

/// Packs the drawing of a font: eight glyphs in a row, eight lines and an empty one a
/// row, five columns and one between them a glyph.
#[expect(clippy::indexing_slicing, reason = "only while it is compiled")]
#[expect(clippy::arithmetic_side_effects, reason = "only while it is compiled")]
#[expect(clippy::as_conversions, reason = "only while it is compiled")]
const fn font(drawing: &[u8]) -> [u32; GLYPHS] {
    const LINE: usize = 8 * 6;
    const ROW: usize = 8 * LINE + 1;
    let mut font = [0; GLYPHS];
    let mut index = 0;
    while index < GLYPHS {
        let corner = index / 8 * ROW + index % 8 * 6;
        let mut rows: u64 = 0;
        let mut pixel = 0;
        while pixel < 8 * 5 {
            let byte = drawing[corner + pixel / 5 * LINE + pixel % 5];
            assert!(matches!(byte, b'#' | b'.'), "the font's drawing is askew");
            rows |= ((byte == b'#') as u64) << pixel;
            pixel += 1;
        }
        let mut lower = 0;
        while rows >> 30 != 0 {
            assert!(rows & 0x1f == 0, "a glyph is higher than six lines");
            rows >>= 5;
            lower += 1;
        }
        font[index] = rows as u32 | lower << 30;
        index += 1;
    }
    font
}
