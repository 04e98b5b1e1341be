//! How a question is answered: rankings, their mixture, and the choice from it.

use std::collections::{HashMap, HashSet};

use crate::anchors::Anchors;
use crate::answer::{Answer, Basis, CandidateSource, Item, Reason, Request};
use crate::diversity::{Choice, choose};
use crate::fusion::{Ranking, fuse};
use crate::model::Model;
use crate::person::fingerprint;
use crate::{MoodFit, TrackFacts};

/// Liked tracks whose neighbours are looked at.
pub(crate) const ANCHORS: usize = 200;
/// Disliked tracks that make their like less likely.
const DISLIKED: usize = 50;
/// What popularity is worth beside rankings worth 1: it fills up what they leave empty, and pushes nothing away.
const POPULARITY: f32 = 0.01;
/// How much a seed weighs.
const SEED_WEIGHT: f32 = 5.0;

/// Where a ranking comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Taste,
    Seeds,
    Neighbours,
    Provider,
    Popularity,
}

/// What can be in the answer: a track of the model, or a candidate that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Choosable {
    Track(u32),
    Candidate(usize),
}

/// A question with what is known about it.
pub(crate) struct Question<'a> {
    pub(crate) model: &'a Model,
    pub(crate) request: &'a Request<'a>,
    pub(crate) anchors: Anchors,
    /// Seeds that the model knows, with the weight of a seed.
    pub(crate) seeds: Vec<(u32, f32)>,
    /// For each candidate what it is, if the model knows it.
    pub(crate) candidates: Vec<Choosable>,
    excluded: HashSet<u64>,
}

impl<'a> Question<'a> {
    pub(crate) fn new(model: &'a Model, request: &'a Request<'a>) -> Self {
        let mut seeds: Vec<u32> = request.seeds.iter().filter_map(|seed| model.position(seed)).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let mut first: HashMap<&str, usize> = HashMap::new();
        let candidates = request
            .candidates
            .iter()
            .enumerate()
            .map(|(at, candidate)| match model.position(&candidate.track.reference) {
                Some(track) => Choosable::Track(track),
                None => Choosable::Candidate(*first.entry(candidate.track.reference.as_str()).or_insert(at)),
            })
            .collect();
        Self {
            model,
            request,
            anchors: Anchors::of(model, request.person, request.since),
            seeds: seeds.into_iter().map(|seed| (seed, SEED_WEIGHT)).collect(),
            candidates,
            excluded: request
                .seeds
                .iter()
                .chain(request.excluded)
                .map(|reference| fingerprint(reference))
                .collect(),
        }
    }

    pub(crate) fn answer(&self, diversity: f32, for_an_artist: usize) -> Answer {
        let mut rankings = self.rankings();
        let seeded = !self.seeds.is_empty()
            || self.request.candidates.iter().any(|candidate| self.request.seeds.contains(&candidate.origin));
        let basis = match (seeded, !self.anchors.liked.is_empty()) {
            (true, true) => Basis::SeedsAndHabits,
            (true, false) => Basis::Seeds,
            (false, true) => Basis::Habits,
            (false, false) => Basis::Popularity,
        };
        if fuse(&rankings).len() < self.request.count {
            rankings.push(self.popularity());
        }
        let mut pool: Vec<(Choosable, f32, Source, Option<MoodFit>)> = fuse(&rankings)
            .into_iter()
            .filter_map(|(who, score, source)| match self.request.mood {
                None => Some((who, score, source, None)),
                Some(mood) => mood.fit(self.facts(who)).map(|fit| (who, score, source, Some(fit))),
            })
            .collect();
        // Those whose mood is known come first; both halves keep their order.
        pool.sort_by_key(|(_, _, _, fit)| *fit == Some(MoodFit::Unknown));
        let fitting = pool.iter().filter(|(_, _, _, fit)| *fit != Some(MoodFit::Unknown)).count();
        let (fitting, unknown) = pool.split_at(fitting);
        let mut items = self.choose(fitting, self.request.count, diversity, for_an_artist);
        let rest = self.request.count - items.len();
        items.extend(self.choose(unknown, rest, diversity, for_an_artist));
        let basis = if matches!(basis, Basis::Seeds | Basis::Habits | Basis::SeedsAndHabits)
            && items.iter().all(|item| matches!(item.reason, Reason::Popular { .. }))
        {
            Basis::Popularity
        } else {
            basis
        };
        Answer { basis, items, unknown_seeds: self.unknown_seeds() }
    }

    /// All tracks of the model that may be in an answer, by the mixed ranking, without any regard to diversity.
    #[cfg(feature = "evaluation")]
    pub(crate) fn mixed(&self) -> Vec<u32> {
        let tracks = |(who, _, _): (Choosable, f32, Source)| match who {
            Choosable::Track(track) => Some(track),
            Choosable::Candidate(_) => None,
        };
        fuse(&self.rankings()).into_iter().filter_map(tracks).collect()
    }

    /// The tracks of the model by one part of the mixture alone.
    #[cfg(feature = "evaluation")]
    pub(crate) fn part(&self, part: crate::evaluation::Part) -> Vec<u32> {
        use crate::evaluation::Part;
        use crate::recommend;
        let places = match part {
            Part::Mixture => return self.mixed(),
            Part::Answer => {
                let items = recommend(self.model, self.request).items;
                return items.iter().filter_map(|item| self.model.position(&item.track.reference)).collect();
            }
            Part::Factors => self.by_factors(&self.anchors.liked),
            Part::CoOccurrence => self.by_neighbours(&self.anchors.liked),
            Part::Popularity => self.popularity().places,
        };
        let track = |who| if let Choosable::Track(track) = who { Some(track) } else { None };
        places.into_iter().filter_map(track).collect()
    }

    fn rankings(&self) -> Vec<Ranking<Choosable, Source>> {
        let habits = if self.request.seeds.is_empty() { 1.0 } else { 0.5 };
        let mut rankings = vec![
            Ranking { source: Source::Seeds, worth: 1.0, places: self.by_factors(&self.seeds) },
            Ranking { source: Source::Neighbours, worth: 1.0, places: self.by_neighbours(&self.seeds) },
            Ranking { source: Source::Taste, worth: habits, places: self.by_factors(&self.anchors.liked) },
            Ranking {
                source: Source::Neighbours,
                worth: 0.5 * habits,
                places: self.by_neighbours(&self.anchors.liked),
            },
        ];
        for seeds in [true, false] {
            for source in [CandidateSource::Similar, CandidateSource::Radio] {
                let worth = if seeds { 1.0 } else { 0.5 * habits };
                let places = self.by_provider(seeds, source);
                rankings.push(Ranking { source: Source::Provider, worth, places });
            }
        }
        rankings
    }

    /// Tracks by how much the owner of the liked ones is expected to like them. What is near something disliked is worth
    /// up to half less.
    fn by_factors(&self, liked: &[(u32, f32)]) -> Vec<Choosable> {
        let Some(factors) = &self.model.factors else { return Vec::new() };
        let Some(vector) = factors.vector(liked) else { return Vec::new() };
        let mut scored: Vec<(u32, f32)> = (0_u32..).zip(factors.scores(&vector)).collect();
        scored.retain(|&(track, score)| score > 0.0 && !self.left_out(Choosable::Track(track)));
        for (track, score) in &mut scored {
            let disliked =
                self.anchors.disliked.iter().take(DISLIKED).map(|&other| factors.likeness(*track, other));
            *score *= 1.0 - 0.5 * disliked.fold(0.0_f32, f32::max).min(1.0);
        }
        ranked(scored)
    }

    /// Tracks by the likeness of their co-occurrence with the liked ones, times weight, added up.
    fn by_neighbours(&self, liked: &[(u32, f32)]) -> Vec<Choosable> {
        let mut sums: HashMap<u32, f32> = HashMap::new();
        for &(track, weight) in liked.iter().take(ANCHORS) {
            for &(other, likeness) in &self.model.content.tracks[track as usize].neighbours {
                *sums.entry(other).or_default() += weight * likeness;
            }
        }
        sums.retain(|&track, _| !self.left_out(Choosable::Track(track)));
        ranked(sums.into_iter().collect())
    }

    /// Candidates of one list of the provider: the first of each origin, then the second of each, and so on.
    fn by_provider(&self, seeds: bool, source: CandidateSource) -> Vec<Choosable> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut found: Vec<(usize, Choosable)> = Vec::new();
        for (candidate, &who) in self.request.candidates.iter().zip(&self.candidates) {
            if candidate.source == source && self.request.seeds.contains(&candidate.origin) == seeds {
                let place = places.entry(candidate.origin.as_str()).or_default();
                found.push((*place, who));
                *place += 1;
            }
        }
        found.sort_by_key(|&(place, _)| place);
        let mut seen = HashSet::new();
        found.into_iter().map(|(_, who)| who).filter(|&who| !self.left_out(who) && seen.insert(who)).collect()
    }

    fn popularity(&self) -> Ranking<Choosable, Source> {
        let places = self.model.by_people.iter().map(|&track| Choosable::Track(track));
        let places = places.filter(|&who| !self.left_out(who)).collect();
        Ranking { source: Source::Popularity, worth: POPULARITY, places }
    }

    fn left_out(&self, who: Choosable) -> bool {
        let reference = &self.facts(who).reference;
        self.anchors.knows(reference)
            || self.excluded.contains(&fingerprint(reference))
            || matches!(who, Choosable::Track(track) if self.anchors.disliked.binary_search(&track).is_ok())
    }

    fn facts(&self, who: Choosable) -> &TrackFacts {
        match who {
            Choosable::Track(track) => &self.model.content.tracks[track as usize].facts,
            Choosable::Candidate(at) => &self.request.candidates[at].track,
        }
    }

    fn choose(
        &self,
        pool: &[(Choosable, f32, Source, Option<MoodFit>)],
        count: usize,
        diversity: f32,
        for_an_artist: usize,
    ) -> Vec<Item> {
        let pool = &pool[..pool.len().min((count * 8).max(100))];
        let choices: Vec<Choice<'_>> = pool
            .iter()
            .map(|(who, score, _, _)| Choice {
                score: *score,
                artist: self.facts(*who).artists.first().map(String::as_str),
            })
            .collect();
        let likeness = |one: usize, other: usize| match (&self.model.factors, pool[one].0, pool[other].0) {
            (Some(factors), Choosable::Track(one), Choosable::Track(other)) => factors.likeness(one, other),
            _ => 0.0,
        };
        choose(&choices, count, diversity, for_an_artist, likeness)
            .into_iter()
            .map(|at| {
                let (who, _, source, mood) = pool[at];
                Item { track: self.facts(who).clone(), reason: self.reason(who, source), mood }
            })
            .collect()
    }

    fn unknown_seeds(&self) -> Vec<String> {
        let known = |seed: &&String| {
            self.model.position(seed).is_some()
                || self.request.candidates.iter().any(|candidate| candidate.origin == **seed)
        };
        self.request.seeds.iter().filter(|seed| !known(seed)).cloned().collect()
    }
}

fn ranked(mut scored: Vec<(u32, f32)>) -> Vec<Choosable> {
    scored.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    scored.into_iter().map(|(track, _)| Choosable::Track(track)).collect()
}
