//! What the limiter says to a call, and how that reads in headers and to an agent.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{ErrorCode, PublicError};

use crate::plan::{Plan, Rate, micros};
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
    /// The buckets of this process at this replica's share, because Redis is out of reach.
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
    /// The class it counts.
    pub class: LimitClass,
    /// Its quota; this replica's share of it if the decision is degraded.
    pub quota: Quota,
    /// Calls that fit now.
    pub remaining: u64,
    /// When it is full again if nothing more is called.
    pub reset_after: Duration,
}

/// The limiter's answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the call may go on.
    pub admitted: bool,
    /// The bucket with the fewest calls left, or the one that refused; `None` if the tenant set no quotas.
    pub binding: Option<Bucket>,
    /// When the call would be admitted; set exactly if it was refused.
    pub retry_after: Option<Duration>,
    /// Who decided.
    pub backend: Backend,
    policies: Policies,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Policies {
    Rates(Arc<[Rate]>),
    Closed(LimitClass, Quota),
}

impl Decision {
    pub(crate) fn admitted(rates: &Arc<[Rate]>, binding: Option<Bucket>, backend: Backend) -> Self {
        Self {
            admitted: true,
            binding,
            retry_after: None,
            backend,
            policies: Policies::Rates(Arc::clone(rates)),
        }
    }

    pub(crate) fn closed(class: LimitClass, quota: Quota, backend: Backend) -> Self {
        Self {
            admitted: false,
            binding: Some(Bucket { class, quota, remaining: 0, reset_after: quota.window }),
            retry_after: Some(quota.window),
            backend,
            policies: Policies::Closed(class, quota),
        }
    }

    /// The decision that follows from asking `taken` for one call.
    pub(crate) fn of(rates: &Arc<[Rate]>, taken: &Taken, backend: Backend) -> Self {
        if taken.calls > 0 || rates.is_empty() {
            return Self::admitted(rates, tightest(rates, taken), backend);
        }
        let waits = taken.arrivals.iter().zip(rates.iter());
        let refusing = waits
            .map(|(arrival, rate)| arrival.until_one_fits(rate, taken.now))
            .enumerate()
            .max_by_key(|(_, wait)| *wait);
        let (binding, wait) = match refusing {
            Some((index, wait)) => (buckets(rates, taken).nth(index), wait.max(1)),
            None => (None, 1),
        };
        Self {
            admitted: false,
            binding,
            retry_after: Some(micros(wait)),
            backend,
            policies: Policies::Rates(Arc::clone(rates)),
        }
    }

    /// The value of `RateLimit-Policy`: every quota that the call counts on
    /// (draft-ietf-httpapi-ratelimit-headers-10 §3). `None` if there are no quotas.
    pub fn policy_header(&self) -> Option<String> {
        let mut text = String::with_capacity(120);
        match &self.policies {
            Policies::Rates(rates) => {
                rates.iter().for_each(|rate| add_policy(&mut text, rate.class, rate.quota));
            }
            Policies::Closed(class, quota) => add_policy(&mut text, *class, *quota),
        }
        (!text.is_empty()).then_some(text)
    }

    /// The value of `RateLimit`: the binding bucket (draft-ietf-httpapi-ratelimit-headers-10 §4).
    pub fn limit_header(&self) -> Option<String> {
        let Bucket { class, quota, remaining, reset_after } = self.binding?;
        let reset = if reset_after.is_zero() { 0 } else { ceil_seconds(reset_after) };
        let window = quota.window.as_secs();
        Some(format!("\"{class}-{window}\";r={remaining};t={reset}"))
    }

    /// What an agent is told if the call was refused: which limit, and when there is more.
    pub fn refusal(&self) -> Option<PublicError> {
        let (wait, bucket) = (self.retry_after?, self.binding?);
        let seconds = ceil_seconds(wait);
        let message = format!(
            "The limit of {} {} calls per {} is used up; the next call is admitted in {seconds} s.",
            bucket.quota.capacity,
            bucket.class,
            window_name(bucket.quota.window),
        );
        let hint = match bucket.class {
            LimitClass::Search => {
                "Wait, or read what is already known by its reference (track_get, album_get)."
            }
            LimitClass::Playlist => "Wait, or put several tracks into one call.",
            LimitClass::Api | LimitClass::Auth => {
                "Wait before the next call; usage_status shows what is left."
            }
        };
        Some(PublicError::new(ErrorCode::RateLimited, message).hint(hint).retry_after(wait))
    }
}

/// The buckets as they stand in `taken`.
pub(crate) fn buckets<'a>(rates: &'a [Rate], taken: &'a Taken) -> impl Iterator<Item = Bucket> + 'a {
    taken.arrivals.iter().zip(rates).map(|(arrival, rate)| Bucket {
        class: rate.class,
        quota: rate.quota,
        remaining: arrival.fits(rate, taken.now),
        reset_after: micros(arrival.until_full(taken.now)),
    })
}

/// The bucket with the fewest calls left; among equals the one that takes longest to refill.
pub(crate) fn tightest(rates: &[Rate], taken: &Taken) -> Option<Bucket> {
    buckets(rates, taken).min_by_key(|bucket| (bucket.remaining, std::cmp::Reverse(bucket.reset_after)))
}

/// What a plan of zero says to every call.
pub(crate) fn closed_bucket(plan: &Plan) -> Option<Bucket> {
    match plan {
        Plan::Closed(class, quota) => {
            Some(Bucket { class: *class, quota: *quota, remaining: 0, reset_after: quota.window })
        }
        Plan::Count(_) => None,
    }
}

/// Adds `"class-window";q=capacity;w=window`. Every answer carries all policies, so this does without `fmt`.
fn add_policy(text: &mut String, class: LimitClass, quota: Quota) {
    let (mut capacity, mut window) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (capacity, window) = (capacity.format(quota.capacity), window.format(quota.window.as_secs()));
    let separator = if text.is_empty() { "\"" } else { ", \"" };
    for part in [separator, class.as_str(), "-", window, "\";q=", capacity, ";w=", window] {
        text.push_str(part);
    }
}

fn window_name(window: Duration) -> String {
    match window.as_secs() {
        60 => "minute".to_owned(),
        3_600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        seconds => format!("{seconds} s"),
    }
}
