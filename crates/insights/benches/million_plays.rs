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
use stagedoor_insights::{Days, MonthRollup, Question, insights, roll_up};
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
    let rollups: Vec<Vec<u8>> = roll_up(&plays).unwrap().values().map(MonthRollup::to_bytes).collect();
    let rolled_up = clock.elapsed();
    drop(plays);
    let entropy = SystemEntropy;
    let key = DataKey::generate(Uuid::from_u128(1), KeyOwner::Subject(UserId(Uuid::from_u128(2))), &entropy);
    let context = |row: usize| SealContext {
        tenant: TenantId(Uuid::from_u128(3)),
        table: "listening_rollups",
        column: "sealed",
        row: Uuid::from_u128(row as u128),
        revision: 1,
    };
    let sealed: Vec<Vec<u8>> =
        rollups.iter().enumerate().map(|(row, bytes)| key.seal(&context(row), bytes, &entropy)).collect();
    let bytes: usize = sealed.iter().map(Vec::len).sum();
    println!(
        "{PLAYS} plays in {} months: made in {:?}, rolled up in {:?}; {bytes} bytes sealed, {} a play",
        sealed.len(),
        made.saturating_sub(started),
        rolled_up.saturating_sub(made),
        bytes / PLAYS
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
    let read = || sealed.iter().flatten().map(|byte| u64::from(*byte)).sum();
    let open = || {
        let opened = sealed.iter().enumerate().map(|(row, bytes)| key.open(&context(row), bytes).unwrap());
        opened.collect::<Vec<_>>()
    };
    let answer = |from: &str, to: &str| {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let period = Days { from: day(from), to: day(to) };
        let zone = Tz::Europe__Berlin;
        let question = Question { period, zone, top: 20, gaps: &[], watched: None, now: UNTIL };
        insights(Provider::Spotify, &open(), &question).unwrap().totals.plays
    };
    let (floor, floor_median) = best(&read);
    println!("reading every byte once: {floor:?} (median {floor_median:?})");
    let (opened, opened_median) = best(&|| open().len() as u64);
    println!("opening: {opened:?} (median {opened_median:?}), {:.1} × reading", ratio(opened, floor));
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
