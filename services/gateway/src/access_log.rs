//! One line and one set of metrics for each request, written where the answer leaves. What handlers learned
//! on the way is in the record that they put into the response's extensions.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use stagedoor_bootstrap::metrics::HttpOutcome;
use stagedoor_domain::{TenantContext, ToolName};

use crate::state::AppState;

/// What is learned about an authenticated request while it is served.
#[derive(Debug)]
pub struct RequestRecord {
    ctx: TenantContext,
    tool: OnceLock<ToolReport>,
    page: OnceLock<PageReport>,
    trace: OnceLock<String>,
}

/// How a link page ended. Its address holds a secret and is no part of this.
#[derive(Debug, Clone, Copy)]
struct PageReport {
    page: &'static str,
    outcome: &'static str,
}

/// How a tool call ended.
#[derive(Debug, Clone, Copy)]
pub struct ToolReport {
    /// Which tool.
    pub tool: ToolName,
    /// `ok` or a stable error code.
    pub outcome: &'static str,
    /// Where the answer came from.
    pub source: Option<&'static str>,
}

impl RequestRecord {
    /// The record of a request.
    pub fn new(ctx: TenantContext) -> Arc<Self> {
        let (tool, page, trace) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Arc::new(Self { ctx, tool, page, trace })
    }

    /// Notes how the request's tool call ended; a request has at most one.
    pub fn report(&self, report: ToolReport) {
        // The first report stands: a request that was refused is not also answered.
        let _ = self.tool.set(report);
    }

    /// Notes the id of the request's trace.
    pub fn report_trace(&self, id: String) {
        let _ = self.trace.set(id);
    }

    /// Notes which link page was asked for, and `ok` or the stable code of its failure.
    pub fn report_page(&self, page: &'static str, outcome: &'static str) {
        let _ = self.page.set(PageReport { page, outcome });
    }
}

/// Measures a request and writes its line, also if the client leaves before the answer.
pub async fn layer(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let started = state.clock.elapsed();
    let method = request.method().clone();
    let mut presence = Presence { state: &state, started, answered: false };
    let response = next.run(request).await;
    presence.answered = true;
    let duration = state.clock.elapsed().saturating_sub(started);
    state.metrics.http_requests.count(HttpOutcome::of_status(response.status().as_u16()));
    let record = response.extensions().get::<Arc<RequestRecord>>();
    // Looked up again, since the call may have been the one that decides it.
    let named = match record {
        Some(record) => state.dispatcher.desk().counts_usage(&record.ctx).await,
        None => false,
    };
    write(&method, response.status(), record.map(|record| (&**record, named)), duration);
    response
}

/// Notices a client that leaves: the future of its request is dropped, and this with it.
struct Presence<'a> {
    state: &'a AppState,
    started: Duration,
    answered: bool,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let duration = self.state.clock.elapsed().saturating_sub(self.started);
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.state.metrics.http_requests.count(HttpOutcome::Cancelled);
        tracing::info!(target: "stagedoor::request", duration_us, "the client left before the answer");
    }
}

/// Writes the line. Which tool it was stands in it only if that may be counted of the person; whose key it was, never:
/// the call id leads to the audit record.
fn write(
    method: &http::Method,
    status: http::StatusCode,
    record: Option<(&RequestRecord, bool)>,
    duration: Duration,
) {
    let status = status.as_u16();
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let Some((record, named)) = record else {
        tracing::info!(target: "stagedoor::request", %method, status, duration_us, "request");
        return;
    };
    let (report, page) = (record.tool.get(), record.page.get());
    tracing::info!(
        target: "stagedoor::request",
        %method,
        status,
        duration_us,
        call = %record.ctx.call(),
        tenant = record.ctx.tenant().slug.as_str(),
        tool = report.filter(|_| named).map(|report| report.tool.as_str()),
        page = page.map(|page| page.page),
        outcome = report.map(|report| report.outcome).or(page.map(|page| page.outcome)),
        source = report.filter(|_| named).and_then(|report| report.source),
        trace_id = record.trace.get(),
        "request"
    );
}
