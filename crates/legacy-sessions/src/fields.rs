//! The members of a JSON object, read as what they should be. Empty texts and nulls are absent.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use secrecy::SecretString;
use serde_json::{Map, Value};
use stagedoor_crypto::fernet::{FernetKey, looks_sealed};
use stagedoor_domain::text::clean;

use crate::error::ReadError;
use crate::note::Note;
use crate::session::Format;
use crate::versions::Stamp;

/// Longer than any token of either provider.
const TOKEN_CHARACTERS: usize = 8_192;
const ID_CHARACTERS: usize = 200;
const ACCOUNT_CHARACTERS: usize = 64;
const SCOPES: usize = 100;
/// No session file is older, and no token of one lasts longer.
const YEARS: std::ops::Range<i32> = 2_005..2_200;

/// The members of one file, and what was noted about them.
pub(crate) struct Fields<'a> {
    pub(crate) format: Format,
    pub(crate) members: &'a Map<String, Value>,
    /// Opens tokens that are sealed one by one.
    pub(crate) key: Option<&'a FernetKey>,
    pub(crate) notes: Vec<Note>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(format: Format, members: &'a Map<String, Value>) -> Self {
        Self { format, members, key: None, notes: Vec::new() }
    }

    /// A token as RFC 6749 appendix A.12 has it: visible ASCII.
    pub(crate) fn token(&self, field: &'static str) -> Result<Option<SecretString>, ReadError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let fits = text.len() <= TOKEN_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Some(text.into())) } else { Err(self.damaged(field, "is not the text of a token")) }
    }

    /// A token that may be sealed by itself.
    pub(crate) fn sealed_token(&mut self, field: &'static str) -> Result<Option<SecretString>, ReadError> {
        let sealed = match self.text(field)? {
            Some(text) if looks_sealed(text.as_bytes()) => text,
            _ => return self.token(field),
        };
        let opened =
            self.key.ok_or(ReadError::KeyNeeded)?.open(sealed.as_bytes()).map_err(ReadError::Sealed)?;
        let text =
            std::str::from_utf8(&opened).map_err(|_| self.damaged(field, "is not text once opened"))?;
        if !self.notes.contains(&Note::Unsealed) {
            self.notes.push(Note::Unsealed);
        }
        let members = Map::from_iter([(field.to_owned(), Value::from(text))]);
        Fields::new(self.format, &members).token(field)
    }

    /// An account's id as either provider gives them, because it is shown as the account's name.
    pub(crate) fn account_id(&self, field: &'static str) -> Result<Option<String>, ReadError> {
        let id = self.id(field)?;
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match &id {
            Some(id) if id.len() > ACCOUNT_CHARACTERS || !id.bytes().all(is_ours) => {
                Err(self.damaged(field, "is not the id of an account"))
            }
            _ => Ok(id),
        }
    }

    /// An identifier: a text or a whole number.
    pub(crate) fn id(&self, field: &'static str) -> Result<Option<String>, ReadError> {
        let text = match self.members.get(field) {
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            _ => match self.text(field)? {
                None => return Ok(None),
                Some(text) => text.to_owned(),
            },
        };
        let fits = text.chars().count() <= ID_CHARACTERS && clean(&text, ID_CHARACTERS) == text;
        if fits { Ok(Some(text)) } else { Err(self.damaged(field, "is not an identifier")) }
    }

    /// ISO 3166-1 alpha-2; anything else is left out.
    pub(crate) fn country(&mut self, field: &'static str) -> Result<Option<String>, ReadError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Ok(Some(text.to_owned()));
        }
        self.notes.push(Note::CountryNotUnderstood);
        Ok(None)
    }

    /// Scopes, as one text (RFC 6749 §3.3) or as a list of texts.
    pub(crate) fn scopes(&self, field: &'static str) -> Result<Option<Vec<String>>, ReadError> {
        let wrong = || self.damaged(field, "is not a list of scopes");
        let names: Vec<&str> = match self.members.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.split_whitespace().collect(),
            Some(Value::Array(list)) => {
                list.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        // RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
        let is_scope = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if names.len() > SCOPES || !names.iter().all(is_scope) {
            return Err(wrong());
        }
        Ok((!names.is_empty()).then(|| names.into_iter().map(str::to_owned).collect()))
    }

    /// Seconds since 1970, or milliseconds with `per_second` 1000; a number, or the text of one.
    pub(crate) fn epoch(&mut self, field: &'static str, per_second: i64) -> Option<DateTime<Utc>> {
        let units = match self.members.get(field)? {
            Value::Null => return None,
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
            _ => None,
        };
        let at = units.and_then(|units| DateTime::from_timestamp(units.div_euclid(per_second), 0));
        let at = at.filter(|at| YEARS.contains(&at.year()));
        if at.is_none() {
            self.notes.push(Note::TimeNotUnderstood(field));
        }
        at
    }

    /// An ISO 8601 time, with a zone or without, as Python's `isoformat` writes it; also seconds since 1970.
    pub(crate) fn stamp(&mut self, field: &'static str) -> Option<Stamp> {
        let text = match self.members.get(field)? {
            Value::String(text) if !text.trim().is_empty() => text.trim(),
            Value::Number(_) => return self.epoch(field, 1).map(Stamp::Zoned),
            Value::Null | Value::String(_) => return None,
            _ => "",
        };
        let stamp = parse_stamp(text);
        if stamp.is_none() {
            self.notes.push(Note::TimeNotUnderstood(field));
        }
        stamp
    }

    /// A text; absent if it is empty.
    pub(crate) fn text(&self, field: &'static str) -> Result<Option<&'a str>, ReadError> {
        match self.members.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.damaged(field, "is not a text")),
        }
    }

    fn damaged(&self, field: &'static str, problem: &'static str) -> ReadError {
        ReadError::Damaged { format: self.format, field, problem }
    }
}

/// The whole part of a number that fits; times need no more.
fn whole(number: f64) -> Option<i64> {
    let fits = number.is_finite() && number.abs() < 9e15;
    #[expect(clippy::cast_possible_truncation, reason = "checked to fit just before")]
    fits.then(|| number.floor() as i64)
}

fn parse_stamp(text: &str) -> Option<Stamp> {
    // Digits and signs only, so that the slice below is at a character's edge.
    if !text.is_ascii() || text.len() < 19 || text.len() > 40 {
        return None;
    }
    let text = format!("{}T{}", &text[..10], &text[11..]);
    let in_range = |year: i32| YEARS.contains(&year);
    let zoned = DateTime::parse_from_rfc3339(&text)
        .or_else(|_| DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .map(|at| at.with_timezone(&Utc));
    if let Ok(at) = zoned {
        return in_range(at.year()).then_some(Stamp::Zoned(at));
    }
    let local = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    in_range(local.year()).then_some(Stamp::Local(local))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let at = |text: &str| match parse_stamp(text) {
            Some(Stamp::Zoned(at)) => at.to_rfc3339(),
            Some(Stamp::Local(local)) => local.to_string(),
            None => "none".to_owned(),
        };
        assert_eq!(at("2026-03-01T10:00:00.123456"), "2026-03-01 10:00:00.123456");
        assert_eq!(at("2026-03-01 10:00:00"), "2026-03-01 10:00:00");
        assert_eq!(at("2026-03-01T10:00:00+02:00"), "2026-03-01T08:00:00+00:00");
        assert_eq!(at("2026-03-01T10:00:00.5+0200"), "2026-03-01T08:00:00.500+00:00");
        assert_eq!(at("2026-03-01 10:00:00Z"), "2026-03-01T10:00:00+00:00");
        for text in [
            "",
            "soon",
            "2026-03-01",
            "2026-13-01T10:00:00",
            "1970-01-01T00:00:00",
            "9999-01-01T00:00:00Z",
            "2026-03-01T10:00:00 and more",
            "2026-03-0ää10:00:00",
        ] {
            assert_eq!(at(text), "none", "{text}");
        }
    }

    #[test]
    fn epochs_in_the_wrong_unit_are_unknown() {
        let members = json!({ "seconds": 1_780_000_000, "text": "1780000000.9", "ms": 1_780_000_000_123_i64,
            "huge": 1e300, "list": [], "empty": "" });
        let members = members.as_object().unwrap();
        let mut fields = Fields::new(Format::Spotipy, members);
        assert_eq!(fields.epoch("seconds", 1).unwrap().timestamp(), 1_780_000_000);
        assert_eq!(fields.epoch("text", 1).unwrap().timestamp(), 1_780_000_000);
        assert_eq!(fields.epoch("ms", 1000).unwrap().timestamp(), 1_780_000_000);
        assert!(fields.notes.is_empty());
        for (field, per_second) in [("seconds", 1000), ("ms", 1), ("huge", 1), ("list", 1)] {
            assert!(fields.epoch(field, per_second).is_none(), "{field}");
        }
        assert_eq!(fields.notes.len(), 4);
        assert!(fields.epoch("empty", 1).is_none() && fields.epoch("absent", 1).is_none());
        assert_eq!(fields.notes.len(), 4);
    }
}
