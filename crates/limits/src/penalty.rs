//! What repeated refusals cost: the times of a principal's last refusals, and the penalty that follows from them.
//! `buckets.lua` is the same arithmetic.

use std::collections::VecDeque;
use std::time::Duration;

use stagedoor_domain::policy::PenaltyStep;

/// The penalty that a principal is in: every call is refused until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// How long it lasts in all.
    pub length: Duration,
    /// How much of it is left.
    pub remaining: Duration,
}

/// One step, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) refusals: u64,
    pub(crate) within: u64,
    pub(crate) block: u64,
}

impl Step {
    /// The steps of `settings` that can be reached.
    pub(crate) fn all(settings: &[PenaltyStep]) -> Box<[Self]> {
        let micros = |seconds: u32| u64::from(seconds) * 1_000_000;
        settings
            .iter()
            .filter(|step| step.refusals > 0 && step.within_seconds > 0 && step.block_seconds > 0)
            .map(|step| Self {
                refusals: u64::from(step.refusals.min(PenaltyStep::MOST)),
                within: micros(step.within_seconds),
                block: micros(step.block_seconds),
            })
            .collect()
    }
}

/// A penalty on the clock of whoever keeps the buckets, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) since: u64,
    pub(crate) length: u64,
}

impl Running {
    /// As it reads at `now`.
    pub(crate) fn seen(self, now: u64) -> Penalty {
        Penalty {
            length: Duration::from_micros(self.length),
            remaining: Duration::from_micros((self.since + self.length).saturating_sub(now)),
        }
    }
}

/// One principal's refusals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offences {
    refusals: VecDeque<u64>,
    penalty: Option<Running>,
    remembered_until: u64,
}

impl Offences {
    /// The penalty in force at `now`. One that was longer than any that `steps` know is as long as the longest of
    /// them, so that a setting that was lowered counts at once.
    pub(crate) fn running(&self, steps: &[Step], now: u64) -> Option<Running> {
        let longest = steps.iter().map(|step| step.block).max()?;
        let penalty = self.penalty?;
        let length = penalty.length.min(longest);
        (now < penalty.since + length).then_some(Running { length, ..penalty })
    }

    /// Notes a refusal at `now` and says which penalty is in force then. A step that this refusal reaches blocks from
    /// now on; during a penalty only a longer one can begin, so that calls made too early never prolong it.
    pub(crate) fn note(&mut self, steps: &[Step], now: u64) -> Option<Running> {
        let running = self.running(steps, now);
        let (Some(most), Some(remember)) =
            (steps.iter().map(|step| step.refusals).max(), steps.iter().map(|step| step.within).max())
        else {
            return running;
        };
        self.refusals.push_back(now);
        let surplus = self.refusals.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        self.refusals.drain(..surplus);
        self.remembered_until = now + remember;

        let reached = steps.iter().filter(|step| self.reaches(step, now)).map(|step| step.block).max();
        let begun = reached.filter(|block| running.is_none_or(|running| *block > running.length));
        let Some(length) = begun else { return running };
        self.penalty = Some(Running { since: now, length });
        self.penalty
    }

    /// Takes over a penalty that was begun elsewhere.
    pub(crate) fn take_over(&mut self, penalty: Running) {
        let end = |running: Running| running.since + running.length;
        if self.penalty.is_none_or(|known| end(known) < end(penalty)) {
            self.penalty = Some(penalty);
        }
    }

    /// Whether forgetting all of it changes no decision.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.remembered_until <= now
            && self.penalty.is_none_or(|penalty| penalty.since + penalty.length <= now)
    }

    /// Whether the last refusals reach `step`. What a penalty was served for does not count again towards one that is no
    /// longer.
    fn reaches(&self, step: &Step, now: u64) -> bool {
        let served =
            |time: u64| self.penalty.is_some_and(|last| last.length >= step.block && time <= last.since);
        let nth_last =
            usize::try_from(step.refusals).ok().and_then(|nth| self.refusals.len().checked_sub(nth));
        nth_last
            .and_then(|index| self.refusals.get(index))
            .is_some_and(|time| now.saturating_sub(*time) < step.within && !served(*time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn steps() -> Box<[Step]> {
        Step::all(&PenaltyStep::DEFAULT)
    }

    #[test]
    fn ten_refusals_cost_a_minute_and_fifty_a_quarter_of_an_hour() {
        let (steps, mut offences) = (steps(), Offences::default());
        for second in 0..9 {
            assert_eq!(offences.note(&steps, second * SECOND), None);
        }
        let first = offences.note(&steps, 9 * SECOND).unwrap();
        assert_eq!((first.since, first.length), (9 * SECOND, 60 * SECOND));
        for count in 11..50 {
            assert_eq!(offences.note(&steps, 10 * SECOND), Some(first), "refusal {count} prolongs nothing");
        }
        let second = offences.note(&steps, 11 * SECOND).unwrap();
        assert_eq!((second.since, second.length), (11 * SECOND, 900 * SECOND));
        assert_eq!(offences.running(&steps, second.since + second.length - 1), Some(second));
        assert_eq!(offences.running(&steps, second.since + second.length), None);
        assert_eq!(offences.note(&steps, 68 * SECOND), Some(second));
    }

    #[test]
    fn what_a_penalty_was_served_for_does_not_count_again() {
        let (steps, mut offences) = (steps(), Offences::default());
        for second in 0..10 {
            offences.note(&steps, second * SECOND);
        }
        for count in 0..9 {
            assert_eq!(offences.note(&steps, (70 + count) * SECOND), None, "{count} after the penalty");
        }
        assert_eq!(offences.note(&steps, 79 * SECOND).unwrap().since, 79 * SECOND, "ten anew");
        for count in 20..49 {
            assert_eq!(offences.note(&steps, 80 * SECOND).unwrap().length, 60 * SECOND, "{count}");
        }
        assert_eq!(
            offences.note(&steps, 80 * SECOND).unwrap().length,
            900 * SECOND,
            "all fifty count for the longer"
        );
    }

    #[test]
    fn refusals_older_than_the_step_looks_back_do_not_count() {
        let (steps, mut offences) = (steps(), Offences::default());
        for second in 0..9 {
            offences.note(&steps, second * SECOND);
        }
        assert_eq!(offences.note(&steps, 608 * SECOND), None, "the others are ten minutes old");
        assert!(!offences.is_over(608 * SECOND) && offences.is_over(1_208 * SECOND));
    }

    #[test]
    fn lowered_or_lifted_steps_count_for_a_running_penalty() {
        let (all, mut offences) = (steps(), Offences::default());
        for _ in 0..50 {
            offences.note(&all, 0);
        }
        let short = Step::all(&[PenaltyStep { refusals: 1, within_seconds: 1, block_seconds: 5 }]);
        assert_eq!(offences.running(&short, 5 * SECOND - 1).unwrap().length, 5 * SECOND);
        assert_eq!(offences.running(&short, 5 * SECOND), None);
        assert_eq!(offences.running(&[], 1), None);
        assert!(offences.running(&all, 899 * SECOND).is_some());
    }
}
