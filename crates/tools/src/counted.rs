//! What a call is counted as: the bracket around it, which counts it however it ends, and whose it may be counted as.

use std::time::Duration;

use stagedoor_audit::AuditResource;
use stagedoor_cache::Level;
use stagedoor_domain::{EntityKind, ErrorCode, TenantContext, ToolName};
use stagedoor_usage::{CacheUse, CallRecord, Content, Denial, End};

use crate::desk::Desk;
use crate::dispatch::Outcome;
use crate::origin::Origin;

/// A call under way: one that is dropped before its end, because its caller left, is counted as failed, and as nobody's,
/// since it can no longer be asked what the person allows.
pub(crate) struct Counted<'a> {
    desk: &'a Desk,
    ctx: &'a TenantContext,
    origin: &'a Origin,
    tool: ToolName,
    started: Duration,
    about: Content,
    ended: bool,
}

impl<'a> Counted<'a> {
    /// A call that begins, about `resource` as far as its arguments say.
    pub(crate) fn begin(
        (desk, ctx, origin): (&'a Desk, &'a TenantContext, &'a Origin),
        (tool, resource): (ToolName, Option<&AuditResource>),
        started: Duration,
    ) -> Self {
        let kind = resource.and_then(|resource| resource.kind.parse::<EntityKind>().ok());
        Self { desk, ctx, origin, tool, started, about: Content::of(kind), ended: false }
    }

    /// Counts how it ended.
    pub(crate) async fn end(mut self, outcome: &Outcome, duration: Duration) {
        let named = self.desk.counts_usage(self.ctx).await;
        let cache = match outcome {
            Outcome::Answered { level, .. } => cache_use(*level),
            _ => None,
        };
        self.ended = true;
        self.record(named, End::of(outcome.error(), duration), cache);
    }

    fn record(&self, named: bool, end: End, cache: Option<CacheUse>) {
        let (content, search_words) = self.origin.searched().unwrap_or((self.about, 0));
        let provider_calls = self.origin.provider_calls();
        let record = CallRecord { tool: self.tool, content, end, cache, provider_calls, search_words };
        self.desk.usage().record(self.ctx, named, &record);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let duration = self.desk.clock.elapsed().saturating_sub(self.started);
            self.record(false, End::Failed(duration), None);
        }
    }
}

impl Desk {
    /// Counts a call that was turned away before it began; one that was for another reason than a refusal is an error
    /// that took no time.
    pub async fn count_refused(&self, ctx: &TenantContext, tool: ToolName, error: ErrorCode) {
        let end = Denial::of(error).map_or(End::Failed(Duration::ZERO), End::Denied);
        self.count(ctx, tool, end, 0).await;
    }

    /// Counts what was sent beside a call, or by a job, to music services.
    pub(crate) async fn count_beside(&self, ctx: &TenantContext, tool: ToolName, origin: &Origin) {
        if origin.provider_calls() > 0 {
            self.count(ctx, tool, End::Beside, origin.provider_calls()).await;
        }
    }

    async fn count(&self, ctx: &TenantContext, tool: ToolName, end: End, provider_calls: u64) {
        let named = self.counts_usage(ctx).await;
        let record =
            CallRecord { tool, content: Content::None, end, cache: None, provider_calls, search_words: 0 };
        self.usage().record(ctx, named, &record);
    }
}

/// What the cache did for an answer; fetched past it, nothing.
fn cache_use(level: Level) -> Option<CacheUse> {
    match level {
        Level::L1 | Level::L2 | Level::Coalesced | Level::Stale => Some(CacheUse::Hit),
        Level::Fetched => Some(CacheUse::Miss),
        Level::Bypassed => None,
    }
}
