//! Values as people write them on a command line, and as the API takes them: short enum values, times such as `30d` or
//! `-24h`, durations such as `1h30m`, JSON for what has members.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, SerializeOptions, Value,
};
use serde::de::DeserializeSeed;
use serde_json::{Value as Json, json};

use crate::names;

pub(crate) const TIMESTAMP: &str = "google.protobuf.Timestamp";
pub(crate) const DURATION: &str = "google.protobuf.Duration";
pub(crate) const FIELD_MASK: &str = "google.protobuf.FieldMask";

/// Reads one value. The error says what would be right, to be put after the flag's name.
pub(crate) fn parse(kind: &Kind, text: &str, now: DateTime<Utc>) -> Result<Value, String> {
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bool => text.parse().map(Value::Bool).map_err(|_| "true or false".to_owned()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => number(text).map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => number(text).map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => number(text).map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => number(text).map(Value::U64),
        Kind::Double => number(text).map(Value::F64),
        Kind::Float => number(text).map(Value::F32),
        Kind::Bytes => Err("bytes cannot be given on the command line".to_owned()),
        Kind::Enum(of) => {
            let values = names::enum_values(of);
            let found = values.iter().find(|value| names::enum_value(value) == text || value.name() == text);
            found.map(|value| Value::EnumNumber(value.number())).ok_or_else(|| {
                format!("one of {}", values.iter().map(names::enum_value).collect::<Vec<_>>().join(", "))
            })
        }
        Kind::Message(message) => match message.full_name() {
            TIMESTAMP => timestamp(text, now).map(|time| {
                seconds_and_nanos(message, time.timestamp(), time.timestamp_subsec_nanos().cast_signed())
            }),
            DURATION => duration(text).map(|length| seconds_and_nanos(message, length.num_seconds(), 0)),
            _ => from_text(message, text).map(Value::Message),
        },
    }
}

/// Reads a key of a map.
pub(crate) fn parse_key(kind: &Kind, text: &str) -> Result<MapKey, String> {
    match kind {
        Kind::String => Ok(MapKey::String(text.to_owned())),
        _ => Err("only names can be keys on the command line; use --from-file".to_owned()),
    }
}

/// What one value looks like, for the help of a flag.
pub(crate) fn placeholder(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "TEXT",
        Kind::Bool => "true|false",
        Kind::Enum(_) => "WORD",
        Kind::Message(message) => match message.full_name() {
            TIMESTAMP => "TIME",
            DURATION => "DURATION",
            _ => "JSON",
        },
        Kind::Bytes => "BYTES",
        _ => "NUMBER",
    }
}

/// Whether a message is a value in itself, and nothing with members to a person.
pub(crate) fn is_plain(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

/// A message as JSON in the standard mapping (camelCase names; 64-bit integers are strings).
pub(crate) fn to_json(message: &DynamicMessage) -> Result<serde_json::Value, serde_json::Error> {
    message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
}

/// A message from JSON in the standard mapping; names with underscores are known as well. The error names the member.
pub(crate) fn from_json(message: &MessageDescriptor, value: &Json) -> Result<DynamicMessage, String> {
    message.clone().deserialize(value).map_err(|error| match place_of_slip(message, value) {
        Some(place) => format!("{place}: {error}"),
        None => error.to_string(),
    })
}

/// A field by its name in JSON or in the contract.
pub(crate) fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// Which member cannot be read, such as `limits.api.quotas[0].capacity`: errors of the mapping do not say.
fn place_of_slip(message: &MessageDescriptor, value: &Json) -> Option<String> {
    let members = value.as_object().filter(|_| !is_plain(message))?;
    members.iter().find_map(|(name, value)| {
        let field = field(message, name)?;
        let is_wrong = |value: Json| message.clone().deserialize(&json!({ name: value })).is_err();
        if !is_wrong(value.clone()) {
            return None;
        }
        let place = match value {
            Json::Object(entries) if field.is_map() => entries
                .iter()
                .find(|(key, value)| is_wrong(json!({ *key: value })))
                .map(|(key, value)| (format!("{name}.{key}"), value)),
            Json::Array(items) if field.is_list() => items
                .iter()
                .enumerate()
                .find(|(_, item)| is_wrong(json!([item])))
                .map(|(index, item)| (format!("{name}[{index}]"), item)),
            _ => None,
        };
        let (place, value) = place.unwrap_or_else(|| (name.clone(), value));
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        let within = kind.as_message().and_then(|message| place_of_slip(message, value));
        Some(within.map_or_else(|| place.clone(), |within| format!("{place}.{within}")))
    })
}

/// A time from its whole seconds since 1970 and the rest.
pub(crate) fn seconds_of(message: &DynamicMessage) -> Option<(i64, i32)> {
    let seconds = message.get_field_by_name("seconds")?.as_i64()?;
    let nanos = message.get_field_by_name("nanos")?.as_i32()?;
    Some((seconds, nanos))
}

fn from_text(message: &MessageDescriptor, text: &str) -> Result<DynamicMessage, String> {
    let value =
        serde_json::from_str(text).map_err(|error| format!("JSON of a {} ({error})", message.name()))?;
    from_json(message, &value).map_err(|error| format!("JSON of a {} ({error})", message.name()))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| "a number that fits".to_owned())
}

/// RFC 3339, a day, `now`, or a span from now: `30d` is in 30 days, `-24h` was a day ago.
fn timestamp(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let wrong =
        || "a time: 2026-11-22T18:00:00Z, 2026-11-22, now, 30d (from now) or -24h (before now)".to_owned();
    if text == "now" {
        return Ok(now);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return day.and_hms_opt(0, 0, 0).map(|midnight| midnight.and_utc()).ok_or_else(wrong);
    }
    let (before, span) = text.strip_prefix('-').map_or((false, text), |span| (true, span));
    let span = duration(span.trim_start_matches('+')).map_err(|_| wrong())?;
    let time = if before { now.checked_sub_signed(span) } else { now.checked_add_signed(span) };
    time.ok_or_else(wrong)
}

/// Whole numbers with units, added up: `1h30m`, `7d`, `90s`.
pub(crate) fn duration(text: &str) -> Result<TimeDelta, String> {
    let wrong = || "a duration such as 90s, 1h30m or 7d".to_owned();
    let mut rest = text;
    let mut seconds: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let count: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].chars().next().ok_or_else(wrong)?;
        let length = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        seconds = count.checked_mul(length).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    if text.is_empty() { Err(wrong()) } else { TimeDelta::try_seconds(seconds).ok_or_else(wrong) }
}

fn seconds_and_nanos(message: &MessageDescriptor, seconds: i64, nanos: i32) -> Value {
    let mut value = DynamicMessage::new(message.clone());
    value.set_field_by_name("seconds", Value::I64(seconds));
    value.set_field_by_name("nanos", Value::I32(nanos));
    Value::Message(value)
}

#[cfg(test)]
mod tests {
    use stagedoor_proto::dynamic;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-11-22T18:00:00Z").unwrap().to_utc()
    }

    fn at(text: &str) -> String {
        timestamp(text, now()).unwrap().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
    }

    #[test]
    fn times_are_absolute_or_from_now() {
        assert_eq!(at("2026-11-01T01:02:03+01:00"), "2026-11-01T00:02:03Z");
        assert_eq!(at("2026-12-24"), "2026-12-24T00:00:00Z");
        assert_eq!(at("now"), "2026-11-22T18:00:00Z");
        assert_eq!(at("30d"), "2026-12-22T18:00:00Z");
        assert_eq!(at("-24h"), "2026-11-21T18:00:00Z");
        for wrong in ["", "tomorrow", "30", "-", "99999999999999d", "2026-13-01"] {
            assert!(timestamp(wrong, now()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(duration("1h30m").unwrap().num_seconds(), 5_400);
        assert_eq!(duration("1w1d").unwrap().num_days(), 8);
        for wrong in ["", "h", "1", "1y", "1h30", "9223372036854775807w"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn enum_values_are_known_short_and_in_full() {
        let kind = Kind::Enum(dynamic::pool().get_enum_by_name("stagedoor.admin.v1.Provider").unwrap());
        assert_eq!(parse(&kind, "tidal", now()), Ok(Value::EnumNumber(2)));
        assert_eq!(parse(&kind, "PROVIDER_SPOTIFY", now()), Ok(Value::EnumNumber(1)));
        assert_eq!(parse(&kind, "napster", now()), Err("one of spotify, tidal".to_owned()));
        assert!(parse(&kind, "PROVIDER_UNSPECIFIED", now()).is_err());
    }

    #[test]
    fn numbers_have_to_fit() {
        assert_eq!(parse(&Kind::Uint32, "7", now()), Ok(Value::U32(7)));
        assert!(parse(&Kind::Uint32, "-7", now()).is_err());
        assert!(parse(&Kind::Int32, "3000000000", now()).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let settings = dynamic::pool().get_message_by_name("stagedoor.admin.v1.Settings").unwrap();
        for (given, place) in [
            (json!({ "tenant": "acme", "concurrentCalls": "many" }), "concurrentCalls: "),
            (json!({ "cache_ttl_seconds": { "search": 1, "track": "soon" } }), "cache_ttl_seconds.track: "),
            (
                json!({ "limits": { "api": { "quotas": [{ "capacity": 1 }, { "capacity": -1 }] } } }),
                "limits.api.quotas[1].capacity: ",
            ),
            (json!({ "devices": { "concurrent": "x" } }), "devices.concurrent: "),
            (json!({ "devices": { "newest": "warn" } }), "devices: "),
        ] {
            let error = from_json(&settings, &given).unwrap_err();
            assert!(error.starts_with(place), "{error}");
        }
    }

    #[test]
    fn what_has_members_is_json() {
        let penalties = dynamic::pool().get_message_by_name("stagedoor.admin.v1.PenaltyList").unwrap();
        let kind = Kind::Message(penalties);
        let text = r#"{"steps":[{"refusals":3,"withinSeconds":60,"blockSeconds":300}]}"#;
        let Ok(Value::Message(message)) = parse(&kind, text, now()) else { panic!("it is read") };
        assert_eq!(to_json(&message).unwrap(), serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert!(parse(&kind, r#"{"stepps":[]}"#, now()).unwrap_err().contains("stepps"));
    }
}
