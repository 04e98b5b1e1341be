//! Rolling up gives the same in whatever order and in however many steps.

use proptest::prelude::*;
use stagedoor_domain::music::Provider;
use stagedoor_insights::{InsightsError, Month, MonthRollup, Play, PlaySource, RollupParts, roll_up};

use crate::population::{Listener, plays};

/// 2026-10-25, before the clocks are set back in Europe.
const OCTOBER: i64 = 1_792_886_400_000;
const DAY: i64 = 86_400_000;

fn listener(seed: u64, count: usize) -> Vec<Play> {
    plays(Listener { seed, plays: count, from: OCTOBER, until: OCTOBER + 40 * DAY, tracks: 30 })
}

fn parts(plays: &[Play]) -> Vec<RollupParts> {
    roll_up(plays).unwrap().values().map(MonthRollup::to_parts).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_order_of_plays_does_not_matter(seed: u64, count in 0_usize..200, turn in 0_usize..200) {
        let mut plays = listener(seed, count);
        let before = parts(&plays);
        plays.reverse();
        plays.rotate_left(turn.min(count));
        prop_assert_eq!(parts(&plays), before);
    }

    #[test]
    fn adding_to_what_was_stored_is_rolling_up_anew(seed: u64, count in 1_usize..200, cut in 0_usize..200) {
        let plays = listener(seed, count);
        let cut = cut.min(count);
        let mut stored = roll_up(&plays[..cut]).unwrap();
        for play in &plays[cut..] {
            let month = Month::of(play.played_at).unwrap();
            let key = (play.provider, month);
            let kept = stored.remove(&key).map(|rollup| rollup.to_parts());
            let mut rollup = match kept {
                Some(kept) => MonthRollup::from_parts(&kept).unwrap(),
                None => MonthRollup::new(play.provider, month),
            };
            rollup.add(play).unwrap();
            stored.insert(key, rollup);
        }
        let stored: Vec<RollupParts> = stored.values().map(MonthRollup::to_parts).collect();
        prop_assert_eq!(stored, parts(&plays));
    }

    #[test]
    fn no_play_is_lost_or_changed(seed: u64, count in 0_usize..200) {
        let mut plays = listener(seed, count);
        let mut kept = vec![];
        for parts in parts(&plays) {
            kept.extend(MonthRollup::from_parts(&parts).unwrap().plays());
        }
        let order = |play: &Play| (play.played_at, play.track.clone(), play.ms_played, play.skipped, play.source);
        plays.sort_by_key(order);
        kept.sort_by_key(order);
        prop_assert_eq!(kept, plays);
    }
}

#[test]
fn a_play_of_another_month_or_provider_is_refused() {
    let mut play = listener(1, 1).remove(0);
    play.played_at = OCTOBER;
    let mut rollup = MonthRollup::new(Provider::Spotify, Month::of(OCTOBER).unwrap());
    rollup.add(&play).unwrap();
    play.played_at = OCTOBER + 7 * DAY;
    let refused = rollup.add(&play).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a play of spotify in 2026-11 does not belong to the roll-up of spotify in 2026-10"
    );
    let other = Play { provider: Provider::Tidal, played_at: OCTOBER, ..play.clone() };
    assert!(matches!(rollup.add(&other), Err(InsightsError::Misplaced { .. })));
    let never = Play { played_at: -1, source: PlaySource::Poll, ..play };
    assert_eq!(rollup.add(&never), Err(InsightsError::Time(-1)));
    assert_eq!(rollup.len(), 1);
}
