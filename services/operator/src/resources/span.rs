//! Lengths of time as Kubernetes writes them: `720h`, `1h30m`, `90s`. Days are left out as Go and CEL leave them out.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time; wanted: such as 720h, 1h30m or 90s")]
pub struct NoSpan(String);

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let wrong = || NoSpan(text.to_owned());
        let (mut total, mut number, mut rest) = (0_u64, String::new(), "hms");
        for letter in text.chars() {
            if letter.is_ascii_digit() {
                number.push(letter);
                continue;
            }
            let place = rest.find(letter).ok_or_else(wrong)?;
            rest = &rest[place + 1..];
            let seconds = match letter {
                'h' => 3_600,
                'm' => 60,
                _ => 1,
            };
            let count: u64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
            total = count.checked_mul(seconds).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        }
        if text.is_empty() || !number.is_empty() {
            return Err(wrong());
        }
        Ok(Self(Duration::from_secs(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [(seconds / 3_600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
        if seconds == 0 {
            return f.write_str("0s");
        }
        parts.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    // `minLength` and `maxLength` bound what a validation rule may cost.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,8}s)?$",
            "minLength": 2,
            "maxLength": 25,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_as_kubernetes_has_them() {
        for (text, seconds, written) in
            [("720h", 2_592_000, "720h"), ("1h30m", 5_400, "1h30m"), ("90s", 90, "1m30s"), ("0s", 0, "0s")]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0.as_secs(), span.to_string().as_str()), (seconds, written), "{text}");
        }
        for wrong in ["", "30d", "1", "h", "1m1h", "1h1h", "-1h", "1.5h", " 1h", "99999999999999999999h"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
