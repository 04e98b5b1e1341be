//! What a person's plays come to. `MonthRollup` packs the plays of one month and provider into bytes that are kept
//! sealed; `count` and `insights` calculate from those bytes; `picture` draws what was calculated. Nothing here does I/O.
//!
//! Whoever keeps plays calls [`roll_up`], or [`MonthRollup::add`] for what came since, and stores
//! [`MonthRollup::to_parts`]: three byte strings for each person, provider and [`Month`], each sealed by itself, because
//! most questions need few of them. A month whose plays were deleted is rolled up again from those that are left.
//!
//! Whoever answers reads `heard` of all months and `plays` of [`Question::months`], calls [`count`], reads `names` of the
//! few months that [`Counted::months_to_name`] says, and calls [`Counted::answer`].
#![warn(missing_docs)]

mod answer;
mod calculation;
mod calendar;
mod coverage;
mod format;
mod identity;
mod month;
mod pack;
pub mod picture;
mod rollup;
mod scan;
mod streaks;
mod table;
mod tops;
mod trend;
mod view;

use serde::{Deserialize, Serialize};
use stagedoor_domain::music::Provider;

pub use answer::{
    Basis, Coverage, Discovery, GapShown, HourOfWeek, Insights, Listening, Repeats, Skips, Sources, Streak,
    Streaks, TopAlbum, TopArtist, TopGenre, TopTrack, Totals, Trend, TrendBucket,
};
pub use calculation::{Counted, Days, Gap, MonthParts, Question, Watched, count, first_play, insights};
pub use month::Month;
pub use pack::RollupParts;
pub use rollup::{MonthRollup, roll_up};

/// One time that a person played a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Play {
    /// When it ended or was left: milliseconds since 1970-01-01 UTC.
    pub played_at: i64,
    /// Where it was played.
    pub provider: Provider,
    /// What was played, as it was told with this play.
    pub track: PlayedTrack,
    /// How long it was listened to, where the source tells.
    pub ms_played: Option<u32>,
    /// Whether it was skipped, where the source tells.
    pub skipped: Option<bool>,
    /// Where it is known from.
    pub source: PlaySource,
}

/// A track in the words of one play.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlayedTrack {
    /// Such as `spotify:track:11dFghVXANMlKmJXsNCbNl`; unknown in the short form of Spotify's data download. Plays without
    /// one are of the same track if title and first artist are the same.
    pub reference: Option<String>,
    /// Title.
    pub title: String,
    /// Names of the artists, main one first.
    pub artists: Vec<String>,
    /// Title of the album, where known.
    pub album: Option<String>,
    /// Genres, where known.
    pub genres: Vec<String>,
    /// Length of the track in milliseconds, where known.
    pub duration_ms: Option<u32>,
}

/// Where a play is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaySource {
    /// The provider's list of what was played recently.
    Poll,
    /// The provider's data download.
    Import,
}

/// Why something cannot be rolled up or calculated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InsightsError {
    /// A play of another month or provider than the roll-up's.
    #[error(
        "a play of {found_provider} in {found_month} does not belong to the roll-up of {provider} in {month}"
    )]
    Misplaced {
        /// The roll-up's provider.
        provider: Provider,
        /// The roll-up's month.
        month: Month,
        /// The play's provider.
        found_provider: Provider,
        /// The play's month.
        found_month: Month,
    },
    /// A time before 1970 or after the year 7000.
    #[error("{0} ms since 1970 is not a time at which anything can have been played")]
    Time(i64),
    /// More than a month's roll-up can hold.
    #[error("the plays of {0} are more than a roll-up holds")]
    TooMuch(Month),
    /// Bytes of a later version of the format, or of none.
    #[error("the bytes are not this part of a roll-up of version {}", format::VERSION)]
    Version,
    /// Bytes that no roll-up has.
    #[error("the roll-up's {0} cannot be read")]
    Damaged(&'static str),
    /// Roll-ups of several providers, which are never mixed, or two of one month, or parts of different months.
    #[error("the roll-ups are not of one provider and different months")]
    Mixed,
    /// A part of a month that is needed was not handed in.
    #[error("the roll-up of {0} is needed, and was not handed in")]
    Missing(Month),
    /// A period that ends before it begins.
    #[error("the period ends before it begins")]
    EmptyPeriod,
    /// A period of more days than are calculated.
    #[error("the period has more than {} days", calculation::MOST_DAYS)]
    LongPeriod,
}
