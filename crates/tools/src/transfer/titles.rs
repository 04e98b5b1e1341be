//! Titles taken apart: what a track is called, which version of it this is, who is featured. Services write the same
//! differently: `Song - Live at Wembley`, `Song (Live at Wembley) [feat. Guest]`. No I/O.

use std::collections::BTreeSet;

use super::folding::{listed, signs, words};
pub(super) use super::versions::Version;
use super::versions::{FILLERS, is_year, versions};

/// A title taken apart. All words are folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Title {
    /// What the song is called, without version and guests.
    pub(super) base: String,
    /// Which version it is; empty for the plain one.
    pub(super) versions: BTreeSet<Version>,
    /// Whose remix, which concert: what else the words about the version say.
    pub(super) of: BTreeSet<String>,
    /// The guests' names, as one text each.
    pub(super) guests: Vec<String>,
    /// Whether those may be no guests but words of the title: `Stay (With Me)`.
    pub(super) perhaps_guests: bool,
}

impl Title {
    /// The parts of a title.
    pub(super) fn of(title: &str) -> Self {
        let mut parsed = Self::default();
        let mut base = Vec::new();
        for Segment { text, apart } in segments(title) {
            if apart && parsed.take(&text) {
                continue;
            }
            base.extend(before_guests(&text, &mut parsed.guests));
        }
        if base.is_empty() {
            // It is called `Live`, or `÷`.
            parsed.of.clear();
            parsed.versions.clear();
            base = words(title);
        }
        parsed.base = if base.is_empty() { signs(title) } else { base.join(" ") };
        parsed
    }

    /// The versions that make another recording.
    pub(super) fn recordings(&self) -> BTreeSet<Version> {
        self.versions.iter().copied().filter(|version| *version != Version::Remaster).collect()
    }

    /// Takes words that stand apart, if they tell guests or a version.
    fn take(&mut self, text: &str) -> bool {
        if let Some((first, guests)) = listed(text).split_first()
            && matches!(first.as_str(), "feat" | "ft" | "featuring" | "with" | "con")
            && !guests.is_empty()
        {
            self.guests.extend(names(guests));
            self.perhaps_guests |= matches!(first.as_str(), "with" | "con");
            return true;
        }
        let words = words(text);
        let found = versions(&words);
        if found.is_empty() {
            return false;
        }
        // The year of a concert tells which one, that of a remaster does not.
        let years_tell = found.iter().any(|version| *version != Version::Remaster);
        let tells = |word: &&String| {
            Version::of(word).is_none() && (years_tell || !is_year(word)) && !FILLERS.contains(&word.as_str())
        };
        self.of.extend(words.iter().filter(tells).cloned());
        self.versions.extend(found);
        true
    }
}

/// The words before `feat.` in running text; the names after it go to `guests`.
fn before_guests(text: &str, guests: &mut Vec<String>) -> Vec<String> {
    let is_feat = |word: &String| matches!(word.as_str(), "feat" | "ft" | "featuring");
    let (mut words, listed) = (words(text), listed(text));
    let (at, from) = (words.iter().position(is_feat), listed.iter().position(is_feat));
    if let (Some(at), Some(from)) = (at, from)
        && at > 0
        && from + 1 < listed.len()
    {
        guests.extend(names(&listed[from + 1..]));
        words.truncate(at);
    }
    words
}

fn names(words: &[String]) -> impl Iterator<Item = String> + '_ {
    words.split(|word| word == "and").filter(|name| !name.is_empty()).map(|name| name.join(" "))
}

/// A stretch of a title: `apart` if it stands in brackets or after a dash.
struct Segment {
    text: String,
    apart: bool,
}

fn segments(title: &str) -> Vec<Segment> {
    let mut found = vec![Segment { text: String::new(), apart: false }];
    let mut depth = 0_usize;
    let mut after_dash = false;
    let characters: Vec<char> = title.chars().collect();
    for (index, &character) in characters.iter().enumerate() {
        let between_blanks = index > 0
            && characters[index - 1].is_whitespace()
            && characters.get(index + 1).is_some_and(|next| next.is_whitespace());
        match character {
            '(' | '[' | '{' => {
                depth += 1;
                found.push(Segment { text: String::new(), apart: true });
            }
            ')' | ']' | '}' if depth > 0 => {
                depth -= 1;
                found.push(Segment { text: String::new(), apart: depth > 0 || after_dash });
            }
            '-' | '–' | '—' if between_blanks && depth == 0 => {
                after_dash = true;
                found.push(Segment { text: String::new(), apart: true });
            }
            _ => {
                if let Some(last) = found.last_mut() {
                    last.text.push(character);
                }
            }
        }
    }
    found.retain(|segment| segment.text.chars().any(char::is_alphanumeric));
    found
}
