//! Why an item is in an answer: what speaks most for it, and which of the person's tracks or seeds that is about.

use crate::answer::{Candidate, CandidateSource, Reason};
use crate::question::{ANCHORS, Choosable, Question, Source};

impl Question<'_> {
    pub(crate) fn reason(&self, who: Choosable, source: Source) -> Reason {
        let name = |track: u32| self.model.content.tracks[track as usize].facts.reference.clone();
        let found = match (source, who) {
            (Source::Taste, Choosable::Track(track)) => {
                self.most_alike(track, &self.anchors.liked).map(|like| Reason::Taste { like: name(like) })
            }
            (Source::Seeds, Choosable::Track(track)) => {
                self.most_alike(track, &self.seeds).map(|like| Reason::Seed { like: name(like) })
            }
            (Source::Neighbours, Choosable::Track(track)) => {
                self.best_neighbour(track).map(|like| Reason::SamePeople { like: name(like) })
            }
            (Source::Provider, _) => self.provided(who),
            _ => None,
        };
        let people = match who {
            Choosable::Track(track) => self.model.content.tracks[track as usize].people,
            Choosable::Candidate(_) => 0,
        };
        found.unwrap_or(Reason::Popular { people })
    }

    fn most_alike(&self, track: u32, liked: &[(u32, f32)]) -> Option<u32> {
        let factors = self.model.factors.as_ref()?;
        let scored = liked.iter().map(|&(other, weight)| (other, weight * factors.likeness(track, other)));
        best(scored)
    }

    fn best_neighbour(&self, track: u32) -> Option<u32> {
        let of = |liked: &[(u32, f32)]| {
            best(liked.iter().take(ANCHORS).filter_map(|&(other, weight)| {
                let neighbours = &self.model.content.tracks[other as usize].neighbours;
                let found = neighbours.iter().find(|(neighbour, _)| *neighbour == track)?;
                Some((other, weight * found.1))
            }))
        };
        of(&self.seeds).or_else(|| of(&self.anchors.liked))
    }

    fn provided(&self, who: Choosable) -> Option<Reason> {
        let mut told: Vec<&Candidate> = self
            .candidates
            .iter()
            .zip(self.request.candidates)
            .filter(|(one, _)| **one == who)
            .map(|(_, told)| told)
            .collect();
        told.sort_by_key(|candidate| !self.request.seeds.contains(&candidate.origin));
        told.first().map(|candidate| match candidate.source {
            CandidateSource::Similar => Reason::ProviderSimilar { like: candidate.origin.clone() },
            CandidateSource::Radio => Reason::ProviderRadio { like: candidate.origin.clone() },
        })
    }
}

fn best(scored: impl Iterator<Item = (u32, f32)>) -> Option<u32> {
    scored.max_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0))).map(|(track, _)| track)
}
