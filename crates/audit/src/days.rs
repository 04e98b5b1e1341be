//! A span of days (UTC).

use chrono::{Days, NaiveDate};

/// Days from a first to a last one, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRange {
    first: NaiveDate,
    last: NaiveDate,
}

impl DayRange {
    /// The most days of one range: ten years.
    pub const MOST: i64 = 3_660;

    /// The days from `first` to `last`; `None` if that is before `first` or too far after it.
    pub fn new(first: NaiveDate, last: NaiveDate) -> Option<Self> {
        let days = (last - first).num_days();
        (0..Self::MOST).contains(&days).then_some(Self { first, last })
    }

    /// One day.
    pub const fn of(day: NaiveDate) -> Self {
        Self { first: day, last: day }
    }

    /// The first day.
    pub const fn first(self) -> NaiveDate {
        self.first
    }

    /// The last day.
    pub const fn last(self) -> NaiveDate {
        self.last
    }

    /// Whether `day` is one of them.
    pub fn contains(self, day: NaiveDate) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// Each of them, first to last.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = NaiveDate> {
        let count = (self.last - self.first).num_days().unsigned_abs();
        (0..=count).filter_map(move |number| self.first.checked_add_days(Days::new(number)))
    }
}
