//! References to items: what agents pass around. `spotify:track:…`, `tidal:album:…`, provider URLs,
//! `isrc:…`, `upc:…`; bare ids where kind and provider are already known.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::music::Provider;
use crate::scope::closed_set;

closed_set!(
    /// What a reference points at.
    EntityKind, EntityKindSet, "A set of kinds." {
        Track = "track",
        Album = "album",
        Artist = "artist",
        Playlist = "playlist",
        Mix = "mix",
    }
);

/// One item at one provider.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemRef {
    provider: Provider,
    kind: EntityKind,
    id: Box<str>,
}

/// What a text points at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// An item at a provider.
    Item(ItemRef),
    /// A recording by its ISRC (ISO 3901), upper case, 12 characters.
    Isrc(Box<str>),
    /// A release by its UPC or EAN, 8–14 digits.
    Upc(Box<str>),
}

/// Why a text is not a usable reference; the sentence says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not a form we know.
    #[error(
        "{0:?} is not a reference; use spotify:track:ID, tidal:track:ID (or album, artist, playlist), \
         a Spotify or Tidal link, isrc:CODE or upc:CODE"
    )]
    Unknown(String),
    /// A code, where an item is needed.
    #[error("{0} is a code and not an item; the tool resolve tells which items it stands for")]
    Code(String),
    /// `isrc:` or `upc:` with something else behind it.
    #[error("{given:?} is not a valid code: {}", form(scheme))]
    InvalidCode {
        /// What was given.
        given: String,
        /// `isrc` or `upc`.
        scheme: &'static str,
    },
    /// A reference to another kind of item.
    #[error("{given} points at {} {found}, but {} {wanted} is needed, such as {}", article(*found), article(*wanted), example(*wanted))]
    WrongKind {
        /// What was given.
        given: String,
        /// What it points at.
        found: EntityKind,
        /// What it should point at.
        wanted: EntityKind,
    },
    /// The id has characters or a length that no provider uses.
    #[error("{0:?} is not a valid id: 1-64 characters of [0-9A-Za-z_-]")]
    InvalidId(String),
}

fn article(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Album | EntityKind::Artist => "an",
        EntityKind::Track | EntityKind::Playlist | EntityKind::Mix => "a",
    }
}

fn example(kind: EntityKind) -> String {
    match kind {
        // Only Tidal has any.
        EntityKind::Mix => "tidal:mix:ID".to_owned(),
        kind => format!("spotify:{kind}:ID or tidal:{kind}:ID"),
    }
}

fn form(scheme: &str) -> &'static str {
    match scheme {
        "isrc" => "an ISRC has 12 characters, such as isrc:USUAN1400011",
        _ => "a UPC or EAN has 8 to 14 digits, such as upc:00602537518357",
    }
}

impl ItemRef {
    /// A reference from its parts; the id is checked, because it ends in a provider's URL path.
    pub fn new(provider: Provider, kind: EntityKind, id: &str) -> Result<Self, ReferenceError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&id.len()) && id.bytes().all(allowed) {
            Ok(Self { provider, kind, id: id.into() })
        } else {
            Err(ReferenceError::InvalidId(id.chars().take(80).collect()))
        }
    }

    /// The provider.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The kind.
    pub fn kind(&self) -> EntityKind {
        self.kind
    }

    /// The provider's id: 1–64 characters of `[0-9A-Za-z_-]`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The reference if it points at `wanted`, else an error that shows the right form.
    pub fn of_kind(self, wanted: EntityKind) -> Result<Self, ReferenceError> {
        if self.kind == wanted {
            Ok(self)
        } else {
            Err(ReferenceError::WrongKind { given: self.to_string(), found: self.kind, wanted })
        }
    }
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.provider, self.kind, self.id)
    }
}

impl fmt::Debug for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(item) => item.fmt(f),
            Self::Isrc(code) => write!(f, "isrc:{code}"),
            Self::Upc(code) => write!(f, "upc:{code}"),
        }
    }
}

impl FromStr for ItemRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text.parse()? {
            Reference::Item(item) => Ok(item),
            code @ (Reference::Isrc(_) | Reference::Upc(_)) => Err(ReferenceError::Code(code.to_string())),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let text = text.trim();
        let shown = || text.chars().take(80).collect();
        let unknown = || ReferenceError::Unknown(shown());
        let invalid_code = |scheme| ReferenceError::InvalidCode { given: shown(), scheme };
        if text.starts_with("https://") || text.starts_with("http://") {
            return from_url(text).ok_or_else(unknown)?;
        }
        if is_link_without_scheme(text) {
            return from_url(&format!("https://{text}")).ok_or_else(unknown)?;
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        match scheme.to_ascii_lowercase().as_str() {
            "isrc" => isrc(rest).ok_or_else(|| invalid_code("isrc")),
            "upc" | "ean" => upc(rest).ok_or_else(|| invalid_code("upc")),
            scheme => {
                let provider: Provider = scheme.parse().map_err(|_| unknown())?;
                let (kind, id) = rest.split_once(':').ok_or_else(unknown)?;
                let kind: EntityKind = kind.to_ascii_lowercase().parse().map_err(|_| unknown())?;
                ItemRef::new(provider, kind, id).map(Reference::Item)
            }
        }
    }
}

/// Whether a text begins as the links that [`from_url`] knows, but for their scheme: people paste that, too.
fn is_link_without_scheme(text: &str) -> bool {
    text.split_once('/').is_some_and(|(host, _)| provider_of(host).is_some())
}

fn provider_of(host: &str) -> Option<Provider> {
    match host.to_ascii_lowercase().as_str() {
        "open.spotify.com" | "play.spotify.com" => Some(Provider::Spotify),
        "tidal.com" | "www.tidal.com" | "listen.tidal.com" => Some(Provider::Tidal),
        _ => None,
    }
}

/// Links as people copy them: `open.spotify.com[/intl-xx]/track/ID`, `[listen.]tidal.com[/browse]/track/ID`.
fn from_url(text: &str) -> Option<Result<Reference, ReferenceError>> {
    let url = Url::parse(text).ok()?;
    let provider = provider_of(url.host_str()?)?;
    let mut parts = url.path_segments()?.skip_while(|part| *part == "browse" || part.starts_with("intl-"));
    let kind: EntityKind = parts.next()?.parse().ok()?;
    Some(ItemRef::new(provider, kind, parts.next()?).map(Reference::Item))
}

fn isrc(code: &str) -> Option<Reference> {
    let code: String =
        code.chars().filter(|character| *character != '-').collect::<String>().to_ascii_uppercase();
    let bytes = code.as_bytes();
    let valid = bytes.len() == 12
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..5].iter().all(u8::is_ascii_alphanumeric)
        && bytes[5..].iter().all(u8::is_ascii_digit);
    valid.then(|| Reference::Isrc(code.into()))
}

fn upc(code: &str) -> Option<Reference> {
    let valid = (8..=14).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| Reference::Upc(code.into()))
}

impl Serialize for ItemRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ItemRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ItemRef {
    fn schema_name() -> Cow<'static, str> {
        "ItemRef".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        text.parse::<Reference>().map_or_else(|error| format!("error: {error}"), |found| found.to_string())
    }

    #[test]
    fn every_form_that_people_paste_is_understood() {
        assert_eq!(parse("spotify:track:11dFghVXANMlKmJXsNCbNl"), "spotify:track:11dFghVXANMlKmJXsNCbNl");
        assert_eq!(
            parse("https://open.spotify.com/intl-de/album/4aawyAB9vmqN3uQ7FjRGTy?si=x"),
            "spotify:album:4aawyAB9vmqN3uQ7FjRGTy"
        );
        assert_eq!(parse("https://tidal.com/browse/track/77646169"), "tidal:track:77646169");
        assert_eq!(parse("open.spotify.com/track/7?si=x"), "spotify:track:7");
        assert_eq!(parse("listen.tidal.com/browse/album/5"), "tidal:album:5");
        assert_eq!(parse(" isrc:us-uan-14-00011 "), "isrc:USUAN1400011");
        assert_eq!(parse("upc:00602537518357"), "upc:00602537518357");
    }

    #[test]
    fn what_could_leave_a_url_path_is_refused() {
        for text in
            ["spotify:track:../me", "spotify:track:", "tidal:track:a/b", "https://evil.example/track/1", "x"]
        {
            assert!(parse(text).starts_with("error: "), "{text}");
        }
    }

    #[test]
    fn a_code_is_told_from_what_is_no_reference() {
        let item = "isrc:QMSD90803209".parse::<ItemRef>().unwrap_err().to_string();
        assert_eq!(
            item,
            "isrc:QMSD90803209 is a code and not an item; the tool resolve tells which items it stands for"
        );
        assert!(parse("isrc:x").contains("an ISRC has 12 characters"));
        assert!(parse("upc:12").contains("8 to 14 digits"));
        let mix = "tidal:playlist:5".parse::<ItemRef>().unwrap().of_kind(EntityKind::Mix).unwrap_err();
        assert!(mix.to_string().ends_with("such as tidal:mix:ID"), "{mix}");
    }

    #[test]
    fn a_wrong_kind_shows_the_right_form() {
        let error = "tidal:album:5".parse::<ItemRef>().unwrap().of_kind(EntityKind::Track).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tidal:album:5 points at an album, but a track is needed, such as spotify:track:ID or tidal:track:ID"
        );
    }
}
