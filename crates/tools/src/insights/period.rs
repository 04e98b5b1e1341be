//! Which days are asked about, in which zone.

use std::str::FromStr as _;

use chrono::{DateTime, Days as CalendarDays, NaiveDate};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Deserialize;
use stagedoor_domain::PublicError;
use stagedoor_insights::Days;

use crate::arguments::invalid;

/// Days until today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Period {
    Week,
    Month,
    Year,
    All,
}

/// What was asked for; which days it is depends on the zone's today, and for all days on the first play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The last so many, today among them.
    Last(u64),
    /// From the first play on.
    All,
    /// From a day until another, or until today.
    Between(NaiveDate, Option<NaiveDate>),
}

impl Asked {
    pub(super) fn read(
        period: Option<Period>,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Self, PublicError> {
        match (period, from, to) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                Err(invalid("`period` is given beside `from` or `to`; give one or the other."))
            }
            (None, None, Some(_)) => Err(invalid("`to` is given without `from`, the first day.")),
            (None, Some(from), to) => {
                let from = day("from", from)?;
                let to = to.map(|to| day("to", to)).transpose()?;
                if to.is_some_and(|to| to < from) {
                    return Err(invalid("`to` is before `from`."));
                }
                Ok(Self::Between(from, to))
            }
            (Some(Period::Week), ..) => Ok(Self::Last(7)),
            (None | Some(Period::Month), ..) => Ok(Self::Last(30)),
            (Some(Period::Year), ..) => Ok(Self::Last(365)),
            (Some(Period::All), ..) => Ok(Self::All),
        }
    }

    /// The days, at the time `now`, for someone whose first play is known to have ended at `first`.
    pub(super) fn days(self, zone: Tz, now: i64, first: Option<i64>) -> Days {
        let day = |time: i64| {
            DateTime::from_timestamp_millis(time).unwrap_or_default().with_timezone(&zone).date_naive()
        };
        let today = day(now);
        match self {
            Self::Last(days) => {
                let from = today.checked_sub_days(CalendarDays::new(days.saturating_sub(1)));
                Days { from: from.unwrap_or(today), to: today }
            }
            Self::All => Days { from: first.map_or(today, day).min(today), to: today },
            Self::Between(from, to) => Days { from, to: to.unwrap_or_else(|| today.max(from)) },
        }
    }
}

/// The zone that was named.
pub(crate) fn zone(named: Option<&str>) -> Result<Tz, PublicError> {
    let Some(named) = named else { return Ok(Tz::UTC) };
    Tz::from_str(named.trim()).map_err(|_| {
        let shown: String = named.chars().take(60).collect();
        invalid(format!(
            "`zone` is {shown:?}, but must be a zone of the IANA database, such as Europe/Berlin."
        ))
    })
}

/// A day in a call's field. No service is older than this century, and none will be asked about the next.
pub(crate) fn day(field: &str, text: &str) -> Result<NaiveDate, PublicError> {
    let years = NaiveDate::from_ymd_opt(2000, 1, 1).zip(NaiveDate::from_ymd_opt(2100, 1, 1));
    let read = NaiveDate::from_str(text.trim()).ok();
    read.filter(|day| years.is_some_and(|(first, last)| (first..last).contains(day))).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        invalid(format!("`{field}` is {shown:?}, but must be a day of 2000 to 2099, such as 2026-11-30."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(asked: Asked, zone: Tz, now: &str, first: Option<&str>) -> String {
        let time = |text: &str| text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis();
        let days = asked.days(zone, time(now), first.map(time));
        format!("{} {}", days.from, days.to)
    }

    #[test]
    fn periods_end_with_the_persons_today() {
        let evening = "2026-11-30T23:30:00Z";
        let week = Asked::read(Some(Period::Week), None, None).unwrap();
        assert_eq!(shown(week, Tz::UTC, evening, None), "2026-11-24 2026-11-30");
        assert_eq!(shown(week, Tz::Europe__Berlin, evening, None), "2026-11-25 2026-12-01");
        let month = Asked::read(None, None, None).unwrap();
        assert_eq!(shown(month, Tz::UTC, evening, None), "2026-11-01 2026-11-30");
        let all = Asked::read(Some(Period::All), None, None).unwrap();
        let first = Some("2020-02-28T23:30:00Z");
        assert_eq!(shown(all, Tz::Europe__Berlin, evening, first), "2020-02-29 2026-12-01");
        assert_eq!(shown(all, Tz::UTC, evening, None), "2026-11-30 2026-11-30");
        let since = Asked::read(None, Some("2026-01-01"), None).unwrap();
        assert_eq!(shown(since, Tz::UTC, evening, None), "2026-01-01 2026-11-30");
        let later = Asked::read(None, Some("2027-01-01"), None).unwrap();
        assert_eq!(shown(later, Tz::UTC, evening, None), "2027-01-01 2027-01-01");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |period, from, to| Asked::read(period, from, to).unwrap_err().message;
        assert!(told(Some(Period::Week), Some("2026-01-01"), None).contains("`period`"));
        assert!(told(None, None, Some("2026-01-01")).contains("without `from`"));
        assert!(told(None, Some("2026-02-01"), Some("2026-01-01")).contains("before `from`"));
        assert!(told(None, Some("yesterday"), None).contains("`from` is \"yesterday\""));
        assert!(told(None, Some("1999-12-31"), None).contains("2000 to 2099"));
        assert!(zone(Some("Berlin")).unwrap_err().message.contains("`zone` is \"Berlin\""));
        assert_eq!(zone(Some("Asia/Kathmandu")).unwrap(), Tz::Asia__Kathmandu);
        assert_eq!(zone(None).unwrap(), Tz::UTC);
    }
}
