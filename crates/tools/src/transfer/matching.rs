//! Which track of another service is the one that is meant: how well each of those found fits, and whether one of them
//! is it, several may be it, or none is. A pure function of what services say of tracks; who asks them is `finding`.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use stagedoor_domain::ItemRef;
use stagedoor_domain::music::Track;

use super::likeness::{Likeness, SAME_LENGTH_MS, like};
use super::titles::{Title, Version, words};

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;

/// At least so sure is a match that nobody is asked about.
pub(super) const SURE: Confidence = Confidence(85);
/// Less is not worth showing.
const POSSIBLE: Confidence = Confidence(50);
/// Candidates that a person is shown at most.
const SHOWN: usize = 5;
/// A candidate this much behind the best, in hundredths, is no rival of it.
const CLEARLY_BEHIND: u8 = 4;

/// How sure it is, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Confidence(u8);

/// A track that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) title: String,
    pub(super) artists: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) album: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) isrc: Option<String>,
    /// 0 if nobody knows.
    pub(super) duration_ms: u64,
    #[serde(default)]
    pub(super) explicit: bool,
}

/// A track that may be the one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Candidate {
    #[serde(rename = "ref")]
    pub(super) reference: ItemRef,
    pub(super) title: String,
    pub(super) artists: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) album: Option<String>,
    pub(super) duration_ms: u64,
    pub(super) confidence: Confidence,
    pub(super) reason: String,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// This is the one.
    Matched(Candidate),
    /// One of these may be it, the likeliest first.
    Ambiguous(Vec<Candidate>),
    /// None of them is.
    None,
}

impl Confidence {
    /// Certain.
    pub(super) const FULL: Self = Self(100);

    pub(super) fn new(share: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within 0 and 100")]
        Self((share.clamp(0.0, 1.0) * 100.0).round() as u8)
    }

    /// From 0 to 1.
    pub(super) fn share(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl From<&Track> for Wanted {
    fn from(track: &Track) -> Self {
        Self {
            title: track.title.clone(),
            artists: track.artists.iter().map(|artist| artist.name.clone()).collect(),
            album: track.album.as_ref().map(|album| album.title.clone()),
            isrc: track.isrc.as_deref().map(str::to_ascii_uppercase),
            duration_ms: track.duration_ms,
            explicit: track.explicit,
        }
    }
}

/// Judges tracks that carry the ISRC of the one that is wanted. They are the same recording, unless a label gave a code
/// out twice.
pub(super) fn by_isrc(wanted: &Wanted, found: &[Track]) -> Judgement {
    let scored = ranked(wanted, found);
    let Some(best) = scored.into_iter().next() else { return Judgement::None };
    let (confidence, reason) = match best.likeness {
        likeness if likeness.words >= 0.6 => (Confidence::FULL, "same ISRC"),
        likeness if likeness.words >= 0.35 => (Confidence(90), "same ISRC, written differently"),
        _ => {
            let reason = "same ISRC, but another title and artist";
            return Judgement::Ambiguous(vec![best.candidate(Confidence(60), reason.to_owned())]);
        }
    };
    Judgement::Matched(best.candidate(confidence, reason.to_owned()))
}

/// Judges the track at the same place of an album with the same UPC.
pub(super) fn by_place(wanted: &Wanted, found: &Track) -> Judgement {
    let scored = Scored::new(wanted, found);
    if scored.confidence < Confidence(60) {
        return Judgement::None;
    }
    let confidence = scored.confidence.max(Confidence(95));
    Judgement::Matched(scored.candidate(confidence, "same place on the album with the same UPC".to_owned()))
}

/// Judges what a search found.
pub(super) fn by_search(wanted: &Wanted, found: &[Track]) -> Judgement {
    let scored = ranked(wanted, found);
    let Some(best) = scored.first().filter(|best| best.confidence >= POSSIBLE) else {
        return Judgement::None;
    };
    let rival = scored[1..].iter().find(|other| {
        other.confidence.0 + CLEARLY_BEHIND > best.confidence.0 && !same_recording(best.track, other.track)
    });
    if best.confidence >= SURE && rival.is_none() {
        let (confidence, reason) = (best.confidence, best.reason());
        return Judgement::Matched(best.candidate(confidence, reason));
    }
    let possible = scored.iter().filter(|scored| scored.confidence >= POSSIBLE).take(SHOWN);
    Judgement::Ambiguous(
        possible.map(|scored| scored.candidate(scored.confidence, scored.reason())).collect(),
    )
}

fn ranked<'a>(wanted: &Wanted, found: &'a [Track]) -> Vec<Scored<'a>> {
    let mut scored: Vec<Scored<'a>> = found.iter().map(|track| Scored::new(wanted, track)).collect();
    // Stable: of equals, the one that the service named first.
    scored.sort_by_key(|scored| Reverse((scored.confidence, scored.company)));
    scored
}

/// Whether two tracks of one service are the same recording on two releases.
fn same_recording(one: &Track, other: &Track) -> bool {
    if one.isrc.is_some() && one.isrc == other.isrc {
        return true;
    }
    let (first, second) = (Title::of(&one.title), Title::of(&other.title));
    first.base == second.base
        && first.recordings() == second.recordings()
        && first.of == second.of
        && one.duration_ms.abs_diff(other.duration_ms) <= SAME_LENGTH_MS
        && one.artists.first().map(|artist| &artist.reference)
            == other.artists.first().map(|artist| &artist.reference)
}

#[derive(Debug)]
struct Scored<'a> {
    track: &'a Track,
    likeness: Likeness,
    confidence: Confidence,
    /// Of equally good ones: same album, same wording.
    company: u8,
    other_version: Option<Version>,
}

impl<'a> Scored<'a> {
    fn new(wanted: &Wanted, track: &'a Track) -> Self {
        let (ours, theirs) = (Title::of(&wanted.title), Title::of(&track.title));
        let likeness = Likeness::of(wanted, track, &ours, &theirs);
        let album = match (&wanted.album, &track.album) {
            (Some(ours), Some(theirs)) => like(&words(ours).join(" "), &words(&theirs.title).join(" ")),
            _ => 0.0,
        };
        let same_words = u8::from(wanted.explicit == track.explicit);
        Self {
            track,
            likeness,
            confidence: likeness.confidence(),
            company: Confidence::new(album).0 + 20 * same_words,
            other_version: ours.recordings().symmetric_difference(&theirs.recordings()).next().copied(),
        }
    }

    fn candidate(&self, confidence: Confidence, reason: String) -> Candidate {
        Candidate {
            reference: self.track.reference.clone(),
            title: self.track.title.clone(),
            artists: self.track.artists.iter().map(|artist| artist.name.clone()).collect(),
            album: self.track.album.as_ref().map(|album| album.title.clone()),
            duration_ms: self.track.duration_ms,
            confidence,
            reason,
        }
    }

    /// What speaks for it or against it.
    fn reason(&self) -> String {
        let Likeness { title, artists, version, apart_ms, .. } = self.likeness;
        let mut against = Vec::new();
        if title < 0.85 {
            against.push("the title differs".to_owned());
        }
        if artists < 0.75 {
            against.push("the artists differ".to_owned());
        }
        match self.other_version {
            Some(other) => against.push(format!("another version ({})", other.word())),
            None if version < 0.9 => against.push("another take of that version".to_owned()),
            None => {}
        }
        if let Some(apart) = apart_ms.filter(|apart| *apart > SAME_LENGTH_MS) {
            against.push(format!("{} s apart in length", apart.div_ceil(1_000)));
        }
        match (against.is_empty(), apart_ms) {
            (true, Some(_)) => "title, artists and length fit".to_owned(),
            (true, None) => "title and artists fit".to_owned(),
            (false, _) => against.join(", "),
        }
    }
}
