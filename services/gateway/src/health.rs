//! The ops port: probes and metrics, rendered from what the process already knows.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use stagedoor_bootstrap::metrics::{CONTENT_TYPE as CONTENT_TYPE_OF_METRICS, PLAIN_CONTENT_TYPE};

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

/// Everything that is counted, as `OpenMetrics` text, or in the older form for who asks for that alone.
pub async fn metrics(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    if wants_plain(&headers) {
        return ([(CONTENT_TYPE, PLAIN_CONTENT_TYPE)], state.metrics.render_plain()).into_response();
    }
    ([(CONTENT_TYPE, CONTENT_TYPE_OF_METRICS)], state.metrics.render()).into_response()
}

/// Whether `Accept` has `text/plain` and not `OpenMetrics`; who says nothing, or takes anything, can read both.
fn wants_plain(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = accepted.flat_map(|value| value.split(','));
    let kinds =
        kinds.filter(|kind| !is_refused(kind)).filter_map(|kind| kind.split(';').next()).map(str::trim);
    let (mut plain, mut open) = (false, false);
    for kind in kinds {
        plain |= kind.eq_ignore_ascii_case("text/plain") || kind.eq_ignore_ascii_case("text/*");
        open |= kind.eq_ignore_ascii_case("application/openmetrics-text");
    }
    plain && !open
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Whether a kind has the weight 0 (RFC 9110, section 12.4.2).
fn is_refused(kind: &str) -> bool {
    let mut weights = kind.split(';').filter_map(|part| part.trim().strip_prefix("q="));
    weights.any(|weight| weight.parse() == Ok(0.0_f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_form_is_for_those_who_cannot_read_the_newer_one() {
        for (accept, plain) in [
            (
                "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                false,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", true),
            ("text/plain", true),
            ("application/openmetrics-text;version=1.0.0;q=0.0, text/plain", true),
            ("*/*", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_plain(&headers), plain, "{accept}");
        }
        assert!(!wants_plain(&HeaderMap::new()));
    }
}
