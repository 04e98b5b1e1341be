//! When a figure is a reason to look, and when it is an outage: the same limits for `stagedoor-keeper doctor`, for the
//! checks of a gateway's `/readyz`, and for the alert rules in `docs/alerts.yaml`. A test compares the rules with these.

use std::time::Duration;

/// How good a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Someone should look at it today.
    Warning,
    /// Something does not work, or is about to be lost.
    Failing,
}

/// From where on a figure is not good any more; larger is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<T> {
    /// Above this it is a [`Verdict::Warning`].
    pub warning: T,
    /// Above this it is [`Verdict::Failing`].
    pub failing: T,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

const fn hours(hours: u64) -> Duration {
    minutes(hours * 60)
}

/// How far two clocks may be apart. Tokens are accepted with 60 s of leeway; session lives and audit days go by clocks.
pub const CLOCK_SKEW: Limit<Duration> =
    Limit { warning: Duration::from_secs(1), failing: Duration::from_secs(30) };

/// How old the oldest audit record may be that no checkpoint covers. Checkpoints are made every minute.
pub const UNSEALED_AUDIT: Limit<Duration> = Limit { warning: minutes(5), failing: minutes(30) };

/// How full the disk of the database, of backups or of checkpoints may be, in percent.
pub const DISK_USED_PERCENT: Limit<u64> = Limit { warning: 80, failing: 95 };

/// How many of the database's connections may be in use, in percent.
pub const CONNECTIONS_PERCENT: Limit<u64> = Limit { warning: 80, failing: 95 };

/// How full the memory of a Redis with an upper bound may be, in percent, where nothing is evicted.
pub const REDIS_MEMORY_PERCENT: Limit<u64> = Limit { warning: 80, failing: 95 };

/// How old the newest good backup of a class that is taken daily may be.
pub const DAILY_BACKUP_AGE: Limit<Duration> = Limit { warning: hours(26), failing: hours(50) };

/// How old the newest good backup of a class that is taken weekly may be.
pub const WEEKLY_BACKUP_AGE: Limit<Duration> = Limit { warning: hours(8 * 24), failing: hours(15 * 24) };

/// How long ago backups may last have been restored for practice.
pub const DRILL_AGE: Limit<Duration> = Limit { warning: hours(8 * 24), failing: hours(15 * 24) };

/// Requests of people for their data that are late: the law names the time (GDPR Art. 12(3)), so one is too many.
pub const LATE_REQUESTS: Limit<u64> = Limit { warning: 0, failing: 0 };

/// Days that the audit trail should have partitions for, today among them: with fewer than the first it is a warning,
/// with fewer than the second failing.
pub const PARTITION_DAYS: Limit<u64> = Limit { warning: 3, failing: 1 };

/// The least part of calls that the cache should answer, in percent.
pub const LEAST_CACHE_HITS_PERCENT: u64 = 30;

impl<T: Copy + PartialOrd> Limit<T> {
    /// What is to be thought of `figure`.
    pub fn judge(&self, figure: T) -> Verdict {
        if figure > self.failing {
            Verdict::Failing
        } else if figure > self.warning {
            Verdict::Warning
        } else {
            Verdict::Ok
        }
    }

    /// The same where less is worse.
    pub fn judge_least(&self, figure: T) -> Verdict {
        if figure < self.failing {
            Verdict::Failing
        } else if figure < self.warning {
            Verdict::Warning
        } else {
            Verdict::Ok
        }
    }
}

impl Verdict {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failing => "failing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_at_its_limit_is_still_good() {
        let seconds = |seconds| CLOCK_SKEW.judge(Duration::from_secs(seconds));
        assert_eq!([seconds(1), seconds(2), seconds(30), seconds(31)], {
            [Verdict::Ok, Verdict::Warning, Verdict::Warning, Verdict::Failing]
        });
        assert_eq!([LATE_REQUESTS.judge(0), LATE_REQUESTS.judge(1)], [Verdict::Ok, Verdict::Failing]);
        assert_eq!([3, 2, 1, 0].map(|days| PARTITION_DAYS.judge_least(days)), {
            [Verdict::Ok, Verdict::Warning, Verdict::Warning, Verdict::Failing]
        });
    }
}
