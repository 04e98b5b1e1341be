//! The pace of one client id, learned from its 429s, since providers do not publish their limits. The formula is in
//! `docs/providers.md`. Knows no clock; times are `Clock::elapsed`.

use std::time::Duration;

/// What an observed rate is taken over; Spotify counts over as long a rolling window.
const WINDOW_SECONDS: u32 = 30;
/// What is left of the observed rate after a 429.
const DECREASE: f64 = 0.7;
/// What is added to the pace for each quiet period, as a part of the rate at which the last 429 came.
const INCREASE: f64 = 0.02;
/// How long there must have been no 429 for the pace to rise.
const PERIOD: Duration = Duration::from_secs(10);
/// Periods in a row without anyone waiting for the pace, after which there is none.
const UNUSED_PERIODS: u32 = 6;
/// No pace is slower, in calls a second; what is slower than that is a pause.
const SLOWEST: f64 = 0.5;
/// What may go out at once after a lull: as much as the pace allows in this time.
const BURST: Duration = Duration::from_secs(2);

/// Requests of the last 30 seconds and, after a 429, how fast they may go out.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    sent: Sent,
    learned: Option<Learned>,
}

#[derive(Debug)]
struct Learned {
    /// Calls a second.
    rate: f64,
    /// The rate at which the last 429 came.
    ceiling: f64,
    /// What the next quiet period adds.
    step: f64,
    /// When the next call would be due if calls came evenly (GCRA's theoretical arrival time, ATM Forum TM 4.1).
    due: Duration,
    /// When a pause last put `due` off.
    put_off_at: Duration,
    period_began: Duration,
    /// Whether anyone had to wait for the pace in this period.
    was_waited_for: bool,
    unused_periods: u32,
}

impl Pace {
    /// Calls a second, if there is a pace.
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.learned.as_ref().map(|learned| learned.rate)
    }

    /// When a call may go out that is behind `ahead` others, none of which may go before `from`.
    pub(crate) fn start(&self, from: Duration, ahead: usize) -> Duration {
        let Some(learned) = &self.learned else { return from };
        let interval = learned.interval();
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let due = learned.due.max(from).saturating_add(interval.saturating_mul(ahead));
        due.saturating_sub(BURST.saturating_sub(interval)).max(from)
    }

    /// Counts a request that goes out now.
    pub(crate) fn take(&mut self, now: Duration) {
        self.sent.add(now);
        if let Some(learned) = &mut self.learned {
            learned.due = learned.due.max(now) + learned.interval();
        }
    }

    /// Uncounts one that did not go out after all. What it added to `due` is gone if a pause came since.
    pub(crate) fn give_back(&mut self, taken_at: Duration, now: Duration) {
        self.sent.remove(taken_at, now);
        if let Some(learned) = &mut self.learned
            && taken_at > learned.put_off_at
        {
            learned.due = learned.due.saturating_sub(learned.interval());
        }
    }

    /// Whether the last 30 seconds saw no request.
    pub(crate) fn is_still(&self, now: Duration) -> bool {
        now.as_secs() > self.sent.second + u64::from(WINDOW_SECONDS)
    }

    /// Notes that a call has to wait for the pace, and for nothing else.
    pub(crate) fn wait_for(&mut self) {
        if let Some(learned) = &mut self.learned {
            learned.was_waited_for = true;
        }
    }

    /// After a 429: seven tenths of what went out, from `resume` on. A burst begins only after a lull.
    pub(crate) fn slow_down(&mut self, now: Duration, resume: Duration) {
        let observed = self.sent.per_second(now);
        let ceiling = self.per_second().map_or(observed, |rate| rate.min(observed)).max(SLOWEST);
        self.learned = Some(Learned {
            rate: (ceiling * DECREASE).max(SLOWEST),
            ceiling,
            step: ceiling * INCREASE,
            due: resume,
            put_off_at: now,
            period_began: resume,
            was_waited_for: false,
            unused_periods: 0,
        });
        self.hold(now, resume);
    }

    /// Nothing goes out before `resume`, and no burst then.
    pub(crate) fn hold(&mut self, now: Duration, resume: Duration) {
        if let Some(learned) = &mut self.learned {
            learned.due = resume + BURST.saturating_sub(learned.interval());
            learned.put_off_at = now;
            learned.period_began = resume;
        }
    }

    /// Lets the pace rise for each quiet period in which it was waited for, and drops it when nobody needs it.
    pub(crate) fn tend(&mut self, now: Duration) {
        let Some(learned) = &mut self.learned else { return };
        while now >= learned.period_began + PERIOD {
            learned.period_began += PERIOD;
            if std::mem::take(&mut learned.was_waited_for) {
                learned.rise();
            } else {
                learned.unused_periods += 1;
            }
            if learned.unused_periods == UNUSED_PERIODS {
                self.learned = None;
                return;
            }
        }
    }
}

impl Learned {
    fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.rate.recip())
    }

    /// Evenly up to where the last 429 came; past it, where the provider evidently allows more than it did, faster and
    /// faster.
    fn rise(&mut self) {
        self.unused_periods = 0;
        if self.rate >= self.ceiling {
            self.step *= 2.0;
        }
        self.rate += self.step;
    }
}

/// How many requests went out in each of the last 30 seconds.
#[derive(Debug, Default)]
struct Sent {
    counts: [u32; 30],
    /// The second that was counted last.
    second: u64,
}

impl Sent {
    fn add(&mut self, now: Duration) {
        self.advance(now);
        let count = self.slot(now);
        *count = count.saturating_add(1);
    }

    fn remove(&mut self, taken_at: Duration, now: Duration) {
        self.advance(now);
        if taken_at.as_secs() + u64::from(WINDOW_SECONDS) > self.second {
            let count = self.slot(taken_at);
            *count = count.saturating_sub(1);
        }
    }

    fn per_second(&mut self, now: Duration) -> f64 {
        self.advance(now);
        let total: u32 = self.counts.iter().fold(0, |total, count| total.saturating_add(*count));
        f64::from(total) / f64::from(WINDOW_SECONDS)
    }

    fn advance(&mut self, now: Duration) {
        let second = now.as_secs();
        let passed = second.saturating_sub(self.second).min(u64::from(WINDOW_SECONDS));
        for later in 0..passed {
            *self.slot(Duration::from_secs(second - later)) = 0;
        }
        self.second = self.second.max(second);
    }

    fn slot(&mut self, at: Duration) -> &mut u32 {
        let index = at.as_secs() % u64::from(WINDOW_SECONDS);
        &mut self.counts[usize::try_from(index).unwrap_or_default()]
    }
}
