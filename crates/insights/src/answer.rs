//! What insights say, each figure with its definition. Lists of "the most" are in order of plays, then of time listened,
//! then of the name, then of the reference. Rates are from 0 to 1, rounded to 4 digits.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::music::Provider;

/// What a person's plays of a period at one provider come to. A play belongs to the local day and hour at which it ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Insights {
    /// The provider.
    pub provider: Provider,
    /// The zone of the IANA database whose days and hours these are.
    pub zone: String,
    /// Plays, time and variety of the period.
    pub totals: Totals,
    /// How the time listened is known.
    pub listening: Listening,
    /// The tracks played most.
    pub top_tracks: Vec<TopTrack>,
    /// The artists played most; a play counts for every artist that it names.
    pub top_artists: Vec<TopArtist>,
    /// The albums played most.
    pub top_albums: Vec<TopAlbum>,
    /// The genres played most; none where genres are not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_genres: Vec<TopGenre>,
    /// Plays by weekday (7 rows, Monday first) and hour of the local clock (24 columns, 0 first).
    pub hours: Vec<Vec<u64>>,
    /// The weekday and hour with the most plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busiest: Option<HourOfWeek>,
    /// Days in a row with at least one play.
    pub streaks: Streaks,
    /// Tracks heard for the first time.
    pub discovery: Discovery,
    /// Tracks heard again.
    pub repeats: Repeats,
    /// Tracks that were skipped, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skips: Option<Skips>,
    /// The period beside the one before it.
    pub trend: Trend,
    /// Of which times anything is known.
    pub coverage: Coverage,
}

/// What a period comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Totals {
    /// Its first day.
    #[schemars(with = "String")]
    pub from: NaiveDate,
    /// Its last day.
    #[schemars(with = "String")]
    pub to: NaiveDate,
    /// Its days.
    pub days: u64,
    /// Plays.
    pub plays: u64,
    /// Time listened, see `Listening`.
    pub listened_ms: u64,
    /// Days with at least one play.
    pub active_days: u64,
    /// Different tracks.
    pub tracks: u64,
    /// Different artists.
    pub artists: u64,
    /// Different albums.
    pub albums: u64,
    /// Tracks of which no earlier play is known.
    pub new_tracks: u64,
}

/// How the time listened is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Listening {
    /// On what the sum stands.
    pub basis: Basis,
    /// Plays of which the source tells how long they were listened to.
    pub exact_plays: u64,
    /// The sum of those times.
    pub exact_ms: u64,
    /// Plays that are counted by the whole length of the track, because nothing else is known of them.
    pub by_length_plays: u64,
    /// The sum of those lengths; what was left early makes the truth shorter.
    pub by_length_ms: u64,
    /// Plays of which neither is known; they count as no time.
    pub unknown_plays: u64,
}

/// On what a time listened stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// There were no plays.
    NoPlays,
    /// On the times of all plays.
    Exact,
    /// On the tracks' lengths alone.
    ByTrackLength,
    /// On both, or on a part of the plays.
    Mixed,
    /// On nothing: neither is known of any play.
    Unknown,
}

/// A track and its plays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopTrack {
    /// Reference, where known.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Title, as the latest of the plays has it.
    pub title: String,
    /// Artists, main one first.
    pub artists: Vec<String>,
    /// Album, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// Plays.
    pub plays: u64,
    /// Time listened.
    pub listened_ms: u64,
}

/// An artist and the plays that name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopArtist {
    /// Name, as the latest of the plays has it.
    pub name: String,
    /// Plays.
    pub plays: u64,
    /// Time listened.
    pub listened_ms: u64,
}

/// An album and the plays of its tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopAlbum {
    /// Title, as the latest of the plays has it.
    pub title: String,
    /// The first artist of the tracks played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// Plays.
    pub plays: u64,
    /// Time listened.
    pub listened_ms: u64,
}

/// A genre and the plays that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopGenre {
    /// Name.
    pub name: String,
    /// Plays.
    pub plays: u64,
    /// Time listened.
    pub listened_ms: u64,
}

/// An hour of the week. Of several with equally many plays, the first from Monday 0:00 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HourOfWeek {
    /// In English.
    pub weekday: String,
    /// From 0 to 23.
    pub hour: u8,
    /// Plays.
    pub plays: u64,
}

/// Days in a row with at least one play. A day that a zone left out breaks none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Streaks {
    /// The one that lasts until the period's last day, or until today where that is earlier; today need not have a play
    /// yet. It may have begun before the period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Streak>,
    /// The longest within the period; of equally long ones the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<Streak>,
}

/// Days in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Streak {
    /// How many days had plays.
    pub days: u64,
    /// The first.
    #[schemars(with = "String")]
    pub from: NaiveDate,
    /// The last.
    #[schemars(with = "String")]
    pub to: NaiveDate,
}

/// Tracks heard for the first time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Discovery {
    /// Tracks of the period of which no earlier play is known.
    pub new_tracks: u64,
    /// Their part of the period's different tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// How many days before the period the known plays begin; where they are few, old tracks look new.
    pub known_days_before: u64,
}

/// Tracks heard again.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Repeats {
    /// Plays of a track that was played in the period before: plays less different tracks.
    pub plays: u64,
    /// Their part of the period's plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

/// Tracks that were skipped.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Skips {
    /// Plays of which it is known whether they were skipped.
    pub known_plays: u64,
    /// Those that were.
    pub skipped: u64,
    /// Their part.
    pub rate: f64,
}

/// The period beside the one of equally many days right before it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Trend {
    /// What the period before comes to.
    pub previous: Totals,
    /// By which part plays grew (0.5: half as many more; -0.5: half of them), where there were any before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plays_change: Option<f64>,
    /// The same of the time listened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listened_change: Option<f64>,
    /// Days in a bucket; the last bucket may have fewer.
    pub bucket_days: u64,
    /// Both periods in buckets from their first days on.
    pub buckets: Vec<TrendBucket>,
}

/// So many days of the period, and as many of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrendBucket {
    /// Its first day in the period.
    #[schemars(with = "String")]
    pub from: NaiveDate,
    /// Plays in the period.
    pub plays: u64,
    /// Time listened in the period.
    pub listened_ms: u64,
    /// Plays in the period before.
    pub previous_plays: u64,
    /// Time listened in the period before.
    pub previous_listened_ms: u64,
}

/// Of which times anything is known.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Coverage {
    /// The first play that is known at all (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_play: Option<String>,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_play: Option<String>,
    /// The part of the period up to now that lies between the first and the last imported play, or between the beginning
    /// of polls and the last one, and in no recorded gap. None of a period that has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Recorded gaps that touch the period, first ones first; at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<GapShown>,
    /// How many there are.
    pub gap_count: u64,
    /// Plays by where they are known from.
    pub sources: Sources,
}

/// A time in which plays may have been missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GapShown {
    /// RFC 3339.
    pub from: String,
    /// RFC 3339.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// Plays by where they are known from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sources {
    /// The provider's list of what was played recently.
    pub poll: u64,
    /// The provider's data download.
    pub import: u64,
}
