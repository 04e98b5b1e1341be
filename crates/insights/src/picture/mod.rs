//! Pictures of insights: shapes on a grid of pixels, written as SVG or as PNG. The same insights give the same bytes. All
//! text in them is ours or a zone's name; none comes from a provider.

mod heat_map;
mod png;
mod svg;
mod trend;

use crate::Insights;

pub use heat_map::heat_map;
pub use trend::trend;

/// A colour: red, green, blue.
pub(crate) type Colour = [u8; 3];

pub(crate) const WHITE: Colour = [0xff, 0xff, 0xff];
pub(crate) const BLACK: Colour = [0x1a, 0x1a, 0x1a];
/// Lines and small print: 4.6:1 against white, as WCAG 2.2 §1.4.3 wants of text.
pub(crate) const GREY: Colour = [0x75, 0x75, 0x75];
pub(crate) const PALE: Colour = [0xd9, 0xd9, 0xd9];

/// Height of a line of text, and width of each of its characters.
pub(crate) const LINE: u32 = 16;
pub(crate) const LETTER: u32 = 7;

/// A picture, and what it says in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    title: String,
    description: String,
    shapes: Vec<Shape>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Box { left: u32, top: u32, width: u32, height: u32, fill: Colour, edge: Option<Colour> },
    Text { at: u32, top: u32, anchor: Anchor, bold: bool, colour: Colour, text: String },
}

/// Which part of a text stands at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Picture {
    fn new(width: u32, height: u32, title: String, description: String) -> Self {
        let mut picture = Self { width, height, title, description, shapes: vec![] };
        picture.fill((0, 0), (width, height), WHITE);
        picture
    }

    /// What it shows, in a few words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What can be read from it, for those who do not see it.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// As SVG 1.1, with title and description.
    pub fn to_svg(&self) -> String {
        svg::write(self)
    }

    /// As PNG, with two pixels for each of the grid's, so that it stays sharp on dense screens.
    pub fn to_png(&self) -> Vec<u8> {
        png::write(self)
    }

    fn fill(&mut self, (left, top): (u32, u32), (width, height): (u32, u32), fill: Colour) {
        self.shapes.push(Shape::Box { left, top, width, height, fill, edge: None });
    }

    fn framed(&mut self, (left, top): (u32, u32), (width, height): (u32, u32), fill: Colour, edge: Colour) {
        self.shapes.push(Shape::Box { left, top, width, height, fill, edge: Some(edge) });
    }

    fn text(&mut self, (at, top): (u32, u32), anchor: Anchor, colour: Colour, text: impl Into<String>) {
        self.shapes.push(Shape::Text { at, top, anchor, bold: false, colour, text: text.into() });
    }

    fn heading(&mut self, (at, top): (u32, u32), text: impl Into<String>) {
        let text = text.into();
        self.shapes.push(Shape::Text { at, top, anchor: Anchor::Start, bold: true, colour: BLACK, text });
    }
}

/// Of which days the picture is, in whose time, and of how much of it anything is known.
fn subtitle(insights: &Insights) -> String {
    let (from, to, zone) = (insights.totals.from, insights.totals.to, &insights.zone);
    match insights.coverage.rate {
        Some(rate) if rate < 1.0 => {
            format!("{from} to {to}, time of {zone}; known for {:.0} % of the time", (rate * 100.0).floor())
        }
        _ => format!("{from} to {to}, time of {zone}"),
    }
}

fn many(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
