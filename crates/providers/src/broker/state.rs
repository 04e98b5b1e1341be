//! What one client id may do now: pause, pace, places and the line before them, as decisions over a time that is handed
//! in. Waiting and waking are `lane`'s.

use std::collections::HashMap;
use std::time::Duration;

use stagedoor_domain::Entropy;

use super::fair_queue::{FairQueue, Flow};
use super::pace::Pace;
use super::pause::{News, Pause};
use crate::types::Urgency;

/// What a refused call is told at least.
const SHORTEST_REFUSAL: Duration = Duration::from_secs(1);
/// How often at most it is looked whether someone in line comes too late.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// The weight of the newest request in the mean of how long requests take, as one part of so many.
const LATENCY_WEIGHT: u32 = 8;

/// A call in line.
#[derive(Debug)]
pub(super) struct Waiter<W> {
    pub(super) ticket: u64,
    /// When its answer is no longer wanted.
    deadline: Option<Duration>,
    /// Whom to tell.
    pub(super) wake: W,
}

/// What becomes of a call that asks to go out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It has a place, taken at this time.
    Go(Duration),
    /// It is to wait.
    Wait,
    /// It would wait too long; this long.
    Refused(Duration),
}

/// Someone who is told that it is their turn, or how long that would have taken.
pub(super) type Told<W> = (Waiter<W>, Admission);

#[derive(Debug)]
pub(super) struct State<W> {
    pub(super) pause: Pause,
    pub(super) pace: Pace,
    pub(super) line: FairQueue<Waiter<W>>,
    pub(super) in_flight: usize,
    places: usize,
    longest_line: usize,
    /// Whether there are places for all and no pace, only pauses.
    express: bool,
    /// How long a request takes, as a moving mean.
    latency: Duration,
    /// When it was last looked whether someone in line comes too late.
    looked_at: Duration,
    last_ticket: u64,
}

impl<W> State<W> {
    /// `places` calls at a time, and `longest_line` that wait.
    pub(super) fn new(places: usize, longest_line: usize) -> Self {
        Self {
            pause: Pause::default(),
            pace: Pace::default(),
            line: FairQueue::default(),
            in_flight: 0,
            places: places.max(1),
            longest_line,
            express: false,
            latency: Duration::ZERO,
            looked_at: Duration::ZERO,
            last_ticket: 0,
        }
    }

    /// For a token endpoint: nobody waits for a place there, and a 429 there pauses it only.
    pub(super) fn express() -> Self {
        Self { express: true, ..Self::new(usize::MAX, 0) }
    }

    /// Whether a call may go out at once, has to wait, or would wait past its deadline. A place that it gets is its own.
    pub(super) fn admit(
        &mut self,
        flow: impl Fn() -> Flow,
        deadline: Option<Duration>,
        urgency: Urgency,
        now: Duration,
    ) -> Admission {
        self.pace.tend(now);
        if urgency == Urgency::Background && (self.is_pressed(now) || self.is_half_full()) {
            return Admission::Refused(self.wait(self.line.len(), now).max(SHORTEST_REFUSAL));
        }
        if self.line.is_empty() && self.is_open(now) {
            self.in_flight += 1;
            self.pace.take(now);
            return Admission::Go(now);
        }
        self.note_demand(now);
        let flow = flow();
        if self.is_too_long(self.wait(self.line.ahead_of(&flow), now), deadline, now) {
            return Admission::Refused(self.wait_of(&flow, now));
        }
        Admission::Wait
    }

    /// Puts a call in line that `admit` told to wait. If the line was full, returns its ticket and the call that gave
    /// way, or no ticket and how long the line is.
    pub(super) fn queue(
        &mut self,
        flow: Flow,
        deadline: Option<Duration>,
        wake: W,
        now: Duration,
    ) -> Result<(u64, Option<Told<W>>), Duration> {
        let mut gave_way = None;
        if self.line.len() >= self.longest_line {
            let wait = self.wait(self.line.len(), now).max(SHORTEST_REFUSAL);
            let waiter = self.line.make_room(&flow).ok_or(wait)?;
            gave_way = Some((waiter, Admission::Refused(wait)));
        }
        self.last_ticket += 1;
        self.line.push(flow, Waiter { ticket: self.last_ticket, deadline, wake });
        Ok((self.last_ticket, gave_way))
    }

    /// Those in line who turn out to come too late, because others came whose turns are before theirs.
    pub(super) fn late(&mut self, now: Duration) -> Vec<Told<W>> {
        if self.line.is_empty() || now < self.looked_at + BETWEEN_LOOKS {
            return Vec::new();
        }
        self.turn_away(now)
    }

    /// The next in line, if it may go out now. The place that it gets is its own.
    pub(super) fn next(&mut self, now: Duration) -> Option<Waiter<W>> {
        self.pace.tend(now);
        if self.line.is_empty() {
            return None;
        }
        if !self.is_open(now) {
            self.note_demand(now);
            return None;
        }
        let waiter = self.line.pop()?;
        self.in_flight += 1;
        self.pace.take(now);
        Some(waiter)
    }

    /// Takes a call out of the line; `None` if it is not in it.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waiter<W>> {
        self.line.remove(|waiter| waiter.ticket == ticket)
    }

    /// A request is over that took `took`.
    pub(super) fn finish(&mut self, took: Duration) {
        self.in_flight -= 1;
        self.latency = if self.latency.is_zero() {
            took
        } else {
            (self.latency * (LATENCY_WEIGHT - 1) + took) / LATENCY_WEIGHT
        };
    }

    /// A place that was taken at `taken_at` was not used.
    pub(super) fn give_back(&mut self, taken_at: Duration, now: Duration) {
        self.in_flight -= 1;
        self.pace.give_back(taken_at, now);
    }

    /// A request that was sent at `sent_at` got a 429. Returns those in line for whom it is too late now.
    pub(super) fn refused(
        &mut self,
        sent_at: Duration,
        retry_after: Option<Duration>,
        now: Duration,
        entropy: &dyn Entropy,
    ) -> Vec<Told<W>> {
        let until = self.pause.until();
        let news = self.pause.refused(sent_at, retry_after, now, entropy);
        self.learn(news, until, now);
        self.turn_away(now)
    }

    /// Another replica was asked to wait. Returns whether that is news, and those in line for whom it is too late now.
    pub(super) fn heard(&mut self, wait: Duration, now: Duration) -> (bool, Vec<Told<W>>) {
        let until = self.pause.until();
        let news = self.pause.heard(wait, now);
        self.learn(news, until, now);
        (news != News::None, self.turn_away(now))
    }

    /// `before` is when the pause was to end before the news.
    fn learn(&mut self, news: News, before: Duration, now: Duration) {
        match news {
            News::First if !self.express => self.pace.slow_down(now, self.pause.until()),
            News::Again => self.pace.hold(now, self.pause.until()),
            News::None if self.pause.until() > before => self.pace.hold(now, self.pause.until()),
            News::First | News::None => {}
        }
    }

    /// How long it takes until something may have to be done, if nothing else happens; `None` where only the end of a
    /// request can change anything.
    pub(super) fn until_next(&self, now: Duration) -> Option<Duration> {
        (self.in_flight < self.places).then(|| self.wait(0, now))
    }

    /// What a call of `flow` that does not wait is told to wait before it asks again.
    pub(super) fn wait_of(&self, flow: &Flow, now: Duration) -> Duration {
        self.wait(self.line.ahead_of(flow), now).max(SHORTEST_REFUSAL)
    }

    /// How long the call that is behind `ahead` others would wait.
    fn wait(&self, ahead: usize, now: Duration) -> Duration {
        let paced = self.pace.start(now.max(self.pause.until()), ahead);
        let free = self.places.saturating_sub(self.in_flight);
        let rounds = if ahead < free { 0 } else { (ahead - free) / self.places + 1 };
        let placed = self.latency.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        paced.saturating_sub(now).max(placed)
    }

    /// Whether work that nobody waits for should stay away.
    pub(super) fn is_pressed(&self, now: Duration) -> bool {
        !self.line.is_empty() || self.pause.remaining(now).is_some() || self.pace.per_second().is_some()
    }

    /// Whether nothing would be lost with this state.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.in_flight == 0 && !self.is_pressed(now) && self.pace.is_still(now)
    }

    fn is_open(&self, now: Duration) -> bool {
        self.in_flight < self.places && self.pace.start(now.max(self.pause.until()), 0) <= now
    }

    /// Whether a call that waits `wait` cannot be answered in time. One without a deadline sits through no pause.
    fn is_too_long(&self, wait: Duration, deadline: Option<Duration>, now: Duration) -> bool {
        match deadline {
            Some(deadline) => now.saturating_add(wait).saturating_add(self.latency) > deadline,
            None => self.pause.remaining(now).is_some(),
        }
    }

    fn is_half_full(&self) -> bool {
        self.in_flight >= self.places.div_ceil(2)
    }

    /// Notes that a call cannot go out now, if nothing but the pace is in its way.
    fn note_demand(&mut self, now: Duration) {
        if self.in_flight < self.places && self.pause.remaining(now).is_none() {
            self.pace.wait_for();
        }
    }

    /// Takes those out of the line who would be served too late, each with the time that it would have waited.
    fn turn_away(&mut self, now: Duration) -> Vec<Told<W>> {
        self.looked_at = now;
        let mut late = HashMap::new();
        let mut kept = 0;
        for waiter in self.line.in_turn() {
            let wait = self.wait(kept, now);
            if self.is_too_long(wait, waiter.deadline, now) {
                late.insert(waiter.ticket, wait.max(SHORTEST_REFUSAL));
            } else {
                kept += 1;
            }
        }
        if late.is_empty() {
            return Vec::new();
        }
        let away = self.line.extract(|waiter| late.contains_key(&waiter.ticket));
        let told = |waiter: Waiter<W>| {
            let wait = late.get(&waiter.ticket).copied().unwrap_or(SHORTEST_REFUSAL);
            (waiter, Admission::Refused(wait))
        };
        away.into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::{PrincipalKind, UserId};
    use uuid::Uuid;

    use super::*;

    #[derive(Debug)]
    struct Lowest;

    impl Entropy for Lowest {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn a_longer_wait_that_comes_late_is_followed_by_no_burst() {
        let at = Duration::from_secs;
        let flow =
            || Flow::of_user(UserId(Uuid::nil()), PrincipalKind::ApiKey("000000000001".parse().unwrap()));
        let mut state = State::<()>::new(100, 100);
        for _ in 0..10 {
            assert!(matches!(state.admit(flow, None, Urgency::Call, at(10)), Admission::Go(_)));
        }
        state.refused(at(10), Some(at(1)), at(11), &Lowest);
        state.refused(at(10), Some(at(600)), at(12), &Lowest);
        let admitted = |state: &mut State<()>, now| {
            (0..10)
                .filter(|_| {
                    matches!(state.admit(flow, Some(at(2_000)), Urgency::Call, now), Admission::Go(_))
                })
                .count()
        };
        assert_eq!(admitted(&mut state, at(600)), 0);
        assert_eq!(admitted(&mut state, at(612)), 1);
    }
}
