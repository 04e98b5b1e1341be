//! Days in a row with at least one play.

use std::collections::HashSet;

use crate::InsightsError;
use crate::answer::{Streak, Streaks};
use crate::calculation::date;
use crate::calendar::{Calendar, DAY};
use crate::scan::{CURRENT, Counts, MonthView, Span};

pub(crate) fn of(
    months: &[MonthView<'_>],
    counts: &Counts,
    calendar: &Calendar,
    span: Span,
    now: i64,
) -> Result<Streaks, InsightsError> {
    let (from, to) = span.of(CURRENT);
    let today = calendar.day(now);
    let mut longest: Option<(u64, i64, i64)> = None;
    let mut run: Option<(u64, i64)> = None;
    for day in from..=to {
        if span.index(day).is_some_and(|index| counts.days[index].plays > 0) {
            let (days, first) = run.map_or((1, day), |(days, first)| (days + 1, first));
            run = Some((days, first));
            if longest.is_none_or(|(most, ..)| days >= most) {
                longest = Some((days, first, day));
            }
        } else if !calendar.is_left_out(day) {
            run = None;
        }
    }

    let mut heard = Heard { months, calendar, counts, span, unread: months.len(), days: HashSet::new() };
    let mut last = to.min(today);
    if last == today && !heard.on(last)? {
        last -= 1;
    }
    // A period that is yet to come has none.
    let current = if today < from { None } else { heard.streak_until(last)? };
    let shown = |(days, from, to)| Streak { days, from: date(from), to: date(to) };
    Ok(Streaks { current: current.map(shown), longest: longest.map(shown) })
}

/// On which days anything was played. Those before the periods that were counted are read month by month, backwards.
struct Heard<'a> {
    months: &'a [MonthView<'a>],
    calendar: &'a Calendar,
    counts: &'a Counts,
    span: Span,
    /// How many of the months have not been read for this.
    unread: usize,
    days: HashSet<i64>,
}

impl Heard<'_> {
    /// The days in a row that end with `last`.
    fn streak_until(&mut self, last: i64) -> Result<Option<(u64, i64, i64)>, InsightsError> {
        let (mut streak, mut day) = (None, last);
        loop {
            if self.on(day)? {
                streak = Some(streak.map_or((1, day, day), |(days, _, end)| (days + 1, day, end)));
            } else if !self.calendar.is_left_out(day) {
                return Ok(streak);
            }
            day -= 1;
        }
    }

    fn on(&mut self, day: i64) -> Result<bool, InsightsError> {
        if let Some(index) = self.span.index(day) {
            return Ok(self.counts.days[index].plays > 0);
        }
        // Plays of a month may be on the local day before it begins, and on the day after it ends.
        while let Some(MonthView { heard, .. }) = self.months[..self.unread].last()
            && heard.month.next().begins_at().div_euclid(DAY) >= day
        {
            self.unread -= 1;
            if heard.month.begins_at().div_euclid(DAY) - 1 > day {
                continue;
            }
            let (mut cursor, mut before) = (0, None);
            for minute in heard.minutes() {
                let heard_on = Some(self.calendar.local(minute?, &mut cursor).div_euclid(DAY));
                if heard_on != before {
                    self.days.extend(heard_on);
                    before = heard_on;
                }
            }
        }
        Ok(self.days.contains(&day))
    }
}
