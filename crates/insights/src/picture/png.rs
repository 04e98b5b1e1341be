//! A picture as PNG: boxes and letters need no more than filling pixels. The letters are Noto Sans Mono, rasterised.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use png::{BitDepth, ColorType, Compression, Encoder, Filter};

use super::{Anchor, Colour, LETTER, Picture, Shape, WHITE};

const SCALE: u32 = 2;
/// Twice the height of a line.
const HEIGHT: RasterHeight = RasterHeight::Size32;

/// Strengths of ink that letters have at their edges: enough to be smooth, and few colours in all.
const SHADES: u32 = 15;

/// Pixels by their place in the palette. A picture has far fewer than 256 colours: its own, and the shades of two colours
/// of letters.
struct Pixels {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
    palette: Vec<Colour>,
}

pub(super) fn write(picture: &Picture) -> Vec<u8> {
    let mut pixels = Pixels::white(picture.width * SCALE, picture.height * SCALE);
    for shape in &picture.shapes {
        match shape {
            Shape::Box { left, top, width, height, fill, edge } => {
                let [left, top, width, height] = [left, top, width, height].map(|length| length * SCALE);
                pixels.fill((left, top), (width, height), edge.unwrap_or(*fill));
                if edge.is_some() {
                    let inner = (width.saturating_sub(2 * SCALE), height.saturating_sub(2 * SCALE));
                    pixels.fill((left + SCALE, top + SCALE), inner, *fill);
                }
            }
            Shape::Text { at, top, anchor, bold, colour, text } => {
                let letters = u32::try_from(text.chars().count()).unwrap_or_default();
                let width = letters * LETTER * SCALE;
                let at = at * SCALE;
                let left = match anchor {
                    Anchor::Start => at,
                    Anchor::Middle => at.saturating_sub(width / 2),
                    Anchor::End => at.saturating_sub(width),
                };
                pixels.text((left, top * SCALE), *bold, *colour, text);
            }
        }
    }
    pixels.to_png(&picture.title, &picture.description)
}

impl Pixels {
    fn white(width: u32, height: u32) -> Self {
        Self { width, height, bytes: vec![0; width as usize * height as usize], palette: vec![WHITE] }
    }

    fn colour(&mut self, colour: Colour) -> u8 {
        let known = self.palette.iter().position(|known| *known == colour);
        let place = known.unwrap_or_else(|| {
            self.palette.push(colour);
            self.palette.len() - 1
        });
        debug_assert!(place < 256, "more colours than a palette holds");
        u8::try_from(place).unwrap_or_default()
    }

    fn at(&mut self, x: u32, y: u32) -> Option<&mut u8> {
        if x >= self.width || y >= self.height {
            return None;
        }
        self.bytes.get_mut(y as usize * self.width as usize + x as usize)
    }

    fn fill(&mut self, (left, top): (u32, u32), (width, height): (u32, u32), colour: Colour) {
        let colour = self.colour(colour);
        for y in top..top + height {
            for x in left..left + width {
                if let Some(pixel) = self.at(x, y) {
                    *pixel = colour;
                }
            }
        }
    }

    fn text(&mut self, (left, top): (u32, u32), bold: bool, colour: Colour, text: &str) {
        let weight = if bold { FontWeight::Bold } else { FontWeight::Regular };
        let step = u32::try_from(get_raster_width(weight, HEIGHT)).unwrap_or_default();
        for (number, letter) in (0..).zip(text.chars()) {
            // Zones and our own words are ASCII, of which the font has all that can be seen.
            let Some(letter) = get_raster(letter, weight, HEIGHT) else { continue };
            for (y, row) in (top..).zip(letter.rows()) {
                for (x, ink) in (left + number * step..).zip(row) {
                    self.ink((x, y), colour, u32::from(*ink) * SHADES / 255);
                }
            }
        }
    }

    /// Ink of a strength from 0 to `SHADES` over what is there.
    fn ink(&mut self, (x, y): (u32, u32), ink: Colour, strength: u32) {
        let Some(place) = self.at(x, y).filter(|_| strength > 0).map(|place| *place) else { return };
        let mut mixed = self.palette[usize::from(place)];
        for (channel, ink) in mixed.iter_mut().zip(ink) {
            let sum = u32::from(*channel) * (SHADES - strength) + u32::from(ink) * strength;
            *channel = u8::try_from(sum / SHADES).unwrap_or(u8::MAX);
        }
        let mixed = self.colour(mixed);
        if let Some(pixel) = self.at(x, y) {
            *pixel = mixed;
        }
    }

    /// Neither the width, which is not 0, nor the length of the bytes, which fits it, can be wrong, and memory takes all.
    fn to_png(&self, title: &str, description: &str) -> Vec<u8> {
        let mut bytes = vec![];
        let mut encoder = Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(self.palette.concat());
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::High);
        encoder.set_filter(Filter::NoFilter);
        let written = encoder
            .add_text_chunk("Title".to_owned(), title.to_owned())
            .and_then(|()| encoder.add_text_chunk("Description".to_owned(), description.to_owned()))
            .and_then(|()| encoder.write_header())
            .and_then(|mut writer| {
                writer.write_image_data(&self.bytes)?;
                writer.finish()
            });
        debug_assert!(written.is_ok(), "{written:?}");
        bytes
    }
}
