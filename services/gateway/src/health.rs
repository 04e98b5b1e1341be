//! The ops port: probes and metrics, rendered from what the process already knows.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use stagedoor_bootstrap::metrics::CONTENT_TYPE as CONTENT_TYPE_OF_METRICS;

use crate::state::AppState;

/// The process runs. Restarting it would not mend a database, so nothing else counts here.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether traffic should come here, and why not.
pub async fn ready(State(state): State<Arc<AppState>>) -> Response {
    let report = state.health.report();
    (status(report.ready), Json(report)).into_response()
}

/// Whether the start is over.
pub async fn started(State(state): State<Arc<AppState>>) -> Response {
    let report = state.health.report();
    (status(state.health.has_started()), Json(report)).into_response()
}

/// Everything that is counted, as `OpenMetrics` text.
pub async fn metrics(State(state): State<Arc<AppState>>) -> Response {
    ([(CONTENT_TYPE, CONTENT_TYPE_OF_METRICS)], state.metrics.render()).into_response()
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
