//! The tenant's limits at the edge: asks the limiter, says the result in headers.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::{LimitClass, PublicError, TenantContext};
use stagedoor_limits::{Decision, Limiter};
use tracing::Instrument;
use tracing::field::Empty;

use crate::violations::Violations;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The limits of every tenant.
#[derive(Debug, Clone)]
pub struct Quota {
    limiter: Option<Arc<Limiter>>,
    violations: Arc<Violations>,
}

/// Whether a request may go on, and what its answer's headers say of the limits.
#[derive(Debug, Default)]
pub struct Admission {
    /// `RateLimit-Policy`, `RateLimit`, and `Retry-After` if refused (draft-ietf-httpapi-ratelimit-headers).
    pub headers: HeaderMap,
    /// What the agent is told if it was refused.
    pub refused: Option<PublicError>,
}

impl Quota {
    /// `None` admits everything, which configuration may ask for and then says so at start. What is refused is noted
    /// in `violations`.
    pub fn new(limiter: Option<Arc<Limiter>>, violations: Arc<Violations>) -> Self {
        Self { limiter, violations }
    }

    /// Counts one request.
    pub async fn admit(&self, ctx: &TenantContext, class: LimitClass) -> Admission {
        let Some(limiter) = &self.limiter else { return Admission::default() };
        let span = tracing::info_span!(
            "limits",
            "stagedoor.limits.class" = class.as_str(),
            "stagedoor.limits.backend" = Empty,
            "stagedoor.limits.outcome" = Empty,
        );
        let decision = limiter.admit(ctx, class).instrument(span.clone()).await;
        span.record("stagedoor.limits.backend", decision.backend.as_str());
        span.record("stagedoor.limits.outcome", if decision.admitted { "admitted" } else { "refused" });
        if let Some(violation) = decision.violation() {
            self.violations.note(ctx, &violation.limit, violation.penalty);
        }
        Admission { headers: headers(&decision), refused: decision.refusal() }
    }
}

fn headers(decision: &Decision) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    let policy = decision.policy_header().map(HeaderValue::from_str);
    let limit = decision.limit_header().map(HeaderValue::try_from);
    for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
        if let Some(Ok(value)) = value {
            headers.insert(name, value);
        }
    }
    if let Some(wait) = decision.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(ceil_seconds(wait)));
    }
    headers
}
