//! Bytes that are no roll-up are refused, whichever they are, and never answered from.

use proptest::prelude::*;
use stagedoor_domain::music::Provider;
use stagedoor_insights::{
    Days, InsightsError, MonthParts, MonthRollup, Question, RollupParts, count, insights, roll_up,
};

use crate::population::{Listener, plays};

const NOVEMBER: i64 = 1_793_491_200_000;
const DAY: i64 = 86_400_000;

fn month() -> RollupParts {
    let listener = Listener { seed: 7, plays: 60, from: NOVEMBER, until: NOVEMBER + 20 * DAY, tracks: 20 };
    roll_up(&plays(listener)).unwrap().values().next().unwrap().to_parts()
}

fn question() -> Question<'static> {
    let period = Days { from: "2026-11-01".parse().unwrap(), to: "2026-11-30".parse().unwrap() };
    Question { period, zone: chrono_tz::Tz::UTC, top: 5, gaps: &[], watched: None, now: NOVEMBER + 30 * DAY }
}

fn answered(month: &RollupParts) -> Result<(), InsightsError> {
    insights(Provider::Spotify, std::slice::from_ref(month), &question()).map(|_| ())
}

/// Each part of a month in turn.
fn parts(month: &mut RollupParts) -> [&mut Vec<u8>; 3] {
    [&mut month.heard, &mut month.plays, &mut month.names]
}

#[test]
fn other_versions_and_what_is_cut_short_are_refused() {
    assert_eq!(answered(&month()), Ok(()));
    for part in 0..3 {
        let mut later = month();
        parts(&mut later)[part][2] += 1;
        assert_eq!(MonthRollup::from_parts(&later).unwrap_err(), InsightsError::Version);
        assert_eq!(answered(&later), Err(InsightsError::Version));
        let mut empty = month();
        parts(&mut empty)[part].clear();
        assert_eq!(answered(&empty), Err(InsightsError::Version));
        let mut longer = month();
        parts(&mut longer)[part].push(0x80);
        assert!(matches!(answered(&longer), Err(InsightsError::Damaged(_)) | Ok(())), "{part}");
        if part > 0 {
            assert!(MonthRollup::from_parts(&longer).is_err(), "{part}");
            let whole = parts(&mut month())[part].clone();
            for length in 0..whole.len() {
                let mut short = month();
                parts(&mut short)[part].truncate(length);
                assert!(MonthRollup::from_parts(&short).is_err(), "{part}: {length}");
                assert!(answered(&short).is_err(), "{part}: {length}");
            }
        }
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let (one, other) = (month(), RollupParts::default());
    let mut swapped = RollupParts { plays: one.names.clone(), ..one.clone() };
    assert_eq!(answered(&swapped), Err(InsightsError::Version));
    let later =
        Listener { seed: 7, plays: 9, from: NOVEMBER + 31 * DAY, until: NOVEMBER + 40 * DAY, tracks: 9 };
    let later = roll_up(&plays(later)).unwrap().values().next().unwrap().to_parts();
    swapped.plays = later.plays;
    assert_eq!(answered(&swapped), Err(InsightsError::Mixed));
    assert_eq!(answered(&other), Err(InsightsError::Version));
    let missing = [MonthParts { heard: &one.heard, plays: None }];
    let refused = count(Provider::Spotify, &missing, &question()).unwrap_err();
    assert_eq!(refused.to_string(), "the roll-up of 2026-11 is needed, and was not handed in");
    let asked = question();
    let whole = [MonthParts { heard: &one.heard, plays: Some(&one.plays) }];
    let counted = count(Provider::Spotify, &whole, &asked).unwrap();
    assert!(matches!(counted.answer::<Vec<u8>>(&[]), Err(InsightsError::Missing(_))));
}

#[test]
fn providers_and_months_are_not_mixed() {
    let month = month();
    let twice = insights(Provider::Spotify, &[month.clone(), month.clone()], &question());
    assert_eq!(twice.unwrap_err(), InsightsError::Mixed);
    assert_eq!(
        insights(Provider::Tidal, std::slice::from_ref(&month), &question()).unwrap_err(),
        InsightsError::Mixed
    );
    let backwards = Days { from: "2026-11-02".parse().unwrap(), to: "2026-11-01".parse().unwrap() };
    let asked = insights(
        Provider::Spotify,
        std::slice::from_ref(&month),
        &Question { period: backwards, ..question() },
    );
    assert_eq!(asked.unwrap_err(), InsightsError::EmptyPeriod);
    let endless = Days { from: "1900-01-01".parse().unwrap(), to: "2026-11-01".parse().unwrap() };
    let asked = insights(
        Provider::Spotify,
        std::slice::from_ref(&month),
        &Question { period: endless, ..question() },
    );
    assert_eq!(asked.unwrap_err(), InsightsError::LongPeriod);
}

proptest! {
    #[test]
    fn changed_bytes_do_not_panic(part in 0_usize..3, at in 0_usize..10_000, value: u8) {
        let mut month = month();
        let length = parts(&mut month)[part].len();
        parts(&mut month)[part][at % length] = value;
        // Changed texts or numbers may still be read; nothing else may happen.
        if let Ok(rollup) = MonthRollup::from_parts(&month) {
            prop_assert!(rollup.len() <= month.plays.len());
        }
        let _ = answered(&month);
    }
}
