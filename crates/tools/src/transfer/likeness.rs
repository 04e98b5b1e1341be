//! How alike two tracks are, by what services say of them: title, artists, version, length. What follows from that is
//! `matching`'s to say. No I/O.

use std::collections::BTreeSet;

use stagedoor_domain::music::Track;

use super::matching::{Confidence, Wanted};
use super::titles::{Title, Version, words};

/// Lengths that differ by less may be the same recording: services cut silence differently.
pub(super) const SAME_LENGTH_MS: u64 = 3_000;
/// Lengths that differ by more are not taken for the same recording without asking.
const OTHER_LENGTH_MS: u64 = 7_000;

/// How a track is like the one that is wanted; each from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Likeness {
    pub(super) title: f64,
    pub(super) artists: f64,
    /// How alike the versions are; 1 for the same.
    pub(super) version: f64,
    /// By how much the lengths differ, if both are known.
    pub(super) apart_ms: Option<u64>,
    /// Title and artists together.
    pub(super) words: f64,
}

impl Likeness {
    pub(super) fn of(wanted: &Wanted, track: &Track, ours: &Title, theirs: &Title) -> Self {
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

    pub(super) fn confidence(self) -> Confidence {
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
pub(super) fn like(one: &str, other: &str) -> f64 {
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
