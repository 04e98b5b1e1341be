//! What one person did with one track, and what that weighs.

use serde::{Deserialize, Serialize};

/// The most that plays can weigh: 63 plays and more.
const HEAVIEST_LISTENING: f32 = 6.0;
/// The most that a track can weigh for a person.
const HEAVIEST: f32 = 10.0;

/// What somebody said of a recommended track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Feedback {
    /// More like it.
    Like,
    /// Never again.
    Dislike,
    /// Not now.
    Skip,
}

impl Feedback {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Dislike => "dislike",
            Self::Skip => "skip",
        }
    }

    /// The feedback of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Like, Self::Dislike, Self::Skip].into_iter().find(|feedback| feedback.as_str() == name)
    }
}

/// What one person did with one track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// Times heard.
    pub plays: u32,
    /// Times skipped.
    pub skips: u32,
    /// Rating from 1 to 5.
    pub rating: Option<u8>,
    /// What was said last of it as a recommendation.
    pub feedback: Option<Feedback>,
    /// Whether it is in the person's library.
    pub saved: bool,
    /// How many of the person's playlists hold it.
    pub playlists: u32,
}

/// What signals come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Taste {
    /// Liked, and how much: above 0, at most 10.
    Liked(f32),
    /// Known, and no sign of liking it.
    Known,
    /// Disliked.
    Disliked,
}

impl Signals {
    /// What they come to.
    ///
    /// A `dislike` or a rating of 1 or 2 is a dislike, whatever else there is. Otherwise these are added up, to 10 at
    /// most: the binary logarithm of 1 + plays, to 6 at most, less half of that of 1 + skips, but not below 0; for a
    /// rating ½ (3), 2 (4) or 4 (5); 3 for a `like`; 2 if it is in the library; 1 for each playlist, for 3 at most. A
    /// `skip` is one more skip. A sum of 0 says only that the track is known.
    pub fn taste(&self) -> Taste {
        if self.feedback == Some(Feedback::Dislike) || self.rating.is_some_and(|rating| rating <= 2) {
            return Taste::Disliked;
        }
        let skips = self.skips.saturating_add(u32::from(self.feedback == Some(Feedback::Skip)));
        let listening = (logarithm(self.plays) - 0.5 * logarithm(skips)).clamp(0.0, HEAVIEST_LISTENING);
        let rating = match self.rating {
            Some(3) => 0.5,
            Some(4) => 2.0,
            Some(5..) => 4.0,
            _ => 0.0,
        };
        let like = if self.feedback == Some(Feedback::Like) { 3.0 } else { 0.0 };
        let saved = if self.saved { 2.0 } else { 0.0 };
        let playlists = match self.playlists {
            0 => 0.0,
            1 => 1.0,
            2 => 2.0,
            _ => 3.0,
        };
        let weight: f32 = listening + rating + like + saved + playlists;
        if weight > 0.0 { Taste::Liked(weight.min(HEAVIEST)) } else { Taste::Known }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a logarithm of counts needs no more than f32 keeps")]
fn logarithm(count: u32) -> f32 {
    (1.0 + count as f32).log2()
}
