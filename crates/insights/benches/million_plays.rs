//! How long insights of a million plays take, their roll-ups sealed as they are stored, beside the least that can be done
//! with those bytes: reading each of them once.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it tells figures, or fails")]

#[path = "../tests/it/population.rs"]
mod population;

use std::hint::black_box;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use stagedoor_crypto::{DataKey, KeyOwner, SealContext, SystemEntropy};
use stagedoor_domain::music::Provider;
use stagedoor_domain::{Clock as _, SystemClock, TenantId, UserId};
use stagedoor_insights::{Days, Month, MonthParts, MonthRollup, Question, RollupParts, count, roll_up};
use uuid::Uuid;

use crate::population::{Listener, plays};

const PLAYS: usize = 1_000_000;
/// 2016-12-01 to 2026-12-01.
const FROM: i64 = 1_480_550_400_000;
const UNTIL: i64 = 1_796_083_200_000;
const BOUND: Duration = Duration::from_millis(50);

fn main() {
    let clock = SystemClock::new();
    let started = clock.elapsed();
    let plays = plays(Listener { seed: 1, plays: PLAYS, from: FROM, until: UNTIL, tracks: 60_000 });
    let made = clock.elapsed();
    let rollups = roll_up(&plays).unwrap();
    let rolled_up = clock.elapsed();
    drop(plays);
    let entropy = SystemEntropy;
    let key = DataKey::generate(Uuid::from_u128(1), KeyOwner::Subject(UserId(Uuid::from_u128(2))), &entropy);
    let context = |row: usize, column: &'static str| SealContext {
        tenant: TenantId(Uuid::from_u128(3)),
        table: "listening_rollups",
        column,
        row: Uuid::from_u128(row as u128),
        revision: 1,
    };
    let sealed = |column: &'static str, part: fn(&RollupParts) -> &Vec<u8>| -> Vec<Vec<u8>> {
        let rows = rollups.values().map(MonthRollup::to_parts).enumerate();
        rows.map(|(row, parts)| key.seal(&context(row, column), part(&parts), &entropy)).collect()
    };
    let heard = sealed("heard", |parts| &parts.heard);
    let played = sealed("plays", |parts| &parts.plays);
    let names = sealed("names", |parts| &parts.names);
    let months: Vec<Month> = rollups.keys().map(|(_, month)| *month).collect();
    let sizes = [&heard, &played, &names].map(|part| part.iter().map(Vec::len).sum::<usize>());
    println!(
        "{PLAYS} plays in {} months: made in {:?}, rolled up in {:?}; bytes sealed: {sizes:?} (heard, plays, names)",
        months.len(),
        made.saturating_sub(started),
        rolled_up.saturating_sub(made),
    );

    let best = |work: &dyn Fn() -> u64| {
        let mut times: Vec<Duration> = (0..15)
            .map(|_| {
                let before = clock.elapsed();
                black_box(work());
                clock.elapsed().saturating_sub(before)
            })
            .collect();
        times.sort_unstable();
        (times[0], times[times.len() / 2])
    };
    let read = || {
        let bytes = heard.iter().chain(&played).flatten();
        bytes.map(|byte| u64::from(*byte)).sum()
    };
    let open =
        |sealed: &[Vec<u8>], column, row: usize| key.open(&context(row, column), &sealed[row]).unwrap();
    let open_all = || {
        let all = 0..months.len();
        all.map(|row| open(&heard, "heard", row).len() + open(&played, "plays", row).len()).sum::<usize>()
            as u64
    };
    let answer = |from: &str, to: &str| {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let period = Days { from: day(from), to: day(to) };
        let zone = Tz::Europe__Berlin;
        let question = Question { period, zone, top: 20, gaps: &[], watched: None, now: UNTIL };
        let (first, last) = question.months().unwrap();
        let opened: Vec<_> = (0..months.len())
            .map(|row| MonthParts {
                heard: open(&heard, "heard", row),
                plays: (first..=last).contains(&months[row]).then(|| open(&played, "plays", row)),
            })
            .collect();
        let counted = count(Provider::Spotify, &opened, &question).unwrap();
        let named = counted.months_to_name();
        let rows = (0..months.len()).filter(|row| named.contains(&months[*row]));
        let names: Vec<_> = rows.map(|row| open(&names, "names", row)).collect();
        counted.answer(&names).unwrap().totals.plays
    };
    let (floor, floor_median) = best(&read);
    println!("reading every byte of tracks and plays once: {floor:?} (median {floor_median:?})");
    let (opened, opened_median) = best(&open_all);
    println!("opening those: {opened:?} (median {opened_median:?}), {:.1} × reading", ratio(opened, floor));
    let mut failed = false;
    for (name, from, to) in [
        ("ten years", "2016-12-01", "2026-11-30"),
        ("a year", "2025-12-01", "2026-11-30"),
        ("a month", "2026-11-01", "2026-11-30"),
        ("a week across two months", "2026-10-28", "2026-11-03"),
    ] {
        let (best, median) = best(&|| answer(from, to));
        let holds = median < BOUND;
        failed |= !holds;
        println!(
            "insights of {name}, opening included: {best:?} (median {median:?}), {:.1} × reading, bound {BOUND:?} {}",
            ratio(best, floor),
            if holds { "ok" } else { "FAIL" }
        );
    }
    assert!(!failed, "insights took too long");
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
