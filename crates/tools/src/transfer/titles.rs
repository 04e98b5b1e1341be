//! Titles taken apart: what a track is called, which version of it this is, who is featured. Services write the same
//! differently: `Song - Live at Wembley`, `Song (Live at Wembley) [feat. Guest]`. No I/O.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What sets one recording of a song apart from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Live,
    Remix,
    Edit,
    Extended,
    Acoustic,
    Instrumental,
    Karaoke,
    Cover,
    Demo,
    Orchestral,
    ReRecorded,
    Faster,
    Slower,
    /// The same recording with another sound, or in other company.
    Remaster,
}

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
}

impl Version {
    /// The word for it in a sentence.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Remix => "remix",
            Self::Edit => "edit",
            Self::Extended => "extended",
            Self::Acoustic => "acoustic",
            Self::Instrumental => "instrumental",
            Self::Karaoke => "karaoke",
            Self::Cover => "cover",
            Self::Demo => "demo",
            Self::Orchestral => "orchestral",
            Self::ReRecorded => "re-recorded",
            Self::Faster => "sped up",
            Self::Slower => "slowed",
            Self::Remaster => "remaster",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "live" | "vivo" | "directo" | "concert" => Self::Live,
            "remix" | "rmx" | "mix" | "remixed" | "bootleg" | "rework" | "dub" | "vip" => Self::Remix,
            "edit" => Self::Edit,
            "extended" => Self::Extended,
            "acoustic" | "acustico" | "acoustique" | "akustik" | "unplugged" => Self::Acoustic,
            "instrumental" => Self::Instrumental,
            "karaoke" => Self::Karaoke,
            "cover" | "tribute" => Self::Cover,
            "demo" => Self::Demo,
            "orchestral" | "symphonic" => Self::Orchestral,
            "rerecorded" => Self::ReRecorded,
            "nightcore" => Self::Faster,
            "slowed" => Self::Slower,
            "remaster" | "remastered" | "remasterizado" | "mono" | "stereo" | "deluxe" | "bonus"
            | "explicit" | "clean" | "soundtrack" | "anniversary" | "edition" => Self::Remaster,
            _ => return None,
        })
    }
}

impl Title {
    /// The parts of a title.
    pub(super) fn of(title: &str) -> Self {
        let mut parsed = Self::default();
        let mut base = Vec::new();
        for Segment { text, apart } in segments(title) {
            let words = words(&text);
            if apart && parsed.take(&words) {
                continue;
            }
            base.extend(before_guests(&words, &mut parsed.guests));
        }
        parsed.base = base.join(" ");
        parsed
    }

    /// The versions that make another recording.
    pub(super) fn recordings(&self) -> BTreeSet<Version> {
        self.versions.iter().copied().filter(|version| *version != Version::Remaster).collect()
    }

    /// Takes words that stand apart, if they tell guests or a version.
    fn take(&mut self, words: &[String]) -> bool {
        if let Some((first, guests)) = words.split_first()
            && matches!(first.as_str(), "feat" | "ft" | "featuring" | "with" | "con")
            && !guests.is_empty()
        {
            self.guests.extend(names(guests));
            return true;
        }
        let found = versions(words);
        if found.is_empty() {
            return false;
        }
        let tells = |word: &&String| {
            Version::of(word).is_none() && !is_year(word) && !FILLERS.contains(&word.as_str())
        };
        self.of.extend(words.iter().filter(tells).cloned());
        self.versions.extend(found);
        true
    }
}

/// Words about a version that tell nothing of which.
const FILLERS: [&str; 22] = [
    "version", "at", "in", "the", "from", "on", "a", "de", "en", "ao", "au", "by", "of", "and", "original",
    "radio", "album", "single", "full", "digital", "taylors", "recorded",
];

fn versions(words: &[String]) -> BTreeSet<Version> {
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    let text = format!(" {} ", all.join(" "));
    let says = |phrase: &str| text.contains(&format!(" {phrase} "));
    let mut found: BTreeSet<Version> = all.iter().filter_map(|word| Version::of(word)).collect();
    if says("original mix") || says("album mix") || says("mono mix") || says("stereo mix") {
        found.remove(&Version::Remix);
        found.insert(Version::Remaster);
    }
    if says("radio mix") {
        found.remove(&Version::Remix);
        found.insert(Version::Edit);
    }
    if says("extended mix") || says("12 mix") || says("12 inch") {
        found.remove(&Version::Remix);
        found.insert(Version::Extended);
    }
    if says("sped up") {
        found.insert(Version::Faster);
    }
    if says("re recorded") || says("taylors version") {
        found.insert(Version::ReRecorded);
    }
    if says("in the style of") || says("made famous by") || says("backing track") {
        found.insert(Version::Karaoke);
    }
    let plain = ["album version", "single version", "original version", "lp version", "digital master"];
    let year_alone = !all.is_empty() && all.iter().all(|word| is_year(word) || *word == "version");
    if found.is_empty() && (plain.iter().any(|phrase| says(phrase)) || year_alone) {
        found.insert(Version::Remaster);
    }
    found
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words before `feat.` in running text; the names after it go to `guests`.
fn before_guests(words: &[String], guests: &mut Vec<String>) -> Vec<String> {
    let at = words.iter().position(|word| matches!(word.as_str(), "feat" | "ft" | "featuring"));
    match at {
        Some(at) if at > 0 && at + 1 < words.len() => {
            guests.extend(names(&words[at + 1..]));
            words[..at].to_vec()
        }
        _ => words.to_vec(),
    }
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

/// The words of a text: in small letters, without accents and signs; `&` is `and`.
pub(super) fn words(text: &str) -> Vec<String> {
    folded(text).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.nfkd().filter(|character| !is_combining_mark(*character)) {
        for character in character.to_lowercase() {
            match character {
                'ø' => folded.push('o'),
                'ł' => folded.push('l'),
                'đ' | 'ð' => folded.push('d'),
                'ı' => folded.push('i'),
                'ß' => folded.push_str("ss"),
                'æ' => folded.push_str("ae"),
                'œ' => folded.push_str("oe"),
                'þ' => folded.push_str("th"),
                '&' | '+' => folded.push_str(" and "),
                '\'' | '’' | '‘' | '`' | '´' | '.' => {}
                character if character.is_alphanumeric() => folded.push(character),
                _ => folded.push(' '),
            }
        }
    }
    folded
}
