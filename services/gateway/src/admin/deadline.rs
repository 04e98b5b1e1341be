//! How long a call may take: as `admin.request_deadline_ms` says, or as the caller's `grpc-timeout` does if that is less. Whose
//! call is given up is told so in the way of the call, a little before that caller stops waiting.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use stagedoor_domain::{ErrorCode, PublicError};
use tokio::time::timeout;

use super::{is_grpc, json_errors, status};

/// The header of gRPC that says how long its caller waits.
const GRPC_TIMEOUT: &str = "grpc-timeout";
/// The most that an answer gets for its way to a caller who waits no longer.
const WAY_BACK: Duration = Duration::from_millis(100);

/// Gives calls up that take longer than `most` or than their callers wait. Writes go on all the same, see `services`.
pub(super) async fn layer(State(most): State<Duration>, request: Request, next: Next) -> Response {
    let grpc = is_grpc(request.headers());
    let allowed = asked(request.headers()).map_or(most, |asked| in_time(asked).min(most));
    if let Ok(response) = timeout(allowed, next.run(request)).await {
        return response;
    }
    let late = PublicError::new(ErrorCode::DeadlineExceeded, "The call took longer than its deadline.");
    let status = status::of_public(
        late.hint("What it began may have been done all the same: look before you repeat it."),
    );
    if grpc { status.into_http::<Body>() } else { json_errors::problem(&status).into_response() }
}

/// A tenth less than the caller waits, or what the way back takes.
fn in_time(asked: Duration) -> Duration {
    asked.saturating_sub(WAY_BACK.min(asked / 10))
}

/// What the caller allows: one to eight digits and a unit (gRPC over HTTP/2, `Timeout`). What is none is passed over.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_time_is_read_in_every_unit_and_nothing_else_is() {
        let read = |text: &str| {
            asked(&HeaderMap::from_iter([(GRPC_TIMEOUT.parse().unwrap(), text.parse().unwrap())]))
        };
        assert_eq!(read("2H"), Some(Duration::from_hours(2)));
        assert_eq!(read("3M"), Some(Duration::from_mins(3)));
        assert_eq!(read("4S"), Some(Duration::from_secs(4)));
        assert_eq!(read("500m"), Some(Duration::from_millis(500)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "5", "S", "-1S", "1.5S", "123456789S", "5s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(asked(&HeaderMap::new()), None);
    }

    #[test]
    fn the_answer_leaves_before_its_caller_does() {
        assert_eq!(in_time(Duration::from_millis(200)), Duration::from_millis(180));
        assert_eq!(in_time(Duration::from_secs(10)), Duration::from_millis(9_900));
    }
}
