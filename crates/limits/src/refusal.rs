//! How a refused call reads: to an agent in words and for programs, and as an entry in the tenant's list of violations.

use std::time::Duration;

use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::policy::LimitClass;
use stagedoor_domain::{ErrorCode, LimitDetail, LimitScope, PublicError};

use crate::decision::{Bucket, Decision, seconds};
use crate::penalty::Penalty;

/// The name of the limit that a penalty is.
const PENALTY: &str = "penalty";

/// A refused call as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the bucket that refused (`search-60`, `tenant-search-60`), or `penalty`.
    pub limit: String,
    /// What that limit counts; for a penalty, what was called.
    pub class: LimitClass,
    /// Whose calls it counts.
    pub scope: LimitScope,
    /// Its window; for a penalty, its length.
    pub window: Duration,
    /// The length of the penalty in force after this refusal; also set on the refusal that begins it.
    pub penalty: Option<Duration>,
}

impl Decision {
    /// What an agent is told if the call was refused: which limit, how many calls are left, when there is more, and
    /// what to do instead.
    pub fn refusal(&self) -> Option<PublicError> {
        let wait = self.retry_after?;
        let (message, detail) = match (self.binding, self.penalty) {
            (Some(bucket), None) => (used_up(&bucket, wait), bucket.detail()),
            (Some(bucket), Some(penalty)) => {
                (format!("{} {}", name_in_words(&bucket), self.penalty_in_words(penalty)), bucket.detail())
            }
            (None, Some(penalty)) => (self.penalty_in_words(penalty), penalty_detail(penalty)),
            (None, None) => {
                return Some(PublicError::new(ErrorCode::RateLimited, "Too many calls.").retry_after(wait));
            }
        };
        let error = PublicError::new(ErrorCode::RateLimited, message).hint(self.hint()).retry_after(wait);
        Some(error.limit(detail))
    }

    /// What is recorded if the call was refused.
    pub fn violation(&self) -> Option<Violation> {
        self.retry_after?;
        let penalty = self.penalty.map(|penalty| penalty.length);
        Some(match self.binding {
            Some(bucket) => Violation {
                limit: bucket.name(),
                class: bucket.class,
                scope: bucket.scope,
                window: bucket.quota.window,
                penalty,
            },
            None => Violation {
                limit: PENALTY.to_owned(),
                class: self.plan.class,
                scope: LimitScope::Principal,
                window: penalty.unwrap_or_default(),
                penalty,
            },
        })
    }

    fn penalty_in_words(&self, penalty: Penalty) -> String {
        let (length, left) = (ceil_seconds(penalty.length), ceil_seconds(penalty.remaining));
        let length_us = u64::try_from(penalty.length.as_micros()).unwrap_or(u64::MAX);
        let why = match self.plan.steps.iter().find(|step| step.block == length_us) {
            Some(step) => format!("{} refused calls within {} s", step.refusals, step.within / 1_000_000),
            None => "Refused calls again and again".to_owned(),
        };
        format!("{why} cost a penalty of {length} s: no call is admitted until it is over, in {left} s.")
    }

    fn hint(&self) -> &'static str {
        let Some(bucket) = self.binding.filter(|_| self.penalty.is_none()) else {
            return "Call nothing until then: refused calls count towards a longer penalty.";
        };
        match bucket.class {
            LimitClass::Search if self.others_fit => {
                "Wait, or read what is already known by its reference (track_get, album_get)."
            }
            LimitClass::Playlist if self.others_fit => {
                "Wait, or put several tracks into one call; reading goes on."
            }
            LimitClass::Auth if self.others_fit => "Wait before the next link; everything else goes on.",
            _ => "Wait before the next call; usage_status shows what is left.",
        }
    }
}

fn used_up(bucket: &Bucket, wait: Duration) -> String {
    if bucket.quota.capacity == 0 {
        return format!("The tenant's settings admit no {} calls.", bucket.class);
    }
    format!("{} The next call is admitted in {} s.", name_in_words(bucket), ceil_seconds(wait))
}

fn name_in_words(bucket: &Bucket) -> String {
    let whose = match bucket.scope {
        LimitScope::Principal => "",
        LimitScope::Tenant => " of all of the tenant's keys together",
    };
    let (capacity, class, left) = (bucket.quota.capacity, bucket.class, bucket.remaining);
    let window = window_name(bucket.quota.window);
    format!("The limit of {capacity} {class} calls per {window}{whose} is used up ({left} left).")
}

fn penalty_detail(penalty: Penalty) -> LimitDetail {
    LimitDetail {
        name: PENALTY.to_owned(),
        scope: LimitScope::Principal,
        capacity: 0,
        window_seconds: seconds(penalty.length),
        remaining: 0,
        full_in_seconds: seconds(penalty.remaining),
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
