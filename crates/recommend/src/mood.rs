//! The moods that one may ask for, and which tracks have them by tempo and scale.

use serde::{Deserialize, Serialize};

use crate::{Scale, TrackFacts};

/// A mood, in the sense that tempo and scale can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Mood {
    /// At most 95 beats per minute.
    Calm,
    /// At least 120 beats per minute.
    Energetic,
    /// In major, at least 100 beats per minute.
    Cheerful,
    /// In minor, at most 110 beats per minute.
    Melancholic,
}

/// Whether a track has the mood that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum MoodFit {
    /// It has.
    Fits,
    /// Tempo or scale, whichever decides, is not known.
    Unknown,
}

impl Mood {
    /// Whether a track has this mood; `None` if it is known not to.
    pub fn fit(self, track: &TrackFacts) -> Option<MoodFit> {
        let tempo = |wanted: fn(u16) -> bool| track.beats_per_minute.map(wanted);
        let scale = |wanted: Scale| track.scale.map(|scale| scale == wanted);
        let answers = match self {
            Self::Calm => [tempo(|beats| beats <= 95), Some(true)],
            Self::Energetic => [tempo(|beats| beats >= 120), Some(true)],
            Self::Cheerful => [tempo(|beats| beats >= 100), scale(Scale::Major)],
            Self::Melancholic => [tempo(|beats| beats <= 110), scale(Scale::Minor)],
        };
        if answers.contains(&Some(false)) {
            None
        } else if answers.contains(&None) {
            Some(MoodFit::Unknown)
        } else {
            Some(MoodFit::Fits)
        }
    }
}
