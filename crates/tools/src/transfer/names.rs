//! Who plays: the names that services give, compared as whole names. `Pink` is not `Pink Floyd`; `A feat. B` is `A`
//! with a guest, and `A & B` may be one name or two. No I/O.

use std::collections::BTreeSet;

use super::folding::{key, listed, signs};
use super::titles::{Title, Version};

/// How two lists of artists go together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Artists {
    /// The same main artist; `company` tells whether the others fit too.
    Same { company: Company },
    /// The main artist of the one plays at the other as well, but not as the main one or not alone.
    Joined,
    /// Another artist; how like the names are, below 0.6.
    Other(f64),
}

/// How those beside the main artist go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Equal,
    /// One service names some whom the other does not.
    Fewer,
    /// Each names somebody whom the other does not.
    Other,
}

/// The artists of a track, guests of the title included.
#[derive(Debug)]
pub(super) struct Credits {
    named: Vec<Credit>,
    guests: BTreeSet<String>,
    /// What the names say of the recording: karaoke, a tribute.
    pub(super) versions: BTreeSet<Version>,
}

#[derive(Debug)]
struct Credit {
    /// The words, between blanks.
    name: String,
    whole: String,
    parts: BTreeSet<String>,
}

/// Names of nobody.
const NOBODY: [&str; 4] = ["variousartists", "unknownartist", "unknown", "verschiedeneinterpreten"];

impl Credits {
    pub(super) fn of<'a>(artists: impl Iterator<Item = &'a str>, title: &Title) -> Self {
        let mut guests: BTreeSet<String> = title.guests.iter().map(|guest| key(guest)).collect();
        let mut versions = BTreeSet::new();
        let mut named = Vec::new();
        for name in artists {
            let all = listed(name);
            versions.extend(all.iter().filter_map(|word| Version::of_imitators(word)));
            let at =
                all.iter().position(|word| matches!(word.as_str(), "feat" | "ft" | "featuring" | "with"));
            let (main, others) = all.split_at(at.filter(|at| *at > 0).unwrap_or(all.len()));
            guests.extend(parts(others.get(1..).unwrap_or_default()));
            named.push(Credit::new(name, main));
        }
        Self { named, guests, versions }
    }

    pub(super) fn compare(&self, other: &Self) -> Artists {
        let (Some(ours), Some(theirs)) = (self.named.first(), other.named.first()) else {
            return Artists::Other(0.0);
        };
        match (other.have(ours), self.have(theirs)) {
            (true, true) => Artists::Same { company: self.company(other, ours.whole == theirs.whole) },
            (false, false) => Artists::Other(ours.like(theirs)),
            _ => Artists::Joined,
        }
    }

    fn have(&self, credit: &Credit) -> bool {
        if NOBODY.contains(&credit.whole.as_str()) {
            return false;
        }
        self.named.iter().any(|own| own.whole == credit.whole) || credit.parts.is_subset(&self.people())
    }

    fn people(&self) -> BTreeSet<String> {
        let parts = self.named.iter().flat_map(|credit| &credit.parts);
        parts.chain(&self.guests).cloned().collect()
    }

    fn company(&self, other: &Self, main_is_same: bool) -> Company {
        let others = |credits: &Self| {
            let mut people = credits.people();
            if let Some(main) = credits.named.first().filter(|_| main_is_same) {
                people.retain(|person| !main.parts.contains(person));
            }
            people
        };
        let (ours, theirs) = (others(self), others(other));
        if ours == theirs {
            Company::Equal
        } else if ours.is_subset(&theirs) || theirs.is_subset(&ours) {
            Company::Fewer
        } else {
            Company::Other
        }
    }
}

impl Credit {
    fn new(name: &str, main: &[String]) -> Self {
        let mut whole: Vec<String> =
            main.iter().filter(|word| *word != "and" && *word != "n").cloned().collect();
        // `Beatles, The`.
        if whole.len() > 1 && whole.last().is_some_and(|last| last == "the") && name.contains(", ") {
            whole.pop();
        }
        let name_words = format!(" {} ", whole.join(" "));
        let whole = key(&whole.join(" "));
        let whole = if whole.is_empty() { signs(name) } else { whole };
        let mut parts: BTreeSet<String> = parts(main).collect();
        if parts.len() < 2 {
            parts = BTreeSet::from([whole.clone()]);
        }
        Self { name: name_words, whole, parts }
    }

    /// Below 0.6, because it is not the same.
    fn like(&self, other: &Self) -> f64 {
        let alike = strsim::jaro_winkler(&self.whole, &other.whole);
        if alike >= 0.92 || self.name.contains(&other.name) || other.name.contains(&self.name) {
            0.55
        } else {
            alike * 0.4
        }
    }
}

/// The single names of a list. A joining word has a name on either side: `Lil Nas X` is one name.
fn parts(list: &[String]) -> impl Iterator<Item = String> {
    let mut names: Vec<Vec<&str>> = vec![Vec::new()];
    for (index, word) in list.iter().enumerate() {
        let joins = matches!(word.as_str(), "and" | "x" | "vs" | "versus" | "und");
        let last = index + 1 == list.len();
        match names.last_mut() {
            Some(name) if joins && !last && !name.is_empty() => names.push(Vec::new()),
            Some(name) if word != "and" => name.push(word),
            _ => {}
        }
    }
    names
        .into_iter()
        .map(|name| key(&name.join(" ")))
        .filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .into_iter()
}
