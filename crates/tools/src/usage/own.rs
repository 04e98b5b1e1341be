//! What the caller's own calls came to: within the last hour, day and 30 days, and by tool. Counted by minutes that are
//! over, under the key only if the person lets that be counted.

use chrono::{SecondsFormat, TimeDelta};
use serde::Serialize;
use stagedoor_domain::TenantContext;
use stagedoor_storage::usage::{self, Latency, Period};
use stagedoor_storage::{StoreError, TenantTransaction};

use crate::desk::Desk;

const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);
const MONTH: TimeDelta = TimeDelta::days(30);
/// Tools that are told apart.
const TOOLS: usize = 20;

/// What this key's calls came to.
#[derive(Debug, Default, Serialize)]
pub(super) struct OwnUsage {
    /// Whether they are counted as this key's. Those of a person are only with their consent to `analytics`, and while
    /// their preference `privacy.enable_analytics` is on.
    counted: bool,
    /// Calls before then are counted (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_hour: Option<Sums>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_day: Option<Sums>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_30_days: Option<Sums>,
    /// Of the last 30 days by tool, those with the most calls first; at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<OfTool>,
}

/// Counts of calls.
#[derive(Debug, Default, Serialize)]
struct Sums {
    calls: u64,
    errors: u64,
    /// Refused before they began; not among `calls`.
    denied: u64,
    cache_hits: u64,
    /// Requests to music services.
    provider_calls: u64,
    /// Half of the calls took at most so many milliseconds, within 1 %; 95 % and 99 % likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct OfTool {
    tool: String,
    #[serde(flatten)]
    sums: Sums,
}

/// Whether the caller's calls are counted as its own, with nothing else.
pub(super) fn unread(counted: bool) -> OwnUsage {
    OwnUsage { counted, ..OwnUsage::default() }
}

/// What the calls of the caller's key came to.
pub(super) async fn read(
    desk: &Desk,
    ctx: &TenantContext,
    transaction: &mut TenantTransaction,
) -> Result<OwnUsage, StoreError> {
    let until = Period::Minute.begin(desk.clock.now());
    let principal = ctx.principal().label();
    let spans = [HOUR, DAY, MONTH];
    let found = usage::of_principal(transaction, (&principal, ctx.user()), until, &spans).await?;
    let mut spans = found.spans.iter().map(Sums::of);
    let of_tool = |(tool, sums): (String, usage::Sums)| OfTool { sums: Sums::of(&sums), tool };
    Ok(OwnUsage {
        counted: true,
        until: Some(until.to_rfc3339_opts(SecondsFormat::Secs, true)),
        last_hour: spans.next(),
        last_day: spans.next(),
        last_30_days: spans.next(),
        tools: found.tools.into_iter().take(TOOLS).map(of_tool).collect(),
    })
}

impl Sums {
    fn of(sums: &usage::Sums) -> Self {
        let figures = sums.figures;
        let part = |which: fn(Latency) -> f64| sums.latency.map(which).map(rounded);
        Self {
            calls: figures.calls,
            errors: figures.errors,
            denied: figures.denied.total(),
            cache_hits: figures.cache_hits,
            provider_calls: figures.provider_calls,
            p50_ms: part(|latency| latency.p50),
            p95_ms: part(|latency| latency.p95),
            p99_ms: part(|latency| latency.p99),
        }
    }
}

/// To a microsecond: more would be noise.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1_000.0).round() / 1_000.0
}
