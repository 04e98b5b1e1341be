//! What is counted of tool calls: of all of them how they ended and how long they took; which tool it was, only where
//! the person that a call acts for lets that be counted.

use std::time::Duration;

use stagedoor_bootstrap::Metrics;
use stagedoor_bootstrap::metrics::CallOutcome;
use stagedoor_domain::{TenantContext, ToolName};
use stagedoor_tools::Desk;

/// Counts a call; one that was turned away took no time.
pub(crate) async fn count(
    metrics: &Metrics,
    desk: &Desk,
    ctx: &TenantContext,
    tool: ToolName,
    (outcome, duration): (CallOutcome, Option<Duration>),
) {
    metrics.calls.count(outcome);
    if let Some(duration) = duration {
        metrics.call_duration.record(outcome, duration);
    }
    if desk.counts_usage(ctx).await {
        metrics.tool_calls.count(tool, outcome);
        if let Some(duration) = duration {
            metrics.tool_call_duration.record(tool, duration);
        }
    }
}
