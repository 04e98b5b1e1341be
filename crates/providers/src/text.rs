//! Strings from providers made safe before anyone sees them: cleaned, capped, checked. What is left is data.

use stagedoor_domain::reference::EntityKind;
use stagedoor_domain::text::clean;
use stagedoor_domain::{ItemRef, Provider};
use url::Url;

/// A name or title; an empty one counts as none.
pub(crate) fn name(text: &str) -> Option<String> {
    some(clean(text, 300))
}

/// A description.
pub(crate) fn description(text: &str) -> Option<String> {
    some(clean(text, 1_000))
}

/// A short opaque word: a version, a date, a code.
pub(crate) fn word(text: &str) -> Option<String> {
    some(clean(text, 128))
}

/// A provider's error sentence, fit to be shown.
pub(crate) fn message(text: &str) -> Option<String> {
    some(clean(text, 200))
}

/// An identifier to find an account again by. One that cleaning would change is none: two could become equal.
pub(crate) fn key(text: &str) -> Option<String> {
    (!text.is_empty() && clean(text, 128) == text).then(|| text.to_owned())
}

/// A web address, if it is one.
pub(crate) fn link(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    (text.len() <= 500 && matches!(url.scheme(), "https" | "http")).then(|| url.into())
}

/// An ISO 3166-1 alpha-2 code in upper case, if it has the form of one.
pub(crate) fn country(text: &str) -> Option<String> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .then(|| text.to_ascii_uppercase())
}

/// An ISRC (ISO 3901) in its upper-case form of 12 characters, if it is one.
pub(crate) fn isrc(text: &str) -> Option<String> {
    let code = text.replace('-', "").to_ascii_uppercase();
    (code.len() == 12 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(code)
}

/// A UPC or EAN, if it is one.
pub(crate) fn upc(text: &str) -> Option<String> {
    ((8..=14).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.to_owned())
}

/// A reference, if the id has the form of one.
pub(crate) fn reference(provider: Provider, kind: EntityKind, id: &str) -> Option<ItemRef> {
    ItemRef::new(provider, kind, id).ok()
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_are_none_are_dropped() {
        assert_eq!(isrc("us-uan-14-00011").as_deref(), Some("USUAN1400011"));
        assert_eq!(isrc("nonsense"), None);
        assert_eq!(upc("12345"), None);
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("https://tidal.com/track/1").as_deref(), Some("https://tidal.com/track/1"));
    }

    #[test]
    fn invisible_characters_do_not_pass() {
        assert_eq!(name("Blue\u{202E} Train").as_deref(), Some("Blue Train"));
        assert_eq!(name("\u{200B}"), None);
    }
}
