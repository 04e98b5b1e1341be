//! The answers against a calculation in another language that knows plays only, no roll-ups: `tests/insights/figures.py`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use serde_json::{Value, json};
use stagedoor_domain::music::Provider;
use stagedoor_insights::{Days, Gap, MonthRollup, Play, Question, RollupParts, Watched, insights, roll_up};

use crate::population::{Listener, plays};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/insights/figures.py");
const DAY: i64 = 86_400_000;

/// Zones, and the first and last day of a time in which their clocks did something: they went forward or back, by half an
/// hour, at midnight, a minute after it, not at all; a day was left out; offsets of three quarters.
const CASES: [(&str, &str, &str); 12] = [
    ("UTC", "2023-12-20", "2024-03-10"),
    ("Europe/Berlin", "2024-03-20", "2024-04-05"),
    ("Europe/Berlin", "2024-10-20", "2024-11-05"),
    ("America/New_York", "2024-02-29", "2024-11-30"),
    ("America/St_Johns", "2010-10-30", "2010-11-15"),
    ("America/Sao_Paulo", "2018-10-28", "2018-11-10"),
    ("Asia/Kathmandu", "2024-01-31", "2024-02-29"),
    ("Pacific/Chatham", "2024-04-01", "2024-04-10"),
    ("Australia/Lord_Howe", "2024-03-31", "2024-04-14"),
    ("Pacific/Apia", "2011-12-25", "2012-01-05"),
    ("Africa/Casablanca", "2024-03-01", "2024-04-30"),
    ("Pacific/Kiritimati", "2024-02-01", "2024-02-29"),
];

#[test]
fn every_figure_is_what_an_independent_calculation_gives() {
    let zones = "import zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin')";
    if !Command::new("python3").args(["-c", zones]).output().is_ok_and(|ran| ran.status.success()) {
        eprintln!(
            "SKIPPED: there is no python3 that knows time zones, to calculate the figures independently"
        );
        return;
    }
    for (seed, (zone, from, to)) in (1_u64..).zip(CASES) {
        let (from, to): (NaiveDate, NaiveDate) = (from.parse().unwrap(), to.parse().unwrap());
        let zone: Tz = zone.parse().unwrap();
        let (begin, days) = (midnight(from), (to - from).num_days() + 1);
        let plays = plays(Listener {
            seed,
            plays: 1_500,
            from: begin - (days * 2 + 40) * DAY,
            until: begin + (days + 2) * DAY,
            tracks: 150,
        });
        let gap = |first: i64, hours: i64| Gap {
            from: begin + first * DAY,
            to: begin + first * DAY + hours * DAY / 24,
            reason: format!("gap of {hours} h"),
        };
        let gaps = [gap(-3, 90), gap(1, 5), gap(2, 40), gap(days - 1, 300), gap(-80, 2)];
        for (top, now, watched) in [
            (10, begin + (days + 5) * DAY, None),
            (3, begin + days / 2 * DAY + 5_000, Some(Watched { since: begin - DAY, until: begin + 3 * DAY })),
        ] {
            let period = Days { from, to };
            let question = Question { period, zone, top, gaps: &gaps, watched, now };
            compare(&plays, &question);
        }
    }
}

fn midnight(day: NaiveDate) -> i64 {
    DateTime::from_timestamp_millis(0).map(|epoch| (day - epoch.date_naive()).num_days() * DAY).unwrap()
}

fn compare(plays: &[Play], question: &Question<'_>) {
    let rollups: Vec<RollupParts> = roll_up(plays).unwrap().values().map(MonthRollup::to_parts).collect();
    let ours = serde_json::to_value(insights(Provider::Spotify, &rollups, question).unwrap()).unwrap();
    let theirs = calculated(plays, question);
    let (days, zone) = (question.period, question.zone);
    same(&ours, &theirs, &format!("{} to {} in {zone}", days.from, days.to));
}

fn calculated(plays: &[Play], question: &Question<'_>) -> Value {
    let gaps: Vec<Value> = question.gaps.iter().map(|gap| json!([gap.from, gap.to, gap.reason])).collect();
    let asked = json!({
        "plays": plays,
        "from": question.period.from,
        "to": question.period.to,
        "zone": question.zone.name(),
        "top": question.top,
        "gaps": gaps,
        "watched": question.watched.map(|watched| [watched.since, watched.until]),
        "now": question.now,
    });
    let mut python = Command::new("python3")
        .arg(PROGRAM)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the calculation in Python failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every member the same; rates but for the last of their digits, which the two languages may round differently.
fn same(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            let names = |object: &serde_json::Map<String, Value>| {
                object.keys().cloned().collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!(names(one), names(other), "{at}");
            one.iter().for_each(|(name, value)| same(value, &other[name], &format!("{at}: {name}")));
        }
        (Value::Array(one), Value::Array(other)) => {
            assert_eq!(one.len(), other.len(), "{at}: {ours} {theirs}");
            let pairs = one.iter().zip(other).enumerate();
            pairs.for_each(|(number, (one, other))| same(one, other, &format!("{at}[{number}]")));
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            let difference = one.as_f64().unwrap() - other.as_f64().unwrap();
            assert!(difference.abs() < 0.000_11, "{at}: {one} {other}");
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}
