//! How alike two tracks are, by what services say of them: title, artists, version, length; and what speaks against
//! their being the same recording. What follows from that is `matching`'s to say. No I/O.

use std::collections::BTreeSet;

use stagedoor_domain::music::Track;

use super::doubts::Doubt;
use super::folding::{key, numbers};
use super::matching::{Confidence, Wanted};
use super::names::{Artists, Company, Credits};
use super::titles::{Title, Version};

/// Lengths that differ by less may be the same recording: services cut silence differently.
pub(super) const SAME_LENGTH_MS: u64 = 3_000;
/// Lengths that differ by more are not taken for the same recording without asking.
const OTHER_LENGTH_MS: u64 = 7_000;

/// How a track is like the one that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Likeness {
    /// From 0 to 1.
    title: f64,
    /// From 0 to 1.
    artists: f64,
    /// How alike the versions are; 1 for the same.
    version: f64,
    /// By how much the lengths differ, if both are known.
    pub(super) apart_ms: Option<u64>,
    /// What speaks against it, the weightiest first.
    pub(super) doubts: Vec<Doubt>,
}

impl Likeness {
    pub(super) fn of(wanted: &Wanted, track: &Track, ours: &Title, theirs: &Title) -> Self {
        let mut doubts = Vec::new();
        let title = titles_alike(ours, theirs, &mut doubts);
        let our_credits = Credits::of(wanted.artists.iter().map(String::as_str), ours);
        let their_credits = Credits::of(track.artists.iter().map(|artist| artist.name.as_str()), theirs);
        let artists = match our_credits.compare(&their_credits) {
            Artists::Same { company: Company::Equal } => 1.0,
            Artists::Same { company: Company::Fewer }
                if !is_work(ours) && !ours.perhaps_guests && !theirs.perhaps_guests =>
            {
                0.95
            }
            Artists::Same { .. } => {
                doubts.push(Doubt::Company);
                0.9
            }
            Artists::Joined => {
                doubts.push(Doubt::Joined);
                0.7
            }
            Artists::Other(alike) => {
                doubts.push(Doubt::Artist(track.artists.first().map(|artist| artist.name.clone())));
                alike
            }
        };
        let all = |title: &Title, credits: &Credits| &title.recordings() | &credits.versions;
        let (one, other) = (all(ours, &our_credits), all(theirs, &their_credits));
        let version = versions_alike((ours, &one), (theirs, &other), &mut doubts);
        let known = wanted.duration_ms > 0 && track.duration_ms > 0;
        let apart_ms = known.then(|| wanted.duration_ms.abs_diff(track.duration_ms));
        if let Some(apart_ms) = apart_ms.filter(|apart| *apart > SAME_LENGTH_MS) {
            let small = apart_ms * 100 <= 3 * wanted.duration_ms;
            if !small || apart_ms > OTHER_LENGTH_MS {
                doubts.push(Doubt::Length { apart_ms, small });
            }
        }
        Self { title, artists, version, apart_ms, doubts }
    }

    pub(super) fn confidence(&self) -> Confidence {
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
        at_most(0.84, !self.doubts.is_empty());
        at_most(0.60, self.doubts.iter().any(Doubt::weighs));
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

/// How alike the songs are called. Only the same words are the same song.
fn titles_alike(ours: &Title, theirs: &Title, doubts: &mut Vec<Doubt>) -> f64 {
    let (one, other) = (key(&ours.base), key(&theirs.base));
    if counted(ours) != counted(theirs) {
        doubts.push(Doubt::Numbers);
    } else if one != other {
        doubts.push(Doubt::Title);
    } else if !one.is_empty() {
        return 1.0;
    }
    like(&ours.base, &theirs.base).min(0.84)
}

/// The numbers that tell which song it is; those of a concert tell which take.
fn counted(title: &Title) -> (Vec<String>, BTreeSet<&String>) {
    let of = title.of.iter().filter(|word| title.recordings().is_empty() && is_number(word));
    (numbers(&title.base), of.collect())
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is a work that many play: then a composer alone does not tell who plays.
fn is_work(title: &Title) -> bool {
    const SIGNS: [&str; 16] = [
        "op", "opus", "bwv", "kv", "hwv", "rv", "hob", "woo", "sonata", "concerto", "symphony", "sinfonie",
        "sonate", "prelude", "nocturne", "etude",
    ];
    title.base.split(' ').any(|word| SIGNS.contains(&word))
}

/// How alike the versions are. A remix by someone else is another track, a remaster is not.
fn versions_alike(
    (ours, one): (&Title, &BTreeSet<Version>),
    (theirs, other): (&Title, &BTreeSet<Version>),
    doubts: &mut Vec<Doubt>,
) -> f64 {
    let differing = one ^ other;
    if let Some(version) = differing.first() {
        doubts.push(Doubt::Version(*version));
        let milder = [Version::Edit, Version::Extended, Version::Mono, Version::Clean];
        return if differing.iter().any(|version| matches!(version, Version::Karaoke | Version::Cover)) {
            0.4
        } else if differing.iter().all(|version| milder.contains(version)) {
            0.84
        } else {
            0.68
        };
    }
    let within = ours.of.is_subset(&theirs.of) || theirs.of.is_subset(&ours.of);
    let told = !ours.of.is_empty() && !theirs.of.is_empty();
    if ours.of == theirs.of || (within && one.is_empty()) {
        return if ours.versions == theirs.versions { 1.0 } else { 0.99 };
    }
    if within && told && !one.contains(&Version::Remix) {
        return 0.95;
    }
    doubts.push(Doubt::Take { told });
    match (one.contains(&Version::Remix), within) {
        (true, false) => 0.68,
        (false, false) => 0.8,
        (true, true) => 0.84,
        (false, true) => 0.92,
    }
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
