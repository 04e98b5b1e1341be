//! What sets one recording of a song apart from another, by the words that services write for it. No I/O.

use std::collections::BTreeSet;

use super::folding::words;

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
    Mono,
    Clean,
    /// The same recording with another sound, or in other company.
    Remaster,
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
            Self::Mono => "mono",
            Self::Clean => "clean",
            Self::Remaster => "remaster",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "live" | "vivo" | "directo" | "concert" => Self::Live,
            "remix" | "rmx" | "mix" | "remixed" | "bootleg" | "rework" | "dub" | "vip" => Self::Remix,
            "edit" => Self::Edit,
            "extended" => Self::Extended,
            "acoustic" | "acustico" | "acoustique" | "akustik" | "unplugged" => Self::Acoustic,
            "instrumental" | "instrumentals" => Self::Instrumental,
            "karaoke" | "playback" => Self::Karaoke,
            "cover" | "covers" | "tribute" | "tributes" => Self::Cover,
            "demo" => Self::Demo,
            "orchestral" | "symphonic" => Self::Orchestral,
            "rerecorded" => Self::ReRecorded,
            "nightcore" => Self::Faster,
            "slowed" => Self::Slower,
            "mono" => Self::Mono,
            "clean" | "censored" => Self::Clean,
            "remaster" | "remastered" | "remasterizado" | "stereo" | "deluxe" | "bonus" | "explicit"
            | "soundtrack" | "anniversary" | "edition" => Self::Remaster,
            _ => return None,
        })
    }

    /// What the name of an artist says: that it is played by somebody else.
    pub(super) fn of_imitators(word: &str) -> Option<Self> {
        Self::of(word).filter(|version| matches!(version, Self::Karaoke | Self::Cover))
    }

    /// What the name of an album says of every track of it.
    pub(super) fn of_album(title: &str) -> BTreeSet<Self> {
        let words = words(title);
        let said = versions(&words)
            .into_iter()
            .filter(|version| matches!(version, Self::Karaoke | Self::Cover | Self::Instrumental));
        let text = format!(" {} ", words.join(" "));
        let live = LIVE_ALBUMS.iter().any(|phrase| text.contains(phrase)) || text.ends_with(" live ");
        said.chain(live.then_some(Self::Live)).collect()
    }
}

/// What albums are called that were recorded before an audience.
const LIVE_ALBUMS: [&str; 7] =
    [" live at ", " live in ", " live from ", " live on ", " unplugged ", " in concert ", " en vivo "];

/// Words about a version that tell nothing of which.
pub(super) const FILLERS: [&str; 22] = [
    "version", "at", "in", "the", "from", "on", "a", "de", "en", "ao", "au", "by", "of", "and", "original",
    "radio", "album", "single", "full", "digital", "taylors", "recorded",
];

/// What words that stand apart say of the version.
pub(super) fn versions(words: &[String]) -> BTreeSet<Version> {
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    let text = format!(" {} ", all.join(" "));
    let says = |phrase: &str| text.contains(&format!(" {phrase} "));
    let mut found: BTreeSet<Version> = all.iter().filter_map(|word| Version::of(word)).collect();
    if says("mono mix") {
        found.remove(&Version::Remix);
    }
    if says("original mix") || says("album mix") || says("stereo mix") {
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
    if says("in the style of")
        || says("made famous by")
        || says("originally performed by")
        || says("backing track")
    {
        found.insert(Version::Karaoke);
    }
    let plain = ["album version", "single version", "original version", "lp version", "digital master"];
    let year_alone = !all.is_empty() && all.iter().all(|word| is_year(word) || *word == "version");
    if found.is_empty() && (plain.iter().any(|phrase| says(phrase)) || year_alone) {
        found.insert(Version::Remaster);
    }
    found
}

pub(super) fn is_year(word: &str) -> bool {
    word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit())
}
