//! Pictures: the same insights give the same picture, which is the one that was looked at. With `STAGEDOOR_WRITE_PICTURES` set, the
//! pictures in the repository are made anew.

use std::path::PathBuf;

use stagedoor_domain::music::Provider;
use stagedoor_insights::picture::{Picture, heat_map, trend};
use stagedoor_insights::{Days, Insights, MonthRollup, Question, RollupParts, insights, roll_up};

use crate::population::{Listener, plays};

const SEPTEMBER: i64 = 1_788_220_800_000;
const DAY: i64 = 86_400_000;

fn november(plays_heard: usize) -> Insights {
    let listener =
        Listener { seed: 5, plays: plays_heard, from: SEPTEMBER, until: SEPTEMBER + 85 * DAY, tracks: 200 };
    let rollups: Vec<RollupParts> =
        roll_up(&plays(listener)).unwrap().values().map(MonthRollup::to_parts).collect();
    let period = Days { from: "2026-11-01".parse().unwrap(), to: "2026-11-30".parse().unwrap() };
    let zone = chrono_tz::Tz::Europe__Berlin;
    let now = SEPTEMBER + 85 * DAY;
    let question = Question { period, zone, top: 5, gaps: &[], watched: None, now };
    insights(Provider::Spotify, &rollups, &question).unwrap()
}

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "pictures", name].iter().collect()
}

fn pixels(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    (reader.info().width, reader.info().height, pixels)
}

fn is_the_one(picture: &Picture, name: &str) {
    let (svg, png) = (picture.to_svg(), picture.to_png());
    let [svg_file, png_file] = ["svg", "png"].map(|kind| file(&format!("{name}.{kind}")));
    if std::env::vars().any(|(name, _)| name == "STAGEDOOR_WRITE_PICTURES") {
        std::fs::create_dir_all(svg_file.parent().unwrap()).unwrap();
        std::fs::write(&svg_file, &svg).unwrap();
        std::fs::write(&png_file, &png).unwrap();
    }
    assert_eq!(svg, std::fs::read_to_string(svg_file).unwrap(), "{name}.svg");
    // How the pixels are packed may change with the encoder; they may not.
    assert!(pixels(&png) == pixels(&std::fs::read(png_file).unwrap()), "{name}.png");
    assert_eq!(picture.to_png(), png, "the same picture twice");
}

#[test]
fn pictures_are_those_that_were_looked_at() {
    let insights = november(3_000);
    is_the_one(&heat_map(&insights), "heat_map");
    is_the_one(&trend(&insights), "trend");
}

#[test]
fn pictures_of_nothing_are_pictures() {
    let nothing = november(0);
    for picture in [heat_map(&nothing), trend(&nothing)] {
        assert!(picture.description().contains("0 plays"), "{}", picture.description());
        assert!(picture.to_svg().contains("</svg>"));
        let (width, height, _) = pixels(&picture.to_png());
        assert!(width > 1_000 && height > 400);
    }
}

#[test]
fn a_picture_says_what_it_shows() {
    let insights = november(3_000);
    let (map, trend) = (heat_map(&insights), trend(&insights));
    assert_eq!(map.title(), "Spotify: plays by weekday and hour");
    let svg = map.to_svg();
    assert!(svg.contains("role=\"img\"") && svg.contains("<title id=\"title\">"));
    assert!(svg.contains(map.description()) && map.description().contains("The busiest hour is"));
    assert!(svg.contains("2026-11-01 to 2026-11-30, time of Europe/Berlin"));
    assert!(trend.description().contains("from 2026-10-02 to 2026-10-31"), "{}", trend.description());
    assert!(map.to_png().len() < 20_000 && trend.to_png().len() < 20_000);
}
