//! What training leaves: tracks with their factors and neighbours, and what each numbered person likes and knows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::factors::Factors;
use crate::{ModelError, TrackFacts, format};

/// The number of a person in one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonIndex(pub u32);

/// What is written of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) tracks: Vec<ModelTrack>,
    /// Factors of all tracks, one after another; of none if there is too little to learn them from.
    pub(crate) factors: Vec<f32>,
    pub(crate) width: u16,
    pub(crate) alpha: f32,
    pub(crate) regularization: f32,
    pub(crate) people: Vec<PersonTaste>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelTrack {
    pub(crate) facts: TrackFacts,
    /// How many people like it.
    pub(crate) people: u32,
    /// Tracks that the same people like, with how alike (0–1), the most alike first.
    pub(crate) neighbours: Vec<(u32, f32)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PersonTaste {
    /// Tracks and weights, heaviest first.
    pub(crate) liked: Vec<(u32, f32)>,
    pub(crate) disliked: Vec<u32>,
    /// Fingerprints of all references that the person knows, sorted.
    pub(crate) known: Vec<u64>,
}

/// A trained model of one provider's tracks.
#[derive(Debug)]
pub struct Model {
    pub(crate) content: Content,
    pub(crate) index: HashMap<String, u32>,
    pub(crate) factors: Option<Factors>,
    pub(crate) by_people: Vec<u32>,
}

impl Model {
    /// A model that knows nothing: what is recommended from it comes from the caller's candidates alone.
    pub fn empty() -> Self {
        let content = Content {
            tracks: Vec::new(),
            factors: Vec::new(),
            width: 0,
            alpha: 1.0,
            regularization: 1.0,
            people: Vec::new(),
        };
        Self { content, index: HashMap::new(), factors: None, by_people: Vec::new() }
    }

    /// Reads what [`Model::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are of another version, changed, or no model's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_content(format::read(bytes)?)
    }

    /// Bytes that keep it: the same for the same training set and options.
    ///
    /// # Errors
    /// None that a trained model meets.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        format::write(&self.content)
    }

    /// How many tracks it knows.
    pub fn tracks(&self) -> usize {
        self.content.tracks.len()
    }

    /// How many people it was trained from.
    pub fn people(&self) -> usize {
        self.content.people.len()
    }

    /// Whether it has factors, which need a few people with something in common.
    pub fn has_factors(&self) -> bool {
        self.factors.is_some()
    }

    /// What it knows of a track.
    pub fn track(&self, reference: &str) -> Option<&TrackFacts> {
        self.position(reference).map(|track| &self.content.tracks[track as usize].facts)
    }

    /// The tracks that a person likes most, the most liked first.
    pub fn favourites(&self, person: PersonIndex, count: usize) -> Vec<&TrackFacts> {
        self.taste(person)
            .into_iter()
            .flat_map(|taste| taste.liked.iter().take(count))
            .map(|&(track, _)| &self.content.tracks[track as usize].facts)
            .collect()
    }

    pub(crate) fn position(&self, reference: &str) -> Option<u32> {
        self.index.get(reference).copied()
    }

    pub(crate) fn taste(&self, person: PersonIndex) -> Option<&PersonTaste> {
        self.content.people.get(person.0 as usize)
    }

    pub(crate) fn from_content(content: Content) -> Result<Self, ModelError> {
        let count = u32::try_from(content.tracks.len()).map_err(|_| ModelError::Damaged("tracks"))?;
        let inside = |track: &u32| *track < count;
        if !content.tracks.iter().all(|track| track.neighbours.iter().all(|(other, _)| inside(other))) {
            return Err(ModelError::Damaged("neighbours"));
        }
        if !content.people.iter().all(|taste| {
            taste.liked.iter().all(|(track, _)| inside(track)) && taste.disliked.iter().all(inside)
        }) {
            return Err(ModelError::Damaged("people"));
        }
        let factors = Factors::of(&content)?;
        let index: HashMap<String, u32> =
            (0..count).map(|track| (content.tracks[track as usize].facts.reference.clone(), track)).collect();
        if index.len() != content.tracks.len() {
            return Err(ModelError::Damaged("tracks"));
        }
        let mut by_people: Vec<u32> = (0..count).collect();
        by_people.sort_by_key(|&track| std::cmp::Reverse(content.tracks[track as usize].people));
        Ok(Self { content, index, factors, by_people })
    }
}

/// A short mark of a reference (FNV-1a, 64 bits): enough to leave out what a person knows, whether the model has it or not.
pub(crate) fn fingerprint(reference: &str) -> u64 {
    reference.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
