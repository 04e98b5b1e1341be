//! `usage_status`: what the caller is, what it may do, what is left of each quota, what was refused, what its calls came
//! to, and what the cache did for its tenant.

mod own;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use stagedoor_cache::{CacheUsage, ClassCounts, Outcome};
use stagedoor_domain::error::{Chain, ceil_seconds};
use stagedoor_domain::{LimitClass, LimitScope, TenantContext};
use stagedoor_limits::Bucket;
use stagedoor_storage::StoreError;
use stagedoor_storage::limit_violations::{self, LimitViolation};

use crate::accounts::NoArguments;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::reuse::Produced;

use self::own::OwnUsage;

/// How far back refusals are told.
const REFUSALS_OF: TimeDelta = TimeDelta::hours(24);
/// How many are told at most.
const MOST_REFUSALS: u16 = 20;

/// The caller and its quotas.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageOutput {
    /// The tenant's name.
    tenant: String,
    /// Who is calling: the API key's public id.
    principal: String,
    scopes: Vec<String>,
    toolsets: Vec<String>,
    /// Whether tools that write are withheld.
    read_only: bool,
    /// When the key stops being valid (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    limits: Vec<LimitOutput>,
    /// Calls of this key that were refused within the last 24 hours, the newest first; at most 20 entries.
    refused: Vec<RefusalOutput>,
    // As below.
    #[schemars(with = "Map<String, Value>")]
    own: OwnUsage,
    // Its members say what they are; a schema of them would cost every agent that lists the tools.
    #[schemars(with = "Map<String, Value>")]
    cache: CacheOutput,
}

/// One quota.
#[derive(Debug, Serialize, JsonSchema)]
struct LimitOutput {
    /// As the `RateLimit` header names it.
    name: String,
    /// Whose calls it counts: those of this key (`principal`) or of the whole `tenant`.
    scope: &'static str,
    /// `api` counts every call; the others count their own kind besides, `auth` links begun.
    class: String,
    /// Calls per window.
    capacity: u32,
    window_seconds: u64,
    /// Calls left now.
    remaining: u64,
    /// Seconds until all are back if nothing more is called; 0 if none is missing.
    full_in_seconds: u64,
}

/// What was refused within one minute.
#[derive(Debug, Serialize, JsonSchema)]
struct RefusalOutput {
    limit: String,
    calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    penalty_seconds: Option<u64>,
    /// When the last of them was refused (RFC 3339).
    last_at: String,
}

/// What the cache did for the tenant.
#[derive(Debug, Serialize)]
struct CacheOutput {
    /// Counted from then on (RFC 3339).
    since: String,
    /// Whether the calls are those of all replicas; otherwise of the one that answers.
    all_replicas: bool,
    /// Calls to music services that were not needed.
    saved_calls: u64,
    /// The part of the calls that needed none, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    hit_ratio: Option<f64>,
    /// Calls by class of data and by how they were answered; what is 0 is left out. `hit_l1`: from the replica's memory,
    /// `hit_l2`: from Redis, `stale`: with what was due while it was fetched again, `negative`: that there is no such
    /// thing, as was known, `coalesced`: by the fetch of another call, `fetched`, `rescued`: with something old because
    /// the fetch failed, `refreshed`: fetched again beside a call, `bypassed`: fetched past the cache.
    calls: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// The same part by class of data.
    hit_ratios: BTreeMap<&'static str, f64>,
    /// Answers of the tenant in the memory of the replica that answers.
    entries: u64,
    bytes: u64,
    /// Answers that made room for others there.
    evictions: u64,
}

/// The classes that tool calls count on.
const SHOWN: [LimitClass; 4] = [LimitClass::Api, LimitClass::Search, LimitClass::Playlist, LimitClass::Auth];

pub(crate) async fn status(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    _arguments: NoArguments,
) -> Produced {
    let principal = ctx.principal();
    let look = desk.limiter.look(ctx).await;
    let (refused, own) = stored(desk, ctx, origin).await;
    desk.fresh(&UsageOutput {
        tenant: ctx.tenant().slug.to_string(),
        principal: principal.label(),
        scopes: principal.scopes.iter().map(|scope| scope.to_string()).collect(),
        toolsets: principal.toolsets.iter().map(|toolset| toolset.to_string()).collect(),
        read_only: principal.read_only,
        expires_at: principal.expires_at.map(|at| at.to_rfc3339()),
        limits: look.buckets.iter().filter(|bucket| SHOWN.contains(&bucket.class)).map(limit).collect(),
        refused: refused.iter().map(refusal).collect(),
        own,
        cache: cache(&desk.cache.usage(ctx).await),
    })
}

/// What was refused lately, and what calls came to. The rest of the answer does not depend on the database.
async fn stored(desk: &Desk, ctx: &TenantContext, origin: &Origin) -> (Vec<LimitViolation>, OwnUsage) {
    let (principal, since) = (ctx.principal().label(), desk.clock.now() - REFUSALS_OF);
    let counted = desk.counts_usage(ctx).await;
    let read = desk.vault().store().with_tenant(ctx, async |tx| {
        let refused = limit_violations::of_principal(tx, &principal, since, MOST_REFUSALS).await?;
        let own = if counted { own::read(desk, ctx, tx).await? } else { own::unread(false) };
        Ok::<_, StoreError>((refused, own))
    });
    match Box::pin(read).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "usage is told without what the database has of it");
            origin.warn(
                "What was refused and what calls came to could not be read: the gateway's database is out of reach.",
            );
            (Vec::new(), own::unread(counted))
        }
    }
}

fn limit(bucket: &Bucket) -> LimitOutput {
    LimitOutput {
        name: bucket.name(),
        scope: match bucket.scope {
            LimitScope::Principal => "principal",
            LimitScope::Tenant => "tenant",
        },
        class: bucket.class.to_string(),
        capacity: bucket.quota.capacity,
        window_seconds: bucket.quota.window.as_secs(),
        remaining: bucket.remaining,
        full_in_seconds: seconds(bucket.reset_after),
    }
}

fn refusal(violation: &LimitViolation) -> RefusalOutput {
    RefusalOutput {
        limit: violation.limit.clone(),
        calls: violation.attempted_calls,
        penalty_seconds: violation.penalty.map(|penalty| penalty.as_secs()),
        last_at: text(violation.last_at),
    }
}

fn cache(usage: &CacheUsage) -> CacheOutput {
    let total = usage.calls.total();
    let classes = || usage.calls.iter().map(|(class, counts)| (class.as_str(), counts));
    CacheOutput {
        since: text(usage.since),
        all_replicas: usage.replicas,
        saved_calls: total.saved(),
        hit_ratio: ratio(&total),
        calls: classes()
            .map(|(class, counts)| (class, calls(&counts)))
            .filter(|(_, calls)| !calls.is_empty())
            .collect(),
        hit_ratios: classes().filter_map(|(class, counts)| Some((class, ratio(&counts)?))).collect(),
        entries: usage.l1_entries,
        bytes: usage.l1_bytes,
        evictions: usage.l1_evictions,
    }
}

fn calls(counts: &ClassCounts) -> BTreeMap<&'static str, u64> {
    let counted = Outcome::ALL.iter().map(|outcome| (outcome.as_str(), counts.get(*outcome)));
    counted.filter(|(_, count)| *count > 0).collect()
}

/// To three digits: more would be noise.
fn ratio(counts: &ClassCounts) -> Option<f64> {
    counts.ratio().map(|ratio| (ratio * 1_000.0).round() / 1_000.0)
}

fn seconds(time: Duration) -> u64 {
    if time.is_zero() { 0 } else { ceil_seconds(time) }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
