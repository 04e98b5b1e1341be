//! Plays by weekday and hour, as a map of coloured cells.

use super::{Anchor, BLACK, Colour, GREY, LINE, PALE, Picture, WHITE, many, subtitle};
use crate::Insights;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// From few to many: `ColorBrewer`'s Blues, each darker than the one before, so that they are told apart without seeing
/// colours, too.
const BLUES: [Colour; 6] = [
    [0xde, 0xeb, 0xf7],
    [0xc6, 0xdb, 0xef],
    [0x9e, 0xca, 0xe1],
    [0x6b, 0xae, 0xd6],
    [0x31, 0x82, 0xbd],
    [0x08, 0x45, 0x94],
];

const CELL: u32 = 26;
const LEFT: u32 = 56;
const TOP: u32 = 60;
const WIDTH: u32 = LEFT + 24 * CELL + 24;

/// Plays by weekday and hour.
pub fn heat_map(insights: &Insights) -> Picture {
    let title = format!("{}: plays by weekday and hour", insights.provider.title());
    let bottom = TOP + 7 * CELL;
    let mut picture = Picture::new(WIDTH, bottom + 92, title.clone(), description(insights));
    picture.heading((LEFT, 12), title);
    picture.text((LEFT, 12 + LINE + 4), Anchor::Start, GREY, subtitle(insights));

    let classes = classes(insights.hours.iter().flatten().copied().max().unwrap_or_default());
    for ((row, name), plays) in (0..).zip(WEEKDAYS).zip(&insights.hours) {
        let top = TOP + row * CELL;
        picture.text((LEFT - 8, top + (CELL - LINE) / 2), Anchor::End, BLACK, name);
        for (column, plays) in (0..).zip(plays) {
            let fill = classes.iter().find(|class| (class.from..=class.to).contains(plays));
            let fill = fill.map_or(WHITE, |class| class.colour);
            picture.framed((LEFT + column * CELL, top), (CELL - 1, CELL - 1), fill, PALE);
        }
    }
    for hour in (0..24).step_by(3) {
        let middle = LEFT + hour * CELL + CELL / 2;
        picture.text((middle, bottom + 4), Anchor::Middle, BLACK, format!("{hour:02}"));
    }
    let middle = LEFT + 12 * CELL;
    picture.text((middle, bottom + 4 + LINE), Anchor::Middle, GREY, "hour of the day, from :00 to :59");

    let mut left = LEFT;
    let top = bottom + 60;
    picture.text((left, top), Anchor::Start, BLACK, "plays");
    left += 56;
    for class in [Class { from: 0, to: 0, colour: WHITE }].iter().chain(&classes) {
        let label = if class.from == class.to {
            class.to.to_string()
        } else {
            format!("{}-{}", class.from, class.to)
        };
        picture.framed((left, top), (LINE, LINE), class.colour, PALE);
        let width = u32::try_from(label.len()).unwrap_or_default() * super::LETTER;
        picture.text((left + LINE + 5, top), Anchor::Start, BLACK, label);
        left += LINE + 5 + width + 14;
    }
    picture
}

/// So many plays have this colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class {
    from: u64,
    to: u64,
    colour: Colour,
}

/// Classes of equal width up to the most plays, as many as there are colours or numbers.
fn classes(most: u64) -> Vec<Class> {
    let count = most.min(BLUES.len() as u64);
    // The darkest stands for the most, however few classes there are.
    let colours = BLUES.iter().skip(BLUES.len() - usize::try_from(count).unwrap_or_default());
    (0..count)
        .zip(colours)
        .map(|(number, colour)| Class {
            from: most * number / count + 1,
            to: most * (number + 1) / count,
            colour: *colour,
        })
        .collect()
}

fn description(insights: &Insights) -> String {
    let all = format!("{}. {}.", subtitle(insights), many(insights.totals.plays, "play"));
    let Some(busiest) = &insights.busiest else { return all };
    let (day, hour, plays) = (&busiest.weekday, busiest.hour, many(busiest.plays, "play"));
    format!("{all} The busiest hour is {day} from {hour:02}:00 to {hour:02}:59 with {plays}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_one_class_and_more_is_darker() {
        for most in [0, 1, 2, 5, 6, 7, 100, 9_999] {
            let classes = classes(most);
            let mut next = 1;
            for class in &classes {
                assert_eq!(class.from, next, "{most}: {classes:?}");
                assert!(class.to >= class.from);
                next = class.to + 1;
            }
            assert_eq!(next, most + 1);
            assert_eq!(classes.len() as u64, most.min(6));
        }
        // Relative luminance, WCAG 2.2.
        let luminance = |colour: Colour| {
            let [red, green, blue] = colour.map(|part| (f64::from(part) / 255.0).powf(2.2));
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let all: Vec<f64> = BLUES.map(luminance).to_vec();
        for pair in all.windows(2) {
            assert!((pair[0] + 0.05) / (pair[1] + 0.05) > 1.14, "{all:?}");
        }
    }
}
