//! What the limiter says to a call, and the text of its headers. How a refusal reads to an agent is in `refusal`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{LimitDetail, LimitScope};

use crate::penalty::Penalty;
use crate::plan::{Plan, bucket_name};
use crate::script::Taken;

/// Who decided. Closed, so that it may be a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The buckets that all replicas share.
    Redis,
    /// Calls that were debited from the shared buckets ahead.
    Lease,
    /// The buckets of this process, because no Redis is configured.
    Local,
    /// The buckets of this process at this replica's share, because Redis is out of reach or was a moment ago.
    Degraded,
}

impl Backend {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Lease => "lease",
            Self::Local => "local",
            Self::Degraded => "degraded",
        }
    }
}

/// One bucket as it stands after the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Whose calls it counts.
    pub scope: LimitScope,
    /// The class it counts.
    pub class: LimitClass,
    /// Its quota; this replica's share of it if the decision is degraded.
    pub quota: Quota,
    /// Calls that fit now.
    pub remaining: u64,
    /// When it is full again if nothing more is called.
    pub reset_after: Duration,
}

impl Bucket {
    /// The name that headers and refusals use: `search-60`, or `tenant-search-60`.
    pub fn name(&self) -> String {
        bucket_name(self.scope, self.class, u64::try_from(self.quota.window.as_micros()).unwrap_or(u64::MAX))
    }

    /// The same for programs.
    pub fn detail(&self) -> LimitDetail {
        LimitDetail {
            name: self.name(),
            scope: self.scope,
            capacity: self.quota.capacity,
            window_seconds: self.quota.window.as_secs(),
            remaining: self.remaining,
            full_in_seconds: seconds(self.reset_after),
        }
    }

    /// A quota of zero.
    pub(crate) fn closed(scope: LimitScope, class: LimitClass, quota: Quota) -> Self {
        Self { scope, class, quota, remaining: 0, reset_after: quota.window }
    }
}

/// All limits of a principal, without a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// Its own buckets of every class, then those it shares with its tenant's other principals. A lease's unspent
    /// calls are off.
    pub buckets: Vec<Bucket>,
    /// The penalty that it is in.
    pub penalty: Option<Penalty>,
}

/// The limiter's answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the call may go on.
    pub admitted: bool,
    /// The bucket with the fewest calls left, or the one that refused; `None` if the tenant set no quotas or a penalty
    /// refused.
    pub binding: Option<Bucket>,
    /// The penalty in force after this decision.
    pub penalty: Option<Penalty>,
    /// When the call would be admitted; set exactly if it was refused.
    pub retry_after: Option<Duration>,
    /// Who decided.
    pub backend: Backend,
    pub(crate) plan: Arc<Plan>,
    /// Whether a call of class `api` alone would have been admitted.
    pub(crate) others_fit: bool,
    /// Whether this refusal began the penalty.
    pub(crate) began: bool,
}

impl Decision {
    pub(crate) fn admitted(plan: &Arc<Plan>, binding: Option<Bucket>, backend: Backend) -> Self {
        Self {
            admitted: true,
            binding,
            penalty: None,
            retry_after: None,
            backend,
            plan: Arc::clone(plan),
            others_fit: true,
            began: false,
        }
    }

    /// The refusal by a quota of zero.
    pub(crate) fn closed(plan: &Arc<Plan>, bucket: Bucket, backend: Backend) -> Self {
        Self {
            admitted: false,
            retry_after: Some(bucket.quota.window),
            others_fit: bucket.class != LimitClass::Api,
            ..Self::admitted(plan, Some(bucket), backend)
        }
    }

    /// The decision that follows from asking `taken` for one call.
    pub(crate) fn of(plan: &Arc<Plan>, taken: &Taken, backend: Backend) -> Self {
        if taken.calls > 0 || !plan.counts {
            return Self::admitted(plan, tightest(plan, taken), backend);
        }
        let penalty = taken.penalty.map(|penalty| penalty.seen(taken.now));
        let began = taken.penalty.is_some_and(|penalty| penalty.since == taken.now);
        let waits = || {
            taken
                .arrivals
                .iter()
                .zip(&plan.rates)
                .map(|(arrival, rate)| (arrival.until_one_fits(rate, taken.now), rate))
        };
        let longest = waits().map(|(wait, _)| wait).enumerate().max_by_key(|(_, wait)| *wait);
        let lacking = longest.filter(|(_, wait)| *wait > 0);
        let bucket = lacking.filter(|_| began || penalty.is_none());
        let wait = Duration::from_micros(lacking.map_or(0, |(_, wait)| wait).max(1));
        Self {
            admitted: false,
            binding: bucket.and_then(|(index, _)| buckets(plan, taken).nth(index)),
            penalty,
            retry_after: Some(penalty.map_or(wait, |penalty| wait.max(penalty.remaining))),
            backend,
            plan: Arc::clone(plan),
            others_fit: penalty.is_none()
                && waits().all(|(wait, rate)| wait == 0 || rate.class != LimitClass::Api),
            began,
        }
    }

    /// The value of `RateLimit-Policy`: every quota that the call counts on
    /// (draft-ietf-httpapi-ratelimit-headers-10 §3). `None` if there are no quotas.
    pub fn policy_header(&self) -> Option<&str> {
        Some(&*self.plan.policy).filter(|text| !text.is_empty())
    }

    /// The value of `RateLimit`: the binding bucket, and the penalty if one is in force
    /// (draft-ietf-httpapi-ratelimit-headers-10 §4).
    pub fn limit_header(&self) -> Option<String> {
        let mut text = String::with_capacity(40);
        if let Some(bucket) = self.binding {
            add_limit(
                &mut text,
                bucket.scope,
                bucket.class,
                bucket.quota.window,
                bucket.remaining,
                bucket.reset_after,
            );
        }
        if let Some(penalty) = self.penalty {
            let separator = if text.is_empty() { "" } else { ", " };
            write!(text, "{separator}\"penalty\";r=0;t={}", seconds(penalty.remaining))
                .expect("a String takes all that is written");
        }
        (!text.is_empty()).then_some(text)
    }
}

/// The buckets as they stand in `taken`.
pub(crate) fn buckets<'a>(plan: &'a Plan, taken: &'a Taken) -> impl Iterator<Item = Bucket> + 'a {
    taken.arrivals.iter().zip(&plan.rates).map(|(arrival, rate)| Bucket {
        scope: rate.scope,
        class: rate.class,
        quota: rate.quota,
        remaining: arrival.fits(rate, taken.now),
        reset_after: Duration::from_micros(arrival.until_full(taken.now)),
    })
}

/// The bucket with the fewest calls left; among equals the one that takes longest to refill.
pub(crate) fn tightest(plan: &Plan, taken: &Taken) -> Option<Bucket> {
    buckets(plan, taken).min_by_key(|bucket| (bucket.remaining, std::cmp::Reverse(bucket.reset_after)))
}

/// Adds `"name";r=remaining;t=reset`. Every answer carries one, so this does without `fmt`.
fn add_limit(
    text: &mut String,
    scope: LimitScope,
    class: LimitClass,
    window: Duration,
    remaining: u64,
    reset_after: Duration,
) {
    let (mut left, mut length, mut reset) = (itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new());
    let scope = match scope {
        LimitScope::Principal => "\"",
        LimitScope::Tenant => "\"tenant-",
    };
    let parts = [
        scope,
        class.as_str(),
        "-",
        length.format(window.as_secs()),
        "\";r=",
        left.format(remaining),
        ";t=",
        reset.format(seconds(reset_after)),
    ];
    for part in parts {
        text.push_str(part);
    }
}

/// Whole seconds, rounded up; 0 only for nothing.
pub(crate) fn seconds(time: Duration) -> u64 {
    if time.is_zero() { 0 } else { ceil_seconds(time) }
}
