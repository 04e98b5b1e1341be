//! Tracks that a person may like. [`train`] makes a [`Model`] of what consenting people did with tracks of one provider;
//! [`recommend`] answers from it, from seeds and from candidates that the caller brings. Nothing here does I/O.
//!
//! A model holds nobody: what each person likes is a [`PersonTaste`] of its own, which the caller keeps for that person
//! alone. A model holds a track only if [`TrainingOptions::people_for_a_track`] people like it, so that nothing in it points
//! at one of them.
#![warn(missing_docs)]

mod anchors;
mod answer;
mod co_occurrence;
mod diversity;
#[cfg(feature = "evaluation")]
pub mod evaluation;
mod factors;
mod format;
mod fusion;
mod model;
mod mood;
mod person;
mod question;
mod reasons;
mod signals;
mod training;

use serde::{Deserialize, Serialize};

pub use answer::{Answer, Basis, Candidate, CandidateSource, Item, Reason, Request, recommend};
pub use format::VERSION;
pub use model::Model;
pub use mood::{Mood, MoodFit};
pub use person::PersonTaste;
pub use signals::{Feedback, Signals, Taste};
pub use training::{PersonSignals, Trained, TrainingOptions, TrainingSet, train};

/// A track as a model knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFacts {
    /// Such as `tidal:track:251380837`.
    pub reference: String,
    /// Title.
    pub title: String,
    /// Names of the artists, main one first.
    pub artists: Vec<String>,
    /// Title of the album, where known.
    pub album: Option<String>,
    /// Length in milliseconds, where known.
    pub duration_ms: Option<u32>,
    /// Beats per minute, where known.
    pub beats_per_minute: Option<u16>,
    /// The scale it is in, where known.
    pub scale: Option<Scale>,
}

/// The scale of a track, as far as moods ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// Major.
    Major,
    /// Minor.
    Minor,
}

/// Why a model cannot be trained or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Bytes of another version of the format, or of none.
    #[error("the bytes are not a model of version {VERSION}")]
    Version,
    /// Bytes that were changed or cut off.
    #[error("the model's checksum does not agree with its bytes")]
    Checksum,
    /// A person's taste in the numbers of another model.
    #[error("the person's taste belongs to another model")]
    OtherModel,
    /// Bytes that no model has.
    #[error("the model's {0} cannot be read")]
    Damaged(&'static str),
    /// More people than the options allow.
    #[error("a model is trained from at most {0} people")]
    TooManyPeople(usize),
}
