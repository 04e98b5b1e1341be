//! What a call is counted as: the bracket around it, which counts it however it ends, and whose it may be counted as.

use std::time::Duration;

use stagedoor_audit::AuditResource;
use stagedoor_cache::Level;
use stagedoor_domain::{EntityKind, ErrorCode, TenantContext, ToolName};
use stagedoor_usage::{CacheUse, CallRecord, Content, Denial, End};

use crate::desk::Desk;
use crate::dispatch::Outcome;
use crate::origin::Origin;

/// A call, counted when this goes, once and however it goes: as it ended, or as failed if its caller left before. Whose it
/// is is asked at the end; where the caller left before that was known, it is counted as nobody's.
pub(crate) struct Counted<'a> {
    desk: &'a Desk,
    ctx: &'a TenantContext,
    tool: ToolName,
    started: Duration,
    about: Content,
    /// What knows of its searches and requests, if it came so far as to have one.
    origin: Option<&'a Origin>,
    end: Option<End>,
    cache: Option<CacheUse>,
    named: bool,
}

impl<'a> Counted<'a> {
    /// A call that begins, about `resource` as far as its arguments say.
    pub(crate) fn begin(
        (desk, ctx, origin): (&'a Desk, &'a TenantContext, &'a Origin),
        (tool, resource): (ToolName, Option<&AuditResource>),
        started: Duration,
    ) -> Self {
        let kind = resource.and_then(|resource| resource.kind.parse::<EntityKind>().ok());
        let about = Content::of(kind);
        let (origin, end, cache) = (Some(origin), None, None);
        Self { desk, ctx, tool, started, about, origin, end, cache, named: false }
    }

    /// Counts how it ended.
    pub(crate) async fn end(mut self, outcome: &Outcome, duration: Duration) {
        self.end = Some(End::of(outcome.error(), duration));
        self.cache = match outcome {
            Outcome::Answered { level, .. } => cache_use(*level),
            _ => None,
        };
        self.named = self.desk.counts_usage(self.ctx).await;
    }

    /// What was over as soon as it was known of.
    fn ended(desk: &'a Desk, ctx: &'a TenantContext, tool: ToolName, end: End) -> Self {
        let (started, about, end) = (Duration::ZERO, Content::None, Some(end));
        Self { desk, ctx, tool, started, about, origin: None, end, cache: None, named: false }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let took = || self.desk.clock.elapsed().saturating_sub(self.started);
        let end = self.end.unwrap_or_else(|| End::Failed(took()));
        let searched = self.origin.and_then(Origin::searched);
        // Of what happened beside calls, and of jobs, only what was sent is counted.
        let (content, search_words) = match end {
            End::Beside => (self.about, 0),
            _ => searched.unwrap_or((self.about, 0)),
        };
        let provider_calls = self.origin.map_or(0, Origin::provider_calls);
        let record =
            CallRecord { tool: self.tool, content, end, cache: self.cache, provider_calls, search_words };
        self.desk.usage().record(self.ctx, self.named, &record);
    }
}

impl Desk {
    /// Counts a call that was turned away before it began; one that was for another reason than a refusal is an error
    /// that took no time.
    pub async fn count_refused(&self, ctx: &TenantContext, tool: ToolName, error: ErrorCode) {
        let end = Denial::of(error).map_or(End::Failed(Duration::ZERO), End::Denied);
        let mut counted = Counted::ended(self, ctx, tool, end);
        counted.named = self.counts_usage(ctx).await;
    }

    /// Counts what was sent beside a call, or by a job, to music services.
    pub(crate) async fn count_beside(&self, ctx: &TenantContext, tool: ToolName, origin: &Origin) {
        if origin.provider_calls() > 0 {
            let mut counted = Counted::ended(self, ctx, tool, End::Beside);
            counted.origin = Some(origin);
            counted.named = self.counts_usage(ctx).await;
        }
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
