//! Bytes that are no roll-up are refused, whichever they are, and never answered from.

use proptest::prelude::*;
use stagedoor_domain::music::Provider;
use stagedoor_insights::{Days, InsightsError, MonthRollup, Question, insights, roll_up};

use crate::population::{Listener, plays};

const NOVEMBER: i64 = 1_793_491_200_000;
const DAY: i64 = 86_400_000;

fn month() -> Vec<u8> {
    let listener = Listener { seed: 7, plays: 60, from: NOVEMBER, until: NOVEMBER + 20 * DAY, tracks: 20 };
    roll_up(&plays(listener)).unwrap().values().next().unwrap().to_bytes()
}

fn question() -> Question<'static> {
    let period = Days { from: "2026-11-01".parse().unwrap(), to: "2026-11-30".parse().unwrap() };
    Question { period, zone: chrono_tz::Tz::UTC, top: 5, gaps: &[], watched: None, now: NOVEMBER + 30 * DAY }
}

#[test]
fn other_versions_and_what_is_cut_short_are_refused() {
    let whole = month();
    assert!(insights(Provider::Spotify, &[&whole], &question()).is_ok());
    let mut later = whole.clone();
    later[2] += 1;
    assert_eq!(MonthRollup::from_bytes(&later).unwrap_err(), InsightsError::Version);
    assert_eq!(MonthRollup::from_bytes(b"").unwrap_err(), InsightsError::Version);
    for length in 0..whole.len() {
        assert!(MonthRollup::from_bytes(&whole[..length]).is_err(), "{length}");
        assert!(insights(Provider::Spotify, &[&whole[..length]], &question()).is_err(), "{length}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert!(matches!(MonthRollup::from_bytes(&longer), Err(InsightsError::Damaged("play"))));
}

#[test]
fn providers_and_months_are_not_mixed() {
    let month = month();
    let twice = insights(Provider::Spotify, &[&month, &month], &question());
    assert_eq!(twice.unwrap_err(), InsightsError::Mixed);
    assert_eq!(insights(Provider::Tidal, &[&month], &question()).unwrap_err(), InsightsError::Mixed);
    let backwards = Days { from: "2026-11-02".parse().unwrap(), to: "2026-11-01".parse().unwrap() };
    let asked = insights(Provider::Spotify, &[&month], &Question { period: backwards, ..question() });
    assert_eq!(asked.unwrap_err(), InsightsError::EmptyPeriod);
    let endless = Days { from: "1900-01-01".parse().unwrap(), to: "2026-11-01".parse().unwrap() };
    let asked = insights(Provider::Spotify, &[&month], &Question { period: endless, ..question() });
    assert_eq!(asked.unwrap_err(), InsightsError::LongPeriod);
}

proptest! {
    #[test]
    fn changed_bytes_do_not_panic(at in 0_usize..10_000, value: u8) {
        let mut bytes = month();
        let length = bytes.len();
        bytes[at % length] = value;
        // Changed texts or numbers may still be read; nothing else may happen.
        if let Ok(rollup) = MonthRollup::from_bytes(&bytes) {
            prop_assert!(rollup.len() <= bytes.len());
        }
        let _ = insights(Provider::Spotify, &[&bytes], &question());
    }
}
