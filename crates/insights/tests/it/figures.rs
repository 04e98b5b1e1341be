//! Each figure on plays that can be counted by hand.

use chrono::DateTime;
use chrono_tz::Tz;
use stagedoor_domain::music::Provider;
use stagedoor_insights::{
    Basis, Days, Gap, Insights, MonthRollup, Play, PlaySource, PlayedTrack, Question, RollupParts, Streak,
    Watched, insights, roll_up,
};

fn time(text: &str) -> i64 {
    text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis()
}

fn play(at: &str, track: &str, artist: &str) -> Play {
    Play {
        played_at: time(at),
        provider: Provider::Spotify,
        track: PlayedTrack {
            reference: Some(format!("spotify:track:{track}")),
            title: track.to_owned(),
            artists: vec![artist.to_owned()],
            album: None,
            genres: vec![],
            duration_ms: Some(100_000),
        },
        ms_played: None,
        skipped: None,
        source: PlaySource::Poll,
    }
}

fn asked(plays: &[Play], from: &str, to: &str, zone: Tz, now: &str) -> Insights {
    let question = Question {
        period: Days { from: from.parse().unwrap(), to: to.parse().unwrap() },
        zone,
        top: 3,
        gaps: &[],
        watched: None,
        now: time(now),
    };
    answered(plays, &question)
}

fn answered(plays: &[Play], question: &Question<'_>) -> Insights {
    let rollups: Vec<RollupParts> = roll_up(plays).unwrap().values().map(MonthRollup::to_parts).collect();
    insights(Provider::Spotify, &rollups, question).unwrap()
}

fn streak(days: u64, from: &str, to: &str) -> Streak {
    Streak { days, from: from.parse().unwrap(), to: to.parse().unwrap() }
}

#[test]
fn a_play_belongs_to_the_persons_day_and_hour() {
    // Monday, 23:30 in London; Tuesday, 05:15 in Kathmandu.
    let plays = [play("2026-11-02T23:30:00Z", "a", "A")];
    let london = asked(&plays, "2026-11-02", "2026-11-02", Tz::Europe__London, "2026-12-01T00:00:00Z");
    let kathmandu = asked(&plays, "2026-11-03", "2026-11-03", Tz::Asia__Kathmandu, "2026-12-01T00:00:00Z");
    assert_eq!((london.totals.plays, london.hours[0][23]), (1, 1));
    assert_eq!((kathmandu.totals.plays, kathmandu.hours[1][5]), (1, 1));
    let none = asked(&plays, "2026-11-02", "2026-11-02", Tz::Asia__Kathmandu, "2026-12-01T00:00:00Z");
    assert_eq!((none.totals.plays, none.listening.basis, none.busiest), (0, Basis::NoPlays, None));
    assert_eq!((none.discovery.rate, none.repeats.rate, none.skips), (None, None, None));
}

#[test]
fn new_tracks_and_repeats_are_told_apart() {
    let plays = [
        play("2026-10-01T12:00:00Z", "old", "A"),
        play("2026-11-01T12:00:00Z", "old", "A"),
        play("2026-11-02T12:00:00Z", "new", "B"),
        play("2026-11-03T12:00:00Z", "new", "B"),
        play("2026-11-04T12:00:00Z", "new", "b"),
    ];
    let november = asked(&plays, "2026-11-01", "2026-11-30", Tz::UTC, "2026-12-01T00:00:00Z");
    assert_eq!((november.totals.plays, november.totals.tracks, november.totals.new_tracks), (4, 2, 1));
    assert_eq!((november.discovery.rate, november.discovery.known_days_before), (Some(0.5), 31));
    assert_eq!((november.repeats.plays, november.repeats.rate), (2, Some(0.5)));
    assert_eq!((november.top_artists[0].name.as_str(), november.top_artists[0].plays), ("b", 3));
    assert_eq!(november.trend.previous.plays, 0);
    assert_eq!(november.trend.plays_change, None, "October 2 to 31 had no plays");
}

#[test]
fn times_say_what_they_stand_on() {
    let mut plays = [play("2026-11-01T12:00:00Z", "a", "A"), play("2026-11-01T13:00:00Z", "b", "A")];
    let november = |plays: &[Play]| asked(plays, "2026-11-01", "2026-11-30", Tz::UTC, "2026-12-01T00:00:00Z");
    assert_eq!(november(&plays).listening.basis, Basis::ByTrackLength);
    plays[0].ms_played = Some(30_000);
    plays[0].skipped = Some(true);
    let mixed = november(&plays);
    assert_eq!((mixed.listening.basis, mixed.totals.listened_ms), (Basis::Mixed, 130_000));
    assert_eq!((mixed.listening.exact_ms, mixed.listening.by_length_ms), (30_000, 100_000));
    assert_eq!(mixed.skips.map(|skips| (skips.known_plays, skips.skipped)), Some((1, 1)));
    plays[1].ms_played = Some(0);
    assert_eq!(november(&plays).listening.basis, Basis::Exact);
    for play in &mut plays {
        (play.ms_played, play.track.duration_ms) = (None, None);
    }
    assert_eq!(
        (november(&plays).listening.basis, november(&plays).listening.unknown_plays),
        (Basis::Unknown, 2)
    );
}

#[test]
fn streaks_reach_back_and_wait_for_today() {
    let mut plays: Vec<Play> =
        (5..=31).map(|day| play(&format!("2026-08-{day:02}T12:00:00Z"), "a", "A")).collect();
    plays.extend((1..=30).map(|day| play(&format!("2026-09-{day:02}T12:00:00Z"), "a", "A")));
    plays.extend((1..=20).map(|day| play(&format!("2026-10-{day:02}T12:00:00Z"), "a", "A")));
    let at = |now| asked(&plays, "2026-10-15", "2026-10-31", Tz::UTC, now).streaks;
    let all = Some(streak(77, "2026-08-05", "2026-10-20"));
    assert_eq!(at("2026-10-20T23:00:00Z").current, all);
    assert_eq!(at("2026-10-21T09:00:00Z").current, all, "today is not over");
    assert_eq!(at("2026-10-22T00:00:00Z").current, None);
    assert_eq!(at("2026-10-22T00:00:00Z").longest, Some(streak(6, "2026-10-15", "2026-10-20")));
    assert_eq!(at("2026-10-14T00:00:00Z").current, None, "the period is yet to come");
}

#[test]
fn a_day_that_never_was_breaks_no_streak() {
    let at = ["2011-12-29T20:00:00Z", "2011-12-30T09:00:00Z", "2011-12-30T12:00:00Z"];
    let plays = at.map(|at| play(at, "a", "A"));
    let apia = asked(&plays, "2011-12-25", "2011-12-31", Tz::Pacific__Apia, "2012-01-01T20:00:00Z");
    assert_eq!(apia.streaks.longest, Some(streak(2, "2011-12-29", "2011-12-31")));
}

#[test]
fn gaps_and_unknown_times_lessen_the_coverage() {
    let plays = [play("2026-11-11T00:00:00Z", "a", "A")];
    let gap = |from, to| Gap {
        from: time(from),
        to: time(to),
        reason: "more plays than a poll returns".to_owned(),
    };
    let gaps = [
        gap("2026-11-14T00:00:00Z", "2026-11-15T00:00:00Z"),
        gap("2026-11-13T12:00:00Z", "2026-11-14T12:00:00Z"),
        gap("2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z"),
    ];
    let watched = Watched { since: time("2026-11-11T00:00:00Z"), until: time("2026-11-21T00:00:00Z") };
    let question = Question {
        period: Days { from: "2026-11-01".parse().unwrap(), to: "2026-11-30".parse().unwrap() },
        zone: Tz::UTC,
        top: 1,
        gaps: &gaps,
        watched: Some(watched),
        now: time("2026-11-21T00:00:00Z"),
    };
    let coverage = answered(&plays, &question).coverage;
    // Of 20 days, 10 were watched, and a day and a half of those was missed.
    assert_eq!((coverage.rate, coverage.gap_count), (Some(0.425), 2));
    assert_eq!(coverage.gaps[0].from, "2026-11-13T12:00:00Z");
    let early = answered(&plays, &Question { now: time("2026-10-01T00:00:00Z"), ..question });
    assert_eq!(early.coverage.rate, None);
}
