//! What a person likes and knows at the moment of the question: what the model has of them, with what came since.

use std::collections::{HashMap, HashSet};

use crate::model::Model;
use crate::person::{PersonTaste, fingerprint};
use crate::{Signals, Taste};

/// A person's likings in terms of one model.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    /// Tracks and weights, heaviest first.
    pub(crate) liked: Vec<(u32, f32)>,
    pub(crate) disliked: Vec<u32>,
    known: HashSet<u64>,
}

impl Anchors {
    /// Of a person from whom the model was trained, if it is one, with what they did since it was trained, which counts instead of what
    /// the model has of the same track.
    pub(crate) fn of(model: &Model, person: Option<&PersonTaste>, since: &[(String, Signals)]) -> Self {
        let mut liked: HashMap<u32, f32> = HashMap::new();
        let mut disliked: HashSet<u32> = HashSet::new();
        let mut known = HashSet::new();
        if let Some(taste) = person.filter(|taste| taste.model == model.checksum) {
            liked.extend(taste.liked.iter().copied());
            disliked.extend(&taste.disliked);
            known.extend(&taste.known);
        }
        for (reference, signals) in since {
            known.insert(fingerprint(reference));
            let Some(track) = model.position(reference) else { continue };
            match signals.taste() {
                Taste::Liked(weight) => {
                    let before = if disliked.remove(&track) { None } else { liked.get(&track) };
                    liked.insert(track, before.map_or(weight, |before| before.max(weight)));
                }
                Taste::Disliked => {
                    liked.remove(&track);
                    disliked.insert(track);
                }
                Taste::Known => {}
            }
        }
        let mut liked: Vec<(u32, f32)> = liked.into_iter().collect();
        liked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let mut disliked: Vec<u32> = disliked.into_iter().collect();
        disliked.sort_unstable();
        Self { liked, disliked, known }
    }

    /// Whether the person knows a track.
    pub(crate) fn knows(&self, reference: &str) -> bool {
        self.known.contains(&fingerprint(reference))
    }
}
