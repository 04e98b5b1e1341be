//! Spotify's data download, the ZIP that a person gets from privacy settings, as plays: streamed, in batches, within
//! bounds, from any place in it on. What becomes of the plays is the caller's.
//!
//! Both forms are read. The extended one (`Streaming_History_Audio_*.json`, formerly `endsong_*.json`) has times to the
//! second, track URIs and skips; the short one (`StreamingHistory_music_*.json`, formerly `StreamingHistory*.json`) has
//! times to the minute and names alone. All times are ends of plays, in UTC.
#![warn(missing_docs)]

mod archive;
mod entries;
mod stream;

use chrono::{DateTime, Utc};

pub use archive::{Archive, Limits, Part};

/// How many plays a batch has, and a few more where one more minute's would be torn apart.
pub const BATCH: usize = 500;

/// Which form a part is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Times to the second, with URIs.
    Extended,
    /// Times to the minute, with names alone.
    Short,
}

/// One play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// When it ended, cut to the second or to the minute.
    pub ended_at: DateTime<Utc>,
    /// For how long it was listened to.
    pub ms_played: u32,
    /// `spotify:track:…`, in the extended form.
    pub reference: Option<String>,
    /// Title.
    pub title: String,
    /// The first artist.
    pub artist: String,
    /// Title of the album, in the extended form.
    pub album: Option<String>,
    /// Whether it was skipped, in the extended form.
    pub skipped: Option<bool>,
}

/// Some entries of a part, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The plays among them.
    pub plays: Vec<Play>,
    /// How many others are no plays of tracks: episodes, chapters of audiobooks, and what the service names no more.
    pub other: u64,
    /// How many are not what the service writes.
    pub malformed: u64,
    /// How many entries of the part there are up to the end of this batch.
    pub entries: u64,
}

/// Why a file cannot be imported, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is no ZIP, or a damaged one.
    #[error("the file is not a readable ZIP: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// It could not be read.
    #[error("the file could not be read: {0}")]
    Read(#[from] std::io::Error),
    /// It has nothing of what is looked for.
    #[error(
        "the ZIP has no listening history: no Streaming_History_Audio_*.json and no StreamingHistory_music_*.json; was \
         it \"Extended streaming history\" or \"Account data\" that was asked for?"
    )]
    NothingInIt,
    /// It holds more than is read.
    #[error("{what} of the ZIP is {found}, and at most {most} is read")]
    TooBig {
        /// What of it.
        what: &'static str,
        /// How much it is.
        found: u64,
        /// How much is read.
        most: u64,
    },
    /// A part is damaged: what was before the place was read.
    #[error("{part} is damaged after {entries} entries: {problem}")]
    Damaged {
        /// Its name.
        part: String,
        /// How many entries were read.
        entries: u64,
        /// What is wrong.
        problem: String,
    },
}
