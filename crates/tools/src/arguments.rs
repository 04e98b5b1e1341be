//! Arguments of a call read into a tool's own type; what is wrong is said by field.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use stagedoor_domain::text::clean;
use stagedoor_domain::{EntityKind, ErrorCode, ItemRef, Provider, PublicError};

/// Reads the arguments object; a missing one counts as empty.
pub(crate) fn read<T: DeserializeOwned>(arguments: Option<&RawValue>) -> Result<T, PublicError> {
    let text = arguments.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(invalid("`arguments` must be an object."));
    }
    serde_json::from_str(text).or_else(|_| read_with_path(text))
}

/// Reads once more and keeps track of where it is, which only an error is worth.
fn read_with_path<T: DeserializeOwned>(text: &str) -> Result<T, PublicError> {
    let deserializer = &mut serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(deserializer).map_err(|error| located(None, &error))
}

/// What is wrong, by field; `within` is the argument that was read, if not all of them.
pub(crate) fn located<E: Display>(
    within: Option<&str>,
    error: &serde_path_to_error::Error<E>,
) -> PublicError {
    let path = error.path().to_string();
    let cause = in_json_terms(&without_position(&error.inner().to_string()));
    match (within, path.as_str()) {
        (None, ".") => invalid(format!("{cause}.")),
        (None, path) => invalid(format!("`{path}`: {cause}.")),
        (Some(within), ".") => invalid(format!("`{within}`: {cause}.")),
        (Some(within), path) => invalid(format!("`{within}.{path}`: {cause}.")),
    }
}

/// An `invalid_arguments` error.
pub(crate) fn invalid(message: impl Into<String>) -> PublicError {
    PublicError::new(ErrorCode::InvalidArguments, message).hint("Correct the argument and call again.")
}

/// A reference to an item of one kind, in any of the forms that people paste.
pub(crate) fn item(field: &str, text: &str, wanted: EntityKind) -> Result<ItemRef, PublicError> {
    let parsed = text.parse::<ItemRef>().and_then(|item| item.of_kind(wanted));
    parsed.map_err(|error| invalid(format!("`{field}`: {error}.")))
}

/// The same where the service may be known: then a bare id will do, and an item of another service will not.
pub(crate) fn item_at(
    field: &str,
    text: &str,
    wanted: EntityKind,
    service: Option<Provider>,
) -> Result<ItemRef, PublicError> {
    item_among(field, text, &[wanted], service)
}

/// The same of several kinds; a bare id is one of the only kind there is.
pub(crate) fn item_among(
    field: &str,
    text: &str,
    kinds: &[EntityKind],
    service: Option<Provider>,
) -> Result<ItemRef, PublicError> {
    let text = text.trim();
    let wrong = |error| invalid(format!("`{field}`: {error}."));
    if is_bare_id(text) {
        return match (kinds, service) {
            ([kind], Some(service)) if could_be_id(service, *kind, text) => {
                ItemRef::new(service, *kind, text).map_err(wrong)
            }
            ([_], Some(service)) => Err(invalid(format!(
                "`{field}`: {text:?} is neither a reference nor an id of {}; use {}, or a link.",
                service.title(),
                forms(kinds, Some(service))
            ))),
            _ => Err(invalid(format!(
                "`{field}` is only an id, {text:?}; say what it is of: {}.",
                forms(kinds, service)
            ))),
        };
    }
    let found = text.parse::<ItemRef>().map_err(wrong)?;
    let found = match kinds {
        [kind] if service.is_none() => found.of_kind(*kind).map_err(wrong)?,
        _ if kinds.contains(&found.kind()) => found,
        _ => {
            return Err(invalid(format!(
                "`{field}`: {found} points at another kind of item; what is needed here is {}.",
                forms(kinds, service)
            )));
        }
    };
    match service {
        Some(service) if found.provider() != service => Err(invalid(format!(
            "`{field}`: {found} is an item of {}, but {} is meant here; find it there first, by its ISRC or UPC with \
             resolve, or by name with search.",
            found.provider().title(),
            service.title()
        ))),
        _ => Ok(found),
    }
}

/// Whether a text is an id and nothing else, as some services show them.
pub(crate) fn is_bare_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether a service has ids of that form, so that a word is not asked for as one: Spotify's are 22 letters and digits,
/// Tidal's are numbers, for playlists UUIDs, and any for mixes.
fn could_be_id(service: Provider, kind: EntityKind, text: &str) -> bool {
    let all = |allowed: fn(&u8) -> bool| text.as_bytes().iter().all(allowed);
    match (service, kind) {
        (Provider::Spotify, _) => text.len() == 22 && all(u8::is_ascii_alphanumeric),
        (Provider::Tidal, EntityKind::Mix) => true,
        (Provider::Tidal, EntityKind::Playlist) => text.len() == 36,
        (Provider::Tidal, _) => all(u8::is_ascii_digit),
    }
}

/// How references to these kinds look.
fn forms(kinds: &[EntityKind], service: Option<Provider>) -> String {
    let services = service.map_or(Provider::ALL.to_vec(), |service| vec![service]);
    let forms: Vec<String> = kinds
        .iter()
        .flat_map(|kind| services.iter().map(move |service| format!("{service}:{kind}:ID")))
        .collect();
    forms.join(" or ")
}

/// A number within bounds, or its default.
pub(crate) fn bounded(field: &str, value: Option<u32>, default: u32, max: u32) -> Result<u32, PublicError> {
    let value = value.unwrap_or(default);
    if (1..=max).contains(&value) {
        Ok(value)
    } else {
        Err(invalid(format!("`{field}` is {value}, but must be from 1 to {max}.")))
    }
}

/// A text to be stored at a service, as every reader will be told it: without invisible and reordering characters, line
/// breaks as blanks. Not blank then, and not too long.
pub(crate) fn visible(field: &str, value: &str, max_chars: usize) -> Result<String, PublicError> {
    text(field, &clean(value, value.len()), max_chars).map(str::to_owned)
}

/// A text that is not blank and not too long.
pub(crate) fn text<'a>(field: &str, value: &'a str, max_chars: usize) -> Result<&'a str, PublicError> {
    let trimmed = value.trim();
    let length = trimmed.chars().count();
    if length == 0 {
        return Err(invalid(format!("`{field}` is empty.")));
    }
    if length > max_chars {
        return Err(invalid(format!(
            "`{field}` has {length} characters, but at most {max_chars} are allowed."
        )));
    }
    Ok(trimmed)
}

/// What was expected, in the terms of those who write JSON.
fn in_json_terms(message: &str) -> String {
    let message = message.replace("invalid type: map", "invalid type: object");
    let message = message.replace("expected a sequence", "expected an array");
    let message = message.replace("invalid type: sequence", "invalid type: array");
    let whole = ["u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64"];
    match message.rsplit_once("expected ") {
        Some((before, wanted)) if whole.contains(&wanted) => format!("{before}expected a whole number"),
        _ => message,
    }
}

/// The positions in a text that nobody sees help nobody.
fn without_position(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |at| &message[..at]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors are read")]
    struct Example {
        query: String,
        limit: Option<u32>,
    }

    fn message(text: &str) -> String {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        read::<Example>(Some(&raw)).unwrap_err().message
    }

    #[test]
    fn an_id_alone_will_do_where_its_service_is_known() {
        let (track, album) = (EntityKind::Track, EntityKind::Album);
        let read = |text: &str, kinds: &[EntityKind], service| match item_among("ref", text, kinds, service) {
            Ok(item) => item.to_string(),
            Err(error) => error.message,
        };
        let tidal = Some(Provider::Tidal);
        assert_eq!(read(" 77646169 ", &[track], tidal), "tidal:track:77646169");
        assert_eq!(read("https://tidal.com/browse/track/7", &[track], tidal), "tidal:track:7");
        assert_eq!(
            read("77646169", &[track], None),
            "`ref` is only an id, \"77646169\"; say what it is of: spotify:track:ID or tidal:track:ID."
        );
        assert_eq!(
            read("77646169", &[track, album], tidal),
            "`ref` is only an id, \"77646169\"; say what it is of: tidal:track:ID or tidal:album:ID."
        );
        assert_eq!(
            read("spotify:album:5", &[track], None),
            "`ref`: spotify:album:5 points at an album, but a track is needed, such as spotify:track:ID or \
             tidal:track:ID."
        );
        assert_eq!(
            read("tidal:artist:5", &[track, album], tidal),
            "`ref`: tidal:artist:5 points at another kind of item; what is needed here is tidal:track:ID or \
             tidal:album:ID."
        );
        assert!(
            read("spotify:track:5", &[track], tidal).contains("is an item of Spotify, but Tidal is meant")
        );
        assert!(read("../me", &[track], tidal).contains("is not a reference"));
        let spotify = Some(Provider::Spotify);
        assert_eq!(read("11dFghVXANMlKmJXsNCbNl", &[track], spotify), "spotify:track:11dFghVXANMlKmJXsNCbNl");
        for (word, service) in [("love", spotify), ("love", tidal), ("77646169", spotify)] {
            assert!(read(word, &[track], service).contains("neither a reference nor an id"), "{word}");
        }
        assert!(read(&"7".repeat(65), &[track], tidal).contains("is not a valid id"));
    }

    #[test]
    fn a_text_to_store_is_what_will_be_read() {
        assert_eq!(visible("name", " New\u{202e} na\u{200b}me\n", 100).unwrap(), "New name");
        assert_eq!(visible("name", "one\ttwo\nthree", 13).unwrap(), "one two three");
        assert_eq!(visible("name", "\u{200b}\u{202e}", 100).unwrap_err().message, "`name` is empty.");
        assert!(visible("name", &"a".repeat(101), 100).unwrap_err().message.contains("101 characters"));
    }

    #[test]
    fn the_field_and_the_fault_are_named() {
        assert_eq!(message(r#"{"query":{}}"#), "`query`: invalid type: object, expected a string.");
        assert_eq!(message(r#"{"query":[]}"#), "`query`: invalid type: array, expected a string.");
        assert_eq!(
            message(r#"{"query":"a","limit":"x"}"#),
            "`limit`: invalid type: string \"x\", expected a whole number."
        );
        assert_eq!(message(r#"{"qery":"a"}"#), "`qery`: unknown field `qery`, expected `query` or `limit`.");
        assert_eq!(message("{}"), "missing field `query`.");
        assert_eq!(message("[]"), "`arguments` must be an object.");
    }
}
