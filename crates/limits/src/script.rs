//! Buckets in Redis: one script call over all buckets of a call. Keys are
//! `sd:{tenant id}:limit:class:principal:window`, the window in seconds; the braces are the cluster's hash tag.

use redis::Script;
use stagedoor_domain::TenantContext;
use stagedoor_redis_link::{RedisLink, Unavailable};

use crate::gcra::Arrival;
use crate::plan::Rate;

/// What was taken, and the buckets afterwards in the order of the rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Calls taken.
    pub(crate) calls: u64,
    /// Microseconds on the clock of whoever keeps the buckets.
    pub(crate) now: u64,
    /// Each bucket's arrival time.
    pub(crate) arrivals: Vec<Arrival>,
}

/// The script, with its digest computed once.
#[derive(Debug)]
pub(crate) struct BucketScript(Script);

impl BucketScript {
    pub(crate) fn new() -> Self {
        Self(Script::new(include_str!("buckets.lua")))
    }

    /// Takes `cost` calls and up to `extra` more from every bucket of `rates`, or nothing.
    pub(crate) async fn take(
        &self,
        link: &RedisLink,
        ctx: &TenantContext,
        rates: &[Rate],
        cost: u64,
        extra: u64,
    ) -> Result<Taken, Unavailable> {
        let mut call = self.0.prepare_invoke();
        call.arg(cost).arg(extra);
        let label = ctx.principal().label();
        for rate in rates {
            call.key(bucket_key(ctx, &label, rate));
            call.arg(rate.window_us).arg(rate.interval).arg(rate.denominator);
        }
        let answer: Vec<u64> =
            link.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await?;
        parse(&answer, rates).ok_or_else(|| Unavailable::Failed(malformed()))
    }
}

fn bucket_key(ctx: &TenantContext, label: &str, rate: &Rate) -> String {
    let (tenant, class) = (ctx.tenant_id(), rate.class);
    match rate.window_us % 1_000_000 {
        0 => format!("sd:{{{tenant}}}:limit:{class}:{label}:{}", rate.window_us / 1_000_000),
        _ => format!("sd:{{{tenant}}}:limit:{class}:{label}:{}us", rate.window_us),
    }
}

fn parse(answer: &[u64], rates: &[Rate]) -> Option<Taken> {
    let ([calls, now], arrivals) = answer.split_first_chunk::<2>()?;
    let (arrivals, []) = arrivals.as_chunks::<2>() else { return None };
    if arrivals.len() != rates.len() {
        return None;
    }
    let arrivals = arrivals
        .iter()
        .zip(rates)
        .map(|([whole, part], rate)| Arrival { whole: *whole, part: *part, denominator: rate.denominator })
        .collect();
    Some(Taken { calls: *calls, now: *now, arrivals })
}

fn malformed() -> redis::RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "the bucket script answered in another shape").into()
}
