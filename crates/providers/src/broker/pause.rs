//! How long a client id has to be left alone: what the provider asked for in a 429, here or at another replica, or a
//! backoff of our own where it asked for nothing, or for too little. Knows no clock; times are `Clock::elapsed`.

use std::time::Duration;

use stagedoor_domain::Entropy;

/// No provider is believed to mean more than this; after it, calls go out again.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// The first wait when a 429 names none; doubled by each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// What another replica's word may add to a pause that is known, because it was spoken a little later.
const SAME_PAUSE: Duration = Duration::from_secs(1);

/// What a 429 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing: it was known.
    None,
    /// That the last wait was too short.
    Again,
    /// That too much was asked for.
    First,
}

#[derive(Debug, Default)]
pub(crate) struct Pause {
    until: Duration,
    /// When the last 429 came that told something new.
    refused_at: Option<Duration>,
    /// 429s in a row.
    in_a_row: u32,
}

impl Pause {
    /// When calls may go out again; in the past if they may now.
    pub(crate) fn until(&self) -> Duration {
        self.until
    }

    /// What is left; `None` if calls may go out.
    pub(crate) fn remaining(&self, now: Duration) -> Option<Duration> {
        let left = self.until.saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    /// A request that was sent at `sent_at` got a 429. One that was on its way when another's 429 came says nothing
    /// that the other did not.
    pub(crate) fn refused(
        &mut self,
        sent_at: Duration,
        retry_after: Option<Duration>,
        now: Duration,
        entropy: &dyn Entropy,
    ) -> News {
        let is_new = self.refused_at.is_none_or(|last| sent_at > last);
        let told = retry_after.map(|wait| wait.clamp(Duration::from_secs(1), LONGEST_WAIT));
        let mut wait = told.unwrap_or_default();
        // A first wait that the provider names is believed; one that proved too short is not believed again.
        if is_new && (told.is_none() || self.in_a_row > 0) {
            wait = wait.max(self.backoff(entropy));
        }
        self.until = self.until.max(now + wait);
        self.note(is_new, now)
    }

    /// Another replica was asked to wait, and `wait` of it is left.
    pub(crate) fn heard(&mut self, wait: Duration, now: Duration) -> News {
        let until = now + wait.min(LONGEST_WAIT);
        let is_new = until > self.until + SAME_PAUSE || self.refused_at.is_none();
        self.until = self.until.max(until);
        self.note(is_new, now)
    }

    fn note(&mut self, is_new: bool, now: Duration) -> News {
        if !is_new {
            return News::None;
        }
        self.refused_at = Some(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row == 1 { News::First } else { News::Again }
    }

    /// Forgets past 429s after an answer that was none, to a request that was sent after the pause.
    pub(crate) fn answered(&mut self, sent_at: Duration) {
        if sent_at >= self.until {
            self.in_a_row = 0;
        }
    }

    /// Exponential, half of it by chance.
    fn backoff(&self, entropy: &dyn Entropy) -> Duration {
        let backoff = FIRST_BACKOFF.saturating_mul(1 << self.in_a_row.min(6)).min(LONGEST_BACKOFF);
        backoff / 2 + jitter(backoff / 2, entropy)
    }
}

/// Evenly spread over 0..=`most`.
pub(crate) fn jitter(most: Duration, entropy: &dyn Entropy) -> Duration {
    let mut bytes = [0_u8; 2];
    entropy.fill(&mut bytes);
    most * u32::from(u16::from_le_bytes(bytes)) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Highest;

    impl Entropy for Highest {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xFF);
        }
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A 429 to a request sent just then; what is to be waited after it.
    fn refuse(pause: &mut Pause, retry_after: Option<Duration>, now: Duration) -> Duration {
        pause.refused(now, retry_after, now, &Highest);
        pause.remaining(now).unwrap()
    }

    #[test]
    fn a_long_wait_holds_to_its_end() {
        let mut pause = Pause::default();
        assert_eq!(pause.remaining(seconds(10)), None);
        assert_eq!(refuse(&mut pause, Some(seconds(80_000)), seconds(10)), seconds(80_000));
        assert_eq!(pause.remaining(seconds(80_009)), Some(seconds(1)));
        assert_eq!(pause.remaining(seconds(80_010)), None);
        assert_eq!(refuse(&mut pause, Some(seconds(900_000)), seconds(80_010)), LONGEST_WAIT);
    }

    #[test]
    fn a_shorter_wait_does_not_shorten_a_longer_one() {
        let mut pause = Pause::default();
        refuse(&mut pause, Some(seconds(60)), seconds(0));
        assert_eq!(refuse(&mut pause, Some(seconds(5)), seconds(1)), seconds(59));
        pause.heard(seconds(3), seconds(2));
        assert_eq!(pause.remaining(seconds(2)), Some(seconds(58)));
    }

    #[test]
    fn unexplained_refusals_back_off_and_an_answer_forgives_them() {
        let mut pause = Pause::default();
        assert_eq!(refuse(&mut pause, None, seconds(1)), seconds(1));
        assert_eq!(refuse(&mut pause, None, seconds(2)), seconds(2));
        assert_eq!(refuse(&mut pause, None, seconds(4)), seconds(4));
        pause.answered(seconds(3));
        assert_eq!(refuse(&mut pause, None, seconds(8)), seconds(8), "that answer was to an earlier call");
        pause.answered(seconds(16));
        assert_eq!(refuse(&mut pause, None, seconds(17)), seconds(1));
    }

    #[test]
    fn a_wait_that_proves_too_short_grows() {
        let mut pause = Pause::default();
        let waits: Vec<_> =
            [1, 2, 4, 8, 16].map(|now| refuse(&mut pause, Some(seconds(1)), seconds(now)).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 8, 16]);
        assert_eq!(refuse(&mut pause, Some(seconds(300)), seconds(32)), seconds(300));
    }

    #[test]
    fn sixteen_refusals_of_one_burst_are_one() {
        let mut pause = Pause::default();
        let mut refuse = || pause.refused(seconds(5), None, seconds(6), &Highest);
        assert_eq!(refuse(), News::First);
        assert!((1..16).all(|_| refuse() == News::None));
        assert_eq!(pause.remaining(seconds(6)), Some(seconds(1)));
        assert_eq!(pause.refused(seconds(7), None, seconds(8), &Highest), News::Again);
    }

    #[test]
    fn another_replicas_word_counts_once() {
        let mut pause = Pause::default();
        assert_eq!(pause.heard(seconds(20), seconds(0)), News::First);
        assert_eq!(pause.heard(seconds(19), seconds(1)), News::None);
        let late = Duration::from_millis(20_005);
        let left = Duration::from_millis(300);
        assert_eq!(pause.heard(left, late), News::None, "the same pause, told a moment later");
        assert_eq!(pause.remaining(late), Some(left));
        assert_eq!(pause.heard(seconds(20), seconds(40)), News::Again);
        pause.answered(seconds(61));
        assert_eq!(pause.heard(seconds(20), seconds(70)), News::First);
    }
}
