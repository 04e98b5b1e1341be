//! A picture as SVG.

use std::fmt::Write as _;

use super::{Anchor, Colour, LINE, Picture, Shape};

/// From the top of a line to the foot of its letters.
const BASELINE: u32 = 12;

pub(super) fn write(picture: &Picture) -> String {
    let (width, height) = (picture.width, picture.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title description\" \
         font-family=\"'Noto Sans Mono', 'DejaVu Sans Mono', monospace\" font-size=\"{}\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n",
        LINE * 3 / 4,
        escaped(&picture.title),
        escaped(&picture.description),
    );
    for shape in &picture.shapes {
        // Writing to a string does not fail.
        let _ = match shape {
            Shape::Box { left, top, width, height, fill, edge: None } => writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"{}\"/>",
                hex(*fill)
            ),
            Shape::Box { left, top, width, height, fill, edge: Some(edge) } => writeln!(
                svg,
                "<rect x=\"{left}.5\" y=\"{top}.5\" width=\"{}\" height=\"{}\" fill=\"{}\" stroke=\"{}\"/>",
                width.saturating_sub(1),
                height.saturating_sub(1),
                hex(*fill),
                hex(*edge)
            ),
            Shape::Text { at, top, anchor, bold, colour, text } => writeln!(
                svg,
                "<text x=\"{at}\" y=\"{}\" fill=\"{}\"{}{}>{}</text>",
                top + BASELINE,
                hex(*colour),
                match anchor {
                    Anchor::Start => "",
                    Anchor::Middle => " text-anchor=\"middle\"",
                    Anchor::End => " text-anchor=\"end\"",
                },
                if *bold { " font-weight=\"bold\"" } else { "" },
                escaped(text)
            ),
        };
    }
    svg.push_str("</svg>\n");
    svg
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
