//! One question and its answer.

use crate::model::Model;
use crate::question::Question;
use crate::{Mood, MoodFit, PersonTaste, Signals, TrackFacts};

/// How much unlikeness counts beside worth, 0 to 1.
const DIVERSITY: f32 = 0.1;
/// Tracks of one artist in an answer.
const FOR_AN_ARTIST: usize = 2;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// What the person likes, if the model was trained from it. One of another model counts as none.
    pub person: Option<&'a PersonTaste>,
    /// What the person did since the model was trained.
    pub since: &'a [(String, Signals)],
    /// References of tracks that the answer should go with.
    pub seeds: &'a [String],
    /// The mood that is wanted.
    pub mood: Option<Mood>,
    /// How many items, at most.
    pub count: usize,
    /// Tracks that somebody else holds to be alike, best first for each origin.
    pub candidates: &'a [Candidate],
    /// References that must not be in the answer.
    pub excluded: &'a [String],
}

/// A track that the provider holds to go with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The track.
    pub track: TrackFacts,
    /// The track that it goes with.
    pub origin: String,
    /// Who says so.
    pub source: CandidateSource,
}

/// Which of the provider's lists a candidate is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateSource {
    /// Similar tracks.
    Similar,
    /// A track's radio.
    Radio,
}

/// What an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Basis {
    /// Seeds and what the person likes.
    SeedsAndHabits,
    /// What the person likes.
    Habits,
    /// Seeds alone: nothing is known of the person.
    Seeds,
    /// What most people of the tenant like: nothing is known of the person, and no seed was known.
    Popularity,
}

/// Why an item is in the answer: what speaks most for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It fits all that the person likes, this track being the most alike.
    Taste {
        /// Reference of a track that the person likes.
        like: String,
    },
    /// It goes with the seeds, this one being the most alike.
    Seed {
        /// The seed.
        like: String,
    },
    /// The same people like both.
    SamePeople {
        /// Reference of a seed or of a track that the person likes.
        like: String,
    },
    /// The provider holds it to be similar.
    ProviderSimilar {
        /// Reference of a seed or of a track that the person likes.
        like: String,
    },
    /// It is on the provider's radio of a track.
    ProviderRadio {
        /// Reference of a seed or of a track that the person likes.
        like: String,
    },
    /// Many people of the tenant like it.
    Popular {
        /// How many.
        people: u32,
    },
}

/// A recommended track.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The track.
    pub track: TrackFacts,
    /// Why.
    pub reason: Reason,
    /// Whether it has the wanted mood; none if none was wanted.
    pub mood: Option<MoodFit>,
}

/// What is recommended.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it rests on.
    pub basis: Basis,
    /// The items, best first.
    pub items: Vec<Item>,
    /// Seeds that neither the model nor the candidates know.
    pub unknown_seeds: Vec<String>,
}

/// Answers a question. Tracks that the person knows or dislikes, seeds and exclusions are never in it.
///
/// Rankings by the factors, by co-occurrence and by the caller's candidates are mixed by reciprocal rank fusion. With
/// seeds, what goes with them is worth twice what goes with the person's habits. A ranking by popularity fills up what these
/// leave empty, and each item of it says so.
pub fn recommend(model: &Model, request: &Request<'_>) -> Answer {
    Question::new(model, request).answer(DIVERSITY, FOR_AN_ARTIST)
}
