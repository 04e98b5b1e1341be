//! Which track of another service is the one that is meant: how well each of those found fits, and whether one of them
//! is it, several may be it, or none is. A pure function of what services say of tracks; who asks them is `finding`.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use stagedoor_domain::ItemRef;
use stagedoor_domain::music::Track;

use super::doubts::Doubt;
use super::folding::words;
use super::likeness::{Likeness, SAME_LENGTH_MS, like};
use super::titles::{Title, Version};

#[cfg(test)]
mod cases;
#[cfg(test)]
mod properties;
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
/// out twice: title, main artist, version and length have to agree as well.
pub(super) fn by_isrc(wanted: &Wanted, found: &[Track]) -> Judgement {
    let mut scored = ranked(found.iter().map(|track| Scored::new(wanted, track)));
    let weighty = |scored: &Scored<'_>| scored.likeness.doubts.iter().any(Doubt::outweighs_the_code);
    let agrees = scored.iter().position(|scored| !weighty(scored));
    if let Some(best) = agrees.map(|at| scored.swap_remove(at)) {
        let (confidence, reason) = if best.likeness.doubts.is_empty() {
            (Confidence::FULL, "same ISRC")
        } else {
            (Confidence(90), "same ISRC, written differently")
        };
        return Judgement::Matched(best.candidate(confidence, reason.to_owned()));
    }
    let doubtful = scored.iter().take(SHOWN).map(|scored| scored.doubtful("same ISRC"));
    Judgement::of_doubtful(doubtful.collect())
}

/// Judges the track at the same place of an album with the same UPC: one that is missing moves all that follow it.
pub(super) fn by_place(wanted: &Wanted, found: &Track) -> Judgement {
    const PLACE: &str = "same place on the album with the same UPC";
    let scored = Scored::new(wanted, found);
    if scored.likeness.doubts.is_empty() {
        let confidence = scored.confidence.max(Confidence(95));
        return Judgement::Matched(scored.candidate(confidence, PLACE.to_owned()));
    }
    if scored.confidence < POSSIBLE {
        return Judgement::None;
    }
    Judgement::Ambiguous(vec![scored.doubtful(PLACE)])
}

/// Judges what a search found.
pub(super) fn by_search(wanted: &Wanted, found: &[Track]) -> Judgement {
    let mut scored = ranked(found.iter().map(|track| Scored::new(wanted, track).with_release(wanted)));
    scored.retain(|scored| scored.confidence >= POSSIBLE);
    let Some(best) = scored.first() else { return Judgement::None };
    let rival = scored[1..].iter().any(|other| {
        other.confidence.0 + CLEARLY_BEHIND > best.confidence.0 && !same_recording(best.track, other.track)
    });
    if best.is_sure() && !rival {
        return Judgement::Matched(best.candidate(best.confidence, best.reason()));
    }
    let told = |scored: &Scored<'_>| {
        let beside = if scored.is_sure() { ", and so does another recording" } else { "" };
        scored.candidate(scored.confidence, scored.reason() + beside)
    };
    Judgement::Ambiguous(scored.iter().take(SHOWN).map(told).collect())
}

impl Judgement {
    fn of_doubtful(candidates: Vec<Candidate>) -> Self {
        if candidates.is_empty() { Self::None } else { Self::Ambiguous(candidates) }
    }
}

fn ranked<'a>(scored: impl Iterator<Item = Scored<'a>>) -> Vec<Scored<'a>> {
    let mut scored: Vec<Scored<'a>> = scored.collect();
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
        let confidence = likeness.confidence();
        Self { track, likeness, confidence, company: Confidence::new(album).0 + 20 * same_words }
    }

    /// Weighs the release too, where no code tells that it is the same recording.
    fn with_release(mut self, wanted: &Wanted) -> Self {
        let said = |title: &str, album: Option<&str>| {
            let album = album.map(Version::of_album).unwrap_or_default();
            &Title::of(title).recordings() | &album
        };
        let ours = said(&wanted.title, wanted.album.as_deref());
        let theirs = said(&self.track.title, self.track.album.as_ref().map(|album| album.title.as_str()));
        let told = self.likeness.doubts.iter().any(|doubt| matches!(doubt, Doubt::Version(_)));
        if let Some(version) = (&ours ^ &theirs).first().filter(|_| !told) {
            self.likeness.doubts.push(Doubt::Album(*version));
        }
        if wanted.explicit != self.track.explicit {
            self.likeness.doubts.push(Doubt::Explicit { wanted: wanted.explicit });
        }
        self.confidence = self.likeness.confidence();
        self
    }

    fn is_sure(&self) -> bool {
        self.confidence >= SURE && self.likeness.doubts.is_empty()
    }

    /// As one to be asked about, because of what agrees and what does not.
    fn doubtful(&self, agrees: &str) -> Candidate {
        let reason = format!("{agrees}, but {}", Doubt::list(&self.likeness.doubts));
        self.candidate(self.confidence.max(POSSIBLE), reason)
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
        match (self.likeness.doubts.is_empty(), self.likeness.apart_ms) {
            (true, Some(_)) => "title, artists and length fit".to_owned(),
            (true, None) => "title and artists fit".to_owned(),
            (false, _) => Doubt::list(&self.likeness.doubts),
        }
    }
}
