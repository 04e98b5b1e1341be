//! Time zones for times that name none, and what an hour that occurs twice or never is taken for.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, FixedOffset, Local, MappedLocalTime, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// The zone that a local time is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zone {
    /// The machine's own.
    #[default]
    Machine,
    /// The same offset all year.
    Fixed(FixedOffset),
    /// A zone of the IANA database.
    Named(Tz),
}

/// The instant that a local time is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instant {
    /// The only one.
    Sure(DateTime<Utc>),
    /// The earlier of two, because clocks were set back.
    Twice(DateTime<Utc>),
    /// The earlier of two readings of a time that does not occur, because clocks were set forward. Programs that
    /// add seconds to a local time write such times.
    Never(DateTime<Utc>),
}

/// Why a text is no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a zone such as Europe/Berlin nor an offset such as +02:00")]
pub struct ZoneError(String);

impl Zone {
    /// The instant that `local` was here. The earlier one in doubt: a token that seems to end too soon is refreshed,
    /// one that seems to last too long fails a call.
    pub fn instant(&self, local: NaiveDateTime) -> Instant {
        match self {
            Self::Machine => instant(&Local, local),
            Self::Fixed(offset) => instant(offset, local),
            Self::Named(zone) => instant(zone, local),
        }
    }
}

fn instant<Z: TimeZone>(zone: &Z, local: NaiveDateTime) -> Instant {
    match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) => Instant::Sure(at(local, offset.fix())),
        MappedLocalTime::Ambiguous(one, other) => {
            Instant::Twice(at(local, one.fix()).min(at(local, other.fix())))
        }
        MappedLocalTime::None => {
            let around = [local.checked_sub_days(Days::new(1)), local.checked_add_days(Days::new(1))];
            let offsets = around.into_iter().flatten();
            let readings = offsets
                .filter_map(|day| zone.offset_from_local_datetime(&day).earliest())
                .map(|offset| at(local, offset.fix()));
            Instant::Never(readings.min().unwrap_or_else(|| local.and_utc()))
        }
    }
}

fn at(local: NaiveDateTime, offset: FixedOffset) -> DateTime<Utc> {
    local.checked_sub_offset(offset).unwrap_or(local).and_utc()
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if matches!(text, "Z" | "z") {
            return Ok(Self::Named(Tz::UTC));
        }
        if let Some(offset) = offset(text) {
            return Ok(Self::Fixed(offset));
        }
        text.parse().map(Self::Named).map_err(|_| ZoneError(text.chars().take(60).collect()))
    }
}

/// `+02:00`, `+0200` or `+02`, as ISO 8601 §4.3.13 writes them.
fn offset(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-" | "\u{2212}", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':').filter(|(hours, _)| hours.len() == 2)?,
        _ => return None,
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let (hours, minutes): (i32, i32) = (number(hours)?, number(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("this machine's local time"),
            Self::Fixed(offset) => offset.fmt(f),
            Self::Named(zone) => f.write_str(zone.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn zones_and_offsets_are_read() {
        for (text, shown) in [
            ("Europe/Berlin", "Europe/Berlin"),
            ("UTC", "UTC"),
            ("Z", "UTC"),
            ("+02:00", "+02:00"),
            ("-0330", "-03:30"),
            ("+14", "+14:00"),
        ] {
            assert_eq!(text.parse::<Zone>().unwrap().to_string(), shown);
        }
        for text in ["", "+", "Berlin", "+25:00", "+02:60", "+2", "+02:0", "02:00", "+ab:cd", "+0２:0"] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }

    #[test]
    fn summer_and_winter_are_told_apart() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.instant(local("2026-07-01T12:00:00")), Instant::Sure(utc("2026-07-01T10:00:00Z")));
        assert_eq!(berlin.instant(local("2026-01-01T12:00:00")), Instant::Sure(utc("2026-01-01T11:00:00Z")));
        let fixed: Zone = "-03:30".parse().unwrap();
        assert_eq!(fixed.instant(local("2026-07-01T12:00:00")), Instant::Sure(utc("2026-07-01T15:30:00Z")));
    }

    #[test]
    fn the_hour_that_occurs_twice_is_the_earlier_one() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.instant(local("2026-10-25T02:30:00")), Instant::Twice(utc("2026-10-25T00:30:00Z")));
        let york: Zone = "America/New_York".parse().unwrap();
        assert_eq!(york.instant(local("2026-11-01T01:30:00")), Instant::Twice(utc("2026-11-01T05:30:00Z")));
    }

    #[test]
    fn the_hour_that_does_not_occur_is_the_earlier_reading() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        assert_eq!(berlin.instant(local("2026-03-29T02:30:00")), Instant::Never(utc("2026-03-29T00:30:00Z")));
        // Samoa left out a whole day.
        let apia: Zone = "Pacific/Apia".parse().unwrap();
        assert_eq!(apia.instant(local("2011-12-30T12:00:00")), Instant::Never(utc("2011-12-29T22:00:00Z")));
    }

    #[test]
    fn the_machines_zone_is_some_zone() {
        let noon = local("2026-07-01T12:00:00");
        let (Instant::Sure(at) | Instant::Twice(at) | Instant::Never(at)) = Zone::Machine.instant(noon);
        assert!((at - noon.and_utc()).abs() <= chrono::TimeDelta::hours(15));
    }
}
