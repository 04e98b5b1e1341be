//! `usage_status`: what the caller is, what it may do, and what is left of each quota.

use schemars::JsonSchema;
use serde::Serialize;
use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::{LimitClass, TenantContext};
use stagedoor_limits::Bucket;

use crate::accounts::NoArguments;
use crate::desk::{Desk, Produced};

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
}

/// One quota.
#[derive(Debug, Serialize, JsonSchema)]
struct LimitOutput {
    /// `api` counts every call; the others count their own kind besides, `auth` links begun and accounts unlinked.
    class: String,
    /// Calls per window.
    capacity: u32,
    window_seconds: u64,
    /// Calls left now.
    remaining: u64,
    /// Seconds until all are back if nothing more is called; 0 if none is missing.
    full_in_seconds: u64,
}

/// The classes that tool calls count on.
const SHOWN: [LimitClass; 4] = [LimitClass::Api, LimitClass::Search, LimitClass::Playlist, LimitClass::Auth];

pub(crate) async fn status(desk: &Desk, ctx: &TenantContext, _arguments: NoArguments) -> Produced {
    let principal = ctx.principal();
    let mut limits: Vec<LimitOutput> = Vec::new();
    for class in SHOWN {
        let buckets = desk.limiter.look(ctx, class).await;
        limits.extend(buckets.iter().filter(|bucket| bucket.class == class).map(shown));
    }
    desk.fresh(&UsageOutput {
        tenant: ctx.tenant().slug.to_string(),
        principal: principal.label(),
        scopes: principal.scopes.iter().map(|scope| scope.to_string()).collect(),
        toolsets: principal.toolsets.iter().map(|toolset| toolset.to_string()).collect(),
        read_only: principal.read_only,
        expires_at: principal.expires_at.map(|at| at.to_rfc3339()),
        limits,
    })
}

fn shown(bucket: &Bucket) -> LimitOutput {
    LimitOutput {
        class: bucket.class.to_string(),
        capacity: bucket.quota.capacity,
        window_seconds: bucket.quota.window.as_secs(),
        remaining: bucket.remaining,
        full_in_seconds: if bucket.reset_after.is_zero() { 0 } else { ceil_seconds(bucket.reset_after) },
    }
}
