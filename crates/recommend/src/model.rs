//! What training leaves of all people together: tracks with their factors and neighbours.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::factors::Factors;
use crate::{ModelError, TrackFacts, format};

/// What is written of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) tracks: Vec<ModelTrack>,
    /// Factors of all tracks, one after another; of none if there is too little to learn them from.
    pub(crate) factors: Vec<f32>,
    pub(crate) width: u16,
    pub(crate) alpha: f32,
    pub(crate) regularization: f32,
    /// From how many people it was trained.
    pub(crate) people: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelTrack {
    pub(crate) facts: TrackFacts,
    /// How many people like it.
    pub(crate) people: u32,
    /// Tracks that the same people like, with how alike (0–1), the most alike first.
    pub(crate) neighbours: Vec<(u32, f32)>,
}

/// A trained model of one provider's tracks.
#[derive(Debug)]
pub struct Model {
    pub(crate) content: Content,
    pub(crate) index: HashMap<String, u32>,
    pub(crate) factors: Option<Factors>,
    pub(crate) by_people: Vec<u32>,
    /// Of the content's bytes.
    pub(crate) checksum: u32,
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
            people: 0,
        };
        Self { content, index: HashMap::new(), factors: None, by_people: Vec::new(), checksum: 0 }
    }

    /// Reads what [`Model::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are of another version, changed, or no model's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_content(format::read(format::MODEL, bytes)?)
    }

    /// Bytes that keep it: the same for the same training set and options.
    ///
    /// # Errors
    /// None that a trained model meets.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        Ok(format::write(format::MODEL, &self.content)?.0)
    }

    /// How many tracks it knows.
    pub fn tracks(&self) -> usize {
        self.content.tracks.len()
    }

    /// How many people it was trained from.
    pub fn people(&self) -> u32 {
        self.content.people
    }

    /// Whether it has factors, which need a few people with something in common.
    pub fn has_factors(&self) -> bool {
        self.factors.is_some()
    }

    /// What it knows of a track.
    pub fn track(&self, reference: &str) -> Option<&TrackFacts> {
        self.position(reference).map(|track| &self.content.tracks[track as usize].facts)
    }

    pub(crate) fn position(&self, reference: &str) -> Option<u32> {
        self.index.get(reference).copied()
    }

    pub(crate) fn facts(&self, track: u32) -> Option<&TrackFacts> {
        self.content.tracks.get(track as usize).map(|track| &track.facts)
    }

    pub(crate) fn from_content(content: Content) -> Result<Self, ModelError> {
        let count = u32::try_from(content.tracks.len()).map_err(|_| ModelError::Damaged("tracks"))?;
        let inside = |track: &u32| *track < count;
        if !content.tracks.iter().all(|track| track.neighbours.iter().all(|(other, _)| inside(other))) {
            return Err(ModelError::Damaged("neighbours"));
        }
        let factors = Factors::of(&content)?;
        let (_, checksum) = format::write(format::MODEL, &content)?;
        let index: HashMap<String, u32> =
            (0..count).map(|track| (content.tracks[track as usize].facts.reference.clone(), track)).collect();
        if index.len() != content.tracks.len() {
            return Err(ModelError::Damaged("tracks"));
        }
        let mut by_people: Vec<u32> = (0..count).collect();
        by_people.sort_by_key(|&track| std::cmp::Reverse(content.tracks[track as usize].people));
        Ok(Self { content, index, factors, by_people, checksum })
    }
}
