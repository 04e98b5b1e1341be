//! How good a model is, measured offline: of each person a part of the liked tracks is held back, a model is trained from
//! the rest, and what it recommends is compared with what was held back.

mod population;

use std::collections::HashSet;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::answer::Request;
use crate::question::Question;
use crate::{ModelError, PersonSignals, Signals, Taste, TrackFacts, TrainingOptions, TrainingSet, train};

pub use population::{Population, PopulationOptions};

/// Of how many liked tracks one is held back.
const HELD_BACK: usize = 5;

/// What ranks the tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// How many people like a track: the same for everybody.
    Popularity,
    /// Which tracks the same people like.
    CoOccurrence,
    /// The factors.
    Factors,
    /// What [`crate::recommend`] mixes, before diversity.
    Mixture,
    /// What [`crate::recommend`] answers.
    Answer,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Popularity, Self::CoOccurrence, Self::Factors, Self::Mixture, Self::Answer];

    /// Its name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::CoOccurrence => "co-occurrence",
            Self::Factors => "factors",
            Self::Mixture => "mixture",
            Self::Answer => "answer",
        }
    }
}

/// Figures of one part: means over the people of whom something was held back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// What ranked.
    pub part: Part,
    /// Of the held back tracks, the share among the first k, against the most that k places can hold.
    pub recall: f64,
    /// Discounted cumulative gain of the first k, divided by that of the best order (Järvelin, Kekäläinen 2002); a track
    /// is worth 1 or 0.
    pub ndcg: f64,
    /// People.
    pub people: usize,
}

/// Trains without what is held back and measures every part at `k`. The same seed holds the same tracks back.
///
/// # Errors
/// [`ModelError`] if the people are more than the options allow.
pub fn measure(
    people: &[PersonSignals],
    options: &TrainingOptions,
    k: usize,
    seed: u64,
) -> Result<Vec<Quality>, ModelError> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut set = TrainingSet::new(options.clone(), people.len());
    let mut held_back: Vec<HashSet<String>> = Vec::with_capacity(people.len());
    for signals in people {
        let (rest, held) = split(signals, &mut random);
        set.add(rest)?;
        held_back.push(held);
    }
    let trained = train(set)?;
    let model = &trained.model;
    let measured = Part::ALL.map(|part| {
        let (mut recall, mut ndcg, mut counted) = (0.0, 0.0, 0_usize);
        for (person, held) in trained.people.iter().zip(&held_back) {
            if held.is_empty() {
                continue;
            }
            let request = Request { person: Some(person), count: k, ..Request::default() };
            let ranked = Question::new(model, &request).part(part);
            let hits: Vec<bool> = ranked
                .iter()
                .take(k)
                .map(|&track| held.contains(&model.content.tracks[track as usize].facts.reference))
                .collect();
            recall += recall_of(&hits, held.len(), k);
            ndcg += ndcg_of(&hits, held.len(), k);
            counted += 1;
        }
        let people = float(counted.max(1));
        Quality { part, recall: recall / people, ndcg: ndcg / people, people: counted }
    });
    Ok(measured.to_vec())
}

fn split(signals: &PersonSignals, random: &mut StdRng) -> (PersonSignals, HashSet<String>) {
    let mut liked: Vec<&(TrackFacts, Signals)> =
        signals.iter().filter(|(_, signals)| matches!(signals.taste(), Taste::Liked(_))).collect();
    liked.shuffle(random);
    let held: HashSet<String> =
        liked.iter().take(liked.len() / HELD_BACK).map(|(track, _)| track.reference.clone()).collect();
    let rest = signals.iter().filter(|(track, _)| !held.contains(&track.reference)).cloned().collect();
    (rest, held)
}

/// Recall at k of a ranking, told as whether each place is a hit.
pub fn recall_of(hits: &[bool], relevant: usize, k: usize) -> f64 {
    let found = hits.iter().take(k).filter(|hit| **hit).count();
    float(found) / float(relevant.min(k).max(1))
}

/// Normalised discounted cumulative gain at k of a ranking, told as whether each place is a hit.
pub fn ndcg_of(hits: &[bool], relevant: usize, k: usize) -> f64 {
    let worth = |place: usize| 1.0 / float(place + 2).log2();
    let gained: f64 =
        hits.iter().take(k).enumerate().filter(|(_, hit)| **hit).map(|(place, _)| worth(place)).sum();
    let best: f64 = (0..relevant.min(k)).map(worth).sum();
    if best > 0.0 { gained / best } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn float(count: usize) -> f64 {
    count as f64
}
