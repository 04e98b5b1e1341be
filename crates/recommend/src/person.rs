//! What one person likes and knows, in the numbers of one model. It is apart from the model, so that a model holds nobody,
//! and whoever keeps it can seal it under the person's own key.

use serde::{Deserialize, Serialize};

use crate::model::Model;
use crate::{ModelError, TrackFacts, format};

/// What one person likes and knows, as the model saw it that was trained from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonTaste {
    /// The checksum of the model whose numbers these are.
    pub(crate) model: u32,
    /// Tracks and weights, heaviest first.
    pub(crate) liked: Vec<(u32, f32)>,
    pub(crate) disliked: Vec<u32>,
    /// Fingerprints of all references that the person knows, sorted.
    pub(crate) known: Vec<u64>,
}

impl PersonTaste {
    /// Bytes that keep it.
    ///
    /// # Errors
    /// None that a trained one meets.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        Ok(format::write(format::PERSON, self)?.0)
    }

    /// Reads what [`PersonTaste::to_bytes`] wrote of a person from whom `model` was trained.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are of another version, changed, nobody's, or of another model.
    pub fn from_bytes(bytes: &[u8], model: &Model) -> Result<Self, ModelError> {
        let taste: Self = format::read(format::PERSON, bytes)?;
        if taste.model != model.checksum {
            return Err(ModelError::OtherModel);
        }
        let inside = |track: &u32| (*track as usize) < model.tracks();
        if !taste.liked.iter().all(|(track, _)| inside(track)) || !taste.disliked.iter().all(inside) {
            return Err(ModelError::Damaged("tracks"));
        }
        Ok(taste)
    }

    /// The tracks of the model that the person likes most, the most liked first.
    pub fn favourites<'a>(&self, model: &'a Model, count: usize) -> Vec<&'a TrackFacts> {
        self.liked.iter().take(count).filter_map(|&(track, _)| model.facts(track)).collect()
    }
}

/// A short mark of a reference (FNV-1a, 64 bits): enough to leave out what a person knows, whether the model has it or not.
pub(crate) fn fingerprint(reference: &str) -> u64 {
    reference.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
