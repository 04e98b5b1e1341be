//! Between the admin API's types and those of Kubernetes, and the ids of requests.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use stagedoor_crypto::digest::sha256;
use uuid::Uuid;

/// The id of a request to make something: the same whenever the same parts come again, so that a replica that takes over in the
/// middle makes nothing twice.
pub(super) fn request_id(parts: &[&str]) -> String {
    let mut bytes = b"stagedoor/operator-request/1".to_vec();
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    let digest = sha256(&[&bytes]);
    let custom = std::array::from_fn(|index| digest[index]);
    uuid::Builder::from_custom_bytes(custom).into_uuid().to_string()
}

/// A UUID in the form in which the admin API has it.
pub(super) fn uuid_text(text: &str) -> Option<String> {
    Uuid::try_parse(text).ok().map(|id| id.to_string())
}

/// A time of the admin API.
pub(super) fn time(stamp: Option<&prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    let stamp = stamp?;
    DateTime::from_timestamp(stamp.seconds, u32::try_from(stamp.nanos).ok()?)
}

/// A time for the admin API.
pub(super) fn stamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// A length of time for the admin API.
pub(super) fn duration(span: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default() }
}

/// A time as Kubernetes writes it.
pub(super) fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How long it is from `now` until `time`; nothing if that is over.
pub(super) fn until(time: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (time - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_has_the_same_id_and_no_other_has_it() {
        let id = request_id(&["uid", "create", ""]);
        assert_eq!(id, request_id(&["uid", "create", ""]));
        assert!(Uuid::try_parse(&id).is_ok());
        for other in
            [&["uid", "create"][..], &["ui", "dcreate", ""], &["uid", "create", "x"], &["uid2", "create", ""]]
        {
            assert_ne!(id, request_id(other), "{other:?}");
        }
    }

    #[test]
    fn times_go_there_and_back() {
        let now = DateTime::from_timestamp(1_790_000_000, 5).unwrap();
        assert_eq!(time(Some(&stamp(now))), Some(now));
        assert_eq!(text(now), "2026-09-21T14:13:20Z");
        assert_eq!(until(now, now + chrono::TimeDelta::seconds(9)), Duration::ZERO);
    }
}
