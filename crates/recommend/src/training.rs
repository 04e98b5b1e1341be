//! Making a model of what people did. The same people in the same order make the same bytes; a person who is left out
//! leaves nothing behind, because each training begins with nothing.

use std::collections::HashMap;

use crate::model::{Content, Model, ModelTrack};
use crate::person::{PersonTaste, fingerprint};
use crate::{ModelError, Signals, Taste, TrackFacts, co_occurrence, factors};

/// How a model is trained, and how much it may take.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingOptions {
    /// People who must like a track before it is in the model.
    pub people_for_a_track: u32,
    /// People who must be there before factors are learnt.
    pub people_for_factors: usize,
    /// Numbers that describe a track.
    pub factors: u32,
    /// Rounds of alternating least squares.
    pub iterations: u32,
    /// How much a weight of 1 raises the confidence, which is 1 without any.
    pub alpha: f32,
    /// λ of the least squares.
    pub regularization: f32,
    /// Where the factors begin.
    pub seed: u64,
    /// People, at most.
    pub most_people: usize,
    /// Tracks in the model, at most: those that most people like.
    pub most_tracks: usize,
    /// Liked tracks of all people together, at most, shared out evenly; of one person at most 1,000.
    pub most_liked: usize,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            people_for_a_track: 3,
            people_for_factors: 8,
            factors: 16,
            iterations: 12,
            alpha: 1.0,
            regularization: 10.0,
            seed: 0x7374_6167_6564_6f6f,
            most_people: 20_000,
            most_tracks: 30_000,
            most_liked: 2_000_000,
        }
    }
}

/// What one person did with tracks, each track once.
pub type PersonSignals = Vec<(TrackFacts, Signals)>;

/// What people did, taken in one by one.
#[derive(Debug)]
pub struct TrainingSet {
    options: TrainingOptions,
    most_for_a_person: usize,
    index: HashMap<String, u32>,
    tracks: Vec<TrackFacts>,
    people: Vec<PersonTaste>,
}

/// What a training makes.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// What each person likes, in the order in which they were taken in.
    pub people: Vec<PersonTaste>,
}

impl TrainingSet {
    /// An empty set for `expected` people; more may be added.
    pub fn new(options: TrainingOptions, expected: usize) -> Self {
        let most_for_a_person = (options.most_liked / expected.max(1)).clamp(1, 1_000);
        Self { options, most_for_a_person, index: HashMap::new(), tracks: Vec::new(), people: Vec::new() }
    }

    /// Takes one person in.
    ///
    /// # Errors
    /// [`ModelError::TooManyPeople`].
    pub fn add(&mut self, signals: PersonSignals) -> Result<(), ModelError> {
        if self.people.len() >= self.options.most_people {
            return Err(ModelError::TooManyPeople(self.options.most_people));
        }
        let mut taste = PersonTaste { model: 0, liked: Vec::new(), disliked: Vec::new(), known: Vec::new() };
        let mut liked = Vec::new();
        let mut disliked = Vec::new();
        for (facts, signals) in signals {
            taste.known.push(fingerprint(&facts.reference));
            match signals.taste() {
                Taste::Liked(weight) => liked.push((facts, weight)),
                Taste::Disliked => disliked.push(facts),
                Taste::Known => {}
            }
        }
        liked.sort_by(|one, other| {
            other.1.total_cmp(&one.1).then_with(|| one.0.reference.cmp(&other.0.reference))
        });
        liked.truncate(self.most_for_a_person);
        disliked.sort_by(|one, other| one.reference.cmp(&other.reference));
        disliked.truncate(self.most_for_a_person);
        taste.liked = liked.into_iter().map(|(facts, weight)| (self.intern(facts), weight)).collect();
        taste.disliked = disliked.into_iter().map(|facts| self.intern(facts)).collect();
        taste.known.sort_unstable();
        taste.known.dedup();
        self.people.push(taste);
        Ok(())
    }

    fn intern(&mut self, facts: TrackFacts) -> u32 {
        if let Some(&known) = self.index.get(&facts.reference) {
            complete(&mut self.tracks[known as usize], facts);
            return known;
        }
        let number = u32::try_from(self.tracks.len()).unwrap_or(u32::MAX);
        self.index.insert(facts.reference.clone(), number);
        self.tracks.push(facts);
        number
    }
}

/// What one telling of a track leaves open, another may know.
fn complete(known: &mut TrackFacts, told: TrackFacts) {
    known.album = known.album.take().or(told.album);
    known.duration_ms = known.duration_ms.or(told.duration_ms);
    known.beats_per_minute = known.beats_per_minute.or(told.beats_per_minute);
    known.scale = known.scale.or(told.scale);
}

/// Makes a model of the set.
///
/// # Errors
/// [`ModelError`] if the set is more than a model can number.
pub fn train(set: TrainingSet) -> Result<Trained, ModelError> {
    let TrainingSet { options, tracks, mut people, index, .. } = set;
    drop(index);
    let mut likers = vec![0_u32; tracks.len()];
    for (track, _) in people.iter().flat_map(|taste| &taste.liked) {
        likers[*track as usize] += 1;
    }
    let kept = kept(&likers, &tracks, &options);
    let mut numbers = vec![None; tracks.len()];
    for (number, &track) in (0_u32..).zip(&kept) {
        numbers[track] = Some(number);
    }
    for taste in &mut people {
        taste.liked = taste
            .liked
            .iter()
            .filter_map(|&(track, weight)| numbers[track as usize].map(|number| (number, weight)))
            .collect();
        taste.disliked = taste.disliked.iter().filter_map(|&track| numbers[track as usize]).collect();
    }
    let liked: Vec<Vec<(u32, f32)>> = people.iter().map(|taste| taste.liked.clone()).collect();
    let counts: Vec<u32> = kept.iter().map(|&track| likers[track]).collect();
    let neighbours = co_occurrence::neighbours(&liked, &counts);
    let factors = factors::learn(&liked, kept.len(), &options).unwrap_or_default();
    let mut tracks: Vec<Option<TrackFacts>> = tracks.into_iter().map(Some).collect();
    let tracks = kept
        .iter()
        .zip(neighbours)
        .filter_map(|(&track, neighbours)| {
            tracks[track].take().map(|facts| ModelTrack { facts, people: likers[track], neighbours })
        })
        .collect();
    let model = Model::from_content(Content {
        tracks,
        factors,
        width: u16::try_from(options.factors).map_err(|_| ModelError::Damaged("factors"))?,
        alpha: options.alpha,
        regularization: options.regularization,
        people: u32::try_from(people.len()).map_err(|_| ModelError::Damaged("people"))?,
    })?;
    for taste in &mut people {
        taste.model = model.checksum;
    }
    Ok(Trained { model, people })
}

/// The tracks that enough people like, in the order of their references: which is nobody's order.
fn kept(likers: &[u32], tracks: &[TrackFacts], options: &TrainingOptions) -> Vec<usize> {
    let mut kept: Vec<usize> =
        (0..tracks.len()).filter(|&track| likers[track] >= options.people_for_a_track.max(1)).collect();
    kept.sort_by(|&one, &other| {
        likers[other].cmp(&likers[one]).then_with(|| tracks[one].reference.cmp(&tracks[other].reference))
    });
    kept.truncate(options.most_tracks);
    kept.sort_by(|&one, &other| tracks[one].reference.cmp(&tracks[other].reference));
    kept
}
