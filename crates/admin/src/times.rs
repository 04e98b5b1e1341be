//! Times and durations between the API and the rooms.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::AdminError;

pub(crate) fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

pub(crate) fn optional(time: Option<DateTime<Utc>>) -> Option<prost_types::Timestamp> {
    time.map(timestamp)
}

/// The time of a field, to the microsecond, as the database keeps it.
pub(crate) fn time(
    field: &str,
    given: Option<&prost_types::Timestamp>,
) -> Result<Option<DateTime<Utc>>, AdminError> {
    let Some(given) = given else { return Ok(None) };
    let nanos = u32::try_from(given.nanos).ok();
    let time = nanos.and_then(|nanos| DateTime::from_timestamp(given.seconds, nanos / 1_000 * 1_000));
    time.map(Some)
        .ok_or_else(|| AdminError::field(field, "It is no time; wanted: such as 2027-01-31T12:00:00Z."))
}

/// The duration of a field, which is not negative.
pub(crate) fn duration(
    field: &str,
    given: Option<&prost_types::Duration>,
) -> Result<Option<Duration>, AdminError> {
    let Some(given) = given else { return Ok(None) };
    let seconds = u64::try_from(given.seconds).ok();
    let duration =
        seconds.zip(u32::try_from(given.nanos).ok()).map(|(seconds, nanos)| Duration::new(seconds, nanos));
    duration
        .map(Some)
        .ok_or_else(|| AdminError::field(field, "It is no length of time; wanted: such as 86400s."))
}
