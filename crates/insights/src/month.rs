//! Months of UTC, by which plays are rolled up.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::InsightsError;

/// A month of UTC, counted from January 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Month(u16);

impl Month {
    /// The month of a time in milliseconds since 1970.
    pub fn of(time: i64) -> Result<Self, InsightsError> {
        let wrong = || InsightsError::Time(time);
        let date = DateTime::from_timestamp_millis(time).ok_or_else(wrong)?.date_naive();
        Self::of_day(date).ok_or_else(wrong)
    }

    /// The month of a day, as tables keep it: a `date` that is the month's first day.
    pub fn of_day(day: NaiveDate) -> Option<Self> {
        let months = i64::from(day.year() - 1970) * 12 + i64::from(day.month0());
        // Later months would have no next one.
        u16::try_from(months).ok().filter(|months| *months < 60_000).map(Self)
    }

    pub(crate) fn from_number(number: u16) -> Option<Self> {
        (number < 60_000).then_some(Self(number))
    }

    pub(crate) fn number(self) -> u16 {
        self.0
    }

    /// Its first day.
    pub fn first_day(self) -> NaiveDate {
        let (year, month) = (i32::from(self.0 / 12) + 1970, u32::from(self.0 % 12) + 1);
        NaiveDate::from_ymd_opt(year, month, 1).unwrap_or_default()
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// When it begins: milliseconds since 1970. It ends when the next one begins.
    pub fn begins_at(self) -> i64 {
        self.first_day().and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first_day().format("%Y-%m").fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_ends_where_the_next_begins() {
        for number in [0, 1, 11, 12, 25, 682, 59_998] {
            let month = Month::from_number(number).unwrap();
            let end = month.next().begins_at();
            assert_eq!(Month::of(month.begins_at()), Ok(month));
            assert_eq!(Month::of(end - 1), Ok(month));
            assert_eq!(Month::of(end), Ok(month.next()));
            assert!((28..=31).contains(&((end - month.begins_at()) / 86_400_000)));
        }
        assert_eq!(Month::of(1_795_000_000_000).unwrap().to_string(), "2026-11");
        for time in [-1, i64::MIN, i64::MAX, 160_000_000_000_000] {
            assert_eq!(Month::of(time), Err(InsightsError::Time(time)));
        }
    }
}
