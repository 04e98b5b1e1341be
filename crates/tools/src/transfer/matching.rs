//! Which track of another service is the one that is meant: how well each of those found fits, and whether one of them
//! is it, several may be it, or none is. A pure function of what services say of tracks; who asks them is `finding`.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use stagedoor_domain::ItemRef;
use stagedoor_domain::music::Track;

use super::titles::{Title, Version, words};

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
/// Lengths that differ by less may be the same recording: services cut silence differently.
const SAME_LENGTH_MS: u64 = 3_000;
/// Lengths that differ by more are not taken for the same recording without asking.
const OTHER_LENGTH_MS: u64 = 7_000;

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

    fn new(share: f64) -> Self {
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

/// How a track is like the one that is wanted; each from 0 to 1.
#[derive(Debug, Clone, Copy)]
struct Likeness {
    title: f64,
    artists: f64,
    /// How alike the versions are; 1 for the same.
    version: f64,
    /// By how much the lengths differ, if both are known.
    apart_ms: Option<u64>,
    /// Title and artists together.
    words: f64,
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

impl Likeness {
    fn of(wanted: &Wanted, track: &Track, ours: &Title, theirs: &Title) -> Self {
        let title = like(&ours.base, &theirs.base);
        let artists = artists_alike(
            &names(wanted.artists.iter().map(String::as_str), ours),
            &names(track.artists.iter().map(|artist| artist.name.as_str()), theirs),
        );
        let known = wanted.duration_ms > 0 && track.duration_ms > 0;
        Self {
            title,
            artists,
            version: versions_alike(ours, theirs),
            apart_ms: known.then(|| wanted.duration_ms.abs_diff(track.duration_ms)),
            words: 0.6 * title + 0.4 * artists,
        }
    }

    fn confidence(self) -> Confidence {
        let length = self.apart_ms.map(closeness);
        let together = match length {
            Some(length) => 0.45 * self.title + 0.35 * self.artists + 0.20 * length,
            None => 0.95 * (0.45 * self.title + 0.35 * self.artists) / 0.80,
        };
        let mut most = 1.0_f64;
        let mut at_most = |limit: f64, holds: bool| {
            if holds {
                most = most.min(limit);
            }
        };
        at_most(0.30, self.title < 0.55);
        at_most(0.45, self.artists < 0.5);
        at_most(0.84, self.title < 0.85 || self.artists < 0.7);
        at_most(0.84, self.apart_ms.is_some_and(|apart| apart > OTHER_LENGTH_MS));
        at_most(0.60, self.apart_ms.is_some_and(|apart| apart > 30_000));
        Confidence::new((together * self.version).min(most))
    }
}

/// 1 for lengths that may be the same, 0 from 20 seconds on.
fn closeness(apart_ms: u64) -> f64 {
    let over = apart_ms.saturating_sub(SAME_LENGTH_MS).min(17_000);
    #[expect(clippy::cast_precision_loss, reason = "it is at most 17,000")]
    let over = over as f64;
    1.0 - over / 17_000.0
}

/// How alike the versions are. A remix by someone else is another track, a remaster is not.
fn versions_alike(ours: &Title, theirs: &Title) -> f64 {
    let (one, other) = (ours.recordings(), theirs.recordings());
    let differing: BTreeSet<Version> = one.symmetric_difference(&other).copied().collect();
    if differing.iter().any(|version| matches!(version, Version::Karaoke | Version::Cover)) {
        return 0.4;
    }
    if differing.is_subset(&BTreeSet::from([Version::Edit, Version::Extended])) && !differing.is_empty() {
        return 0.84;
    }
    if !differing.is_empty() {
        return 0.68;
    }
    if one.is_empty() {
        return if ours.versions == theirs.versions { 1.0 } else { 0.99 };
    }
    let shared = ours.of.intersection(&theirs.of).count();
    let fewer = ours.of.len().min(theirs.of.len());
    match (one.contains(&Version::Remix), fewer) {
        (_, 0) if ours.of == theirs.of => 1.0,
        (true, 0) => 0.8,
        (false, 0) => 0.92,
        (_, fewer) if 2 * shared > fewer => 1.0,
        (true, _) => 0.68,
        (false, _) => 0.8,
    }
}

/// The folded names of all who play, guests of the title included.
fn names<'a>(artists: impl Iterator<Item = &'a str>, title: &Title) -> Vec<String> {
    let mut names: Vec<String> = artists.map(|name| bare(&words(name))).collect();
    for guest in &title.guests {
        let guest = bare(&words(guest));
        if !names.contains(&guest) {
            names.push(guest);
        }
    }
    names
}

fn bare(words: &[String]) -> String {
    match words.split_first() {
        Some((first, rest)) if first == "the" && !rest.is_empty() => rest.join(" "),
        _ => words.join(" "),
    }
}

/// How alike two lists of artists are; the main one counts most, and a service may name fewer.
fn artists_alike(ours: &[String], theirs: &[String]) -> f64 {
    let (Some(main), false) = (ours.first(), theirs.is_empty()) else { return 0.0 };
    let best = |name: &String| theirs.iter().map(|other| name_like(name, other)).fold(0.0, f64::max);
    let main = best(main);
    let shared = ours.iter().filter(|name| best(name) >= 0.9).count();
    #[expect(clippy::cast_precision_loss, reason = "artists of a track are few")]
    let share = shared as f64 / ours.len().min(theirs.len()).max(1) as f64;
    0.8 * main + 0.2 * share.min(1.0)
}

/// `Crosby, Stills & Nash` as one artist or as several are the same people.
fn name_like(one: &str, other: &str) -> f64 {
    let part = |whole: &str, part: &str| format!(" {whole} ").contains(&format!(" {part} "));
    let alike = strsim::jaro_winkler(one, other);
    if alike < 0.95 && (part(one, other) || part(other, one)) { alike.max(0.9) } else { strict(alike) }
}

/// Names that merely begin alike are other names.
fn strict(alike: f64) -> f64 {
    if alike >= 0.9 { alike } else { alike * 0.5 }
}

/// How alike two folded texts are: by letters, or by words in any order.
fn like(one: &str, other: &str) -> f64 {
    if one == other {
        return 1.0;
    }
    let letters = strsim::normalized_levenshtein(&one.replace(' ', ""), &other.replace(' ', ""));
    let (first, second): (BTreeSet<&str>, BTreeSet<&str>) =
        (one.split(' ').collect(), other.split(' ').collect());
    #[expect(clippy::cast_precision_loss, reason = "words of a title are few")]
    let by_words = 2.0 * first.intersection(&second).count() as f64 / (first.len() + second.len()) as f64;
    letters.max(by_words.min(0.95))
}
