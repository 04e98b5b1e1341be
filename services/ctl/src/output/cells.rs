//! Values as people read them: short enum values, times from now, nothing that a terminal would obey.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};

use crate::{names, values};

/// A value in a table: one line, times from now.
pub(crate) fn text(field: &FieldDescriptor, value: &Value, now: DateTime<Utc>) -> String {
    any(&field.kind(), value, &|time| from_now(time, now))
}

/// A value among details: times in full as well.
pub(crate) fn long_text(field: &FieldDescriptor, value: &Value, now: DateTime<Utc>) -> String {
    any(&field.kind(), value, &|time| {
        format!("{} ({})", time.to_rfc3339_opts(SecondsFormat::Secs, true), from_now(time, now))
    })
}

fn any(kind: &Kind, value: &Value, show_time: &dyn Fn(DateTime<Utc>) -> String) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::F32(number) => decimals(f64::from(*number)),
        Value::F64(number) => decimals(*number),
        Value::String(text) => harmless(text),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::EnumNumber(0) => String::new(),
        Value::EnumNumber(number) => {
            let known = kind.as_enum().and_then(|of| of.get_value(*number));
            known.map_or_else(|| number.to_string(), |value| names::enum_value(&value))
        }
        Value::Message(message) => message_text(message, show_time),
        Value::List(list) => {
            list.iter().map(|value| any(kind, value, show_time)).collect::<Vec<_>>().join(", ")
        }
        Value::Map(map) => {
            let value_kind = kind.as_message().map(|entry| entry.map_entry_value_field().kind());
            let value_kind = value_kind.as_ref().unwrap_or(kind);
            let mut pairs: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}={}", key_text(key), any(value_kind, value, show_time)))
                .collect();
            pairs.sort();
            pairs.join(", ")
        }
    }
}

fn message_text(message: &DynamicMessage, show_time: &dyn Fn(DateTime<Utc>) -> String) -> String {
    match (message.descriptor().full_name(), values::seconds_of(message)) {
        (values::TIMESTAMP, Some((seconds, nanos))) => {
            let time = DateTime::from_timestamp(seconds, nanos.unsigned_abs());
            time.map_or_else(|| format!("{seconds} s"), show_time)
        }
        (values::DURATION, Some((seconds, _))) => span(TimeDelta::seconds(seconds)),
        _ => {
            let members = message
                .fields()
                .map(|(field, value)| format!("{}: {}", field.name(), any(&field.kind(), value, show_time)));
            members.collect::<Vec<_>>().join(", ")
        }
    }
}

/// `3 h ago`, `in 29 d`.
pub(crate) fn from_now(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    // A moment ago is no second less: what was asked for in 90 days is in 90 days.
    let difference = TimeDelta::seconds(rounded((time - now).num_milliseconds(), 1_000));
    if difference.is_zero() {
        "now".to_owned()
    } else if difference > TimeDelta::zero() {
        format!("in {}", span(difference))
    } else {
        format!("{} ago", span(-difference))
    }
}

/// In the largest unit that is not too coarse: two of it at least, but for seconds.
fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(
        || format!("{seconds} s"),
        |(length, name)| format!("{} {name}", rounded(seconds, length)),
    )
}

fn rounded(number: i64, unit: i64) -> i64 {
    (number + number.signum() * unit / 2) / unit
}

fn decimals(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => harmless(key),
    }
}

/// Names come from people: control characters in them would be orders to the terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn times_are_told_from_now() {
        let now = at("2026-11-22T18:00:00Z");
        for (time, text) in [
            ("2026-11-22T18:00:00Z", "now"),
            ("2026-11-22T17:59:00Z", "60 s ago"),
            ("2026-11-22T15:00:00Z", "3 h ago"),
            ("2026-12-21T18:00:00Z", "in 29 d"),
            ("2026-11-22T19:30:00Z", "in 90 min"),
            ("2026-12-22T17:59:59.8Z", "in 30 d"),
            ("2026-11-22T15:00:01Z", "3 h ago"),
        ] {
            assert_eq!(from_now(at(time), now), text);
        }
    }

    #[test]
    fn nothing_orders_the_terminal_about() {
        assert_eq!(harmless("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(decimals(12.0), "12");
        assert_eq!(decimals(12.345), "12.35");
    }
}
