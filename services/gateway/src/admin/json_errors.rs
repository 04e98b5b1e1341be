//! What gRPC says of a failure, as problem+json.

use http::{HeaderValue, StatusCode};
use serde_json::json;
use stagedoor_domain::{ErrorCode, PublicError};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::status::{HINT, code_of};
use crate::problem::Problem;

/// How to come in (RFC 6750 §3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"stagedoor-admin\"");

/// The problem of a status.
pub(super) fn problem(status: &Status) -> Problem {
    let details = status.get_error_details();
    let info = details.error_info();
    let code = info.and_then(|info| code_of(&info.reason)).unwrap_or_else(|| of_transport(status.code()));
    let mut error = PublicError::new(code, status.message());
    if let Some(hint) = info.and_then(|info| info.metadata.get(HINT)) {
        error = error.hint(hint);
    }
    if let Some(wait) = details.retry_info().and_then(|retry| retry.retry_delay) {
        error = error.retry_after(wait);
    }
    if let Some(request) = details.bad_request() {
        let fields = request.field_violations.iter();
        let fields: Vec<_> =
            fields.map(|wrong| json!({ "field": wrong.field, "description": wrong.description })).collect();
        error = error.details(json!({ "fields": fields }));
    }
    if let Some(resource) = details.resource_info() {
        error = error.details(json!({ "kind": resource.resource_type, "name": resource.resource_name }));
    }
    let of_code = info.and_then(|_| StatusCode::from_u16(stagedoor_admin::http_status(code)).ok());
    let problem = Problem::new(error).with_status(of_code.unwrap_or_else(|| http_status(status.code())));
    match code {
        ErrorCode::Unauthenticated => problem.challenging(CHALLENGE),
        _ => problem,
    }
}

/// The code of what gRPC itself refused.
fn of_transport(code: Code) -> ErrorCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorCode::InvalidRequest,
        Code::Unimplemented => ErrorCode::NotFound,
        Code::Cancelled | Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        Code::ResourceExhausted => ErrorCode::Overloaded,
        _ => ErrorCode::Internal,
    }
}

/// The status of HTTP that says the same, of what gRPC itself refused (google.aip.dev/193).
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound | Code::Unimplemented => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled | Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::super::status;
    use super::*;

    const DOCUMENT: &str = include_str!("../../../../docs/errors.md");

    /// The rows of the table that has a gRPC status in its first column: status, status of HTTP, codes.
    fn documented() -> Vec<(String, u16, Vec<ErrorCode>)> {
        let (_, section) = DOCUMENT.split_once("## The admin API").unwrap();
        let rows = section.lines().filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (grpc, http, codes) = (cells.next()?, cells.next()?.parse().ok()?, cells.next()?);
            let is_status = grpc.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            let named = codes.split('`').skip(1).step_by(2);
            let codes =
                named.filter_map(|name| ErrorCode::ALL.iter().copied().find(|code| code.as_str() == name));
            is_status.then(|| (grpc.to_owned(), http, codes.collect()))
        });
        rows.collect()
    }

    #[test]
    fn statuses_are_those_that_the_document_says() {
        let rows = documented();
        assert!(rows.len() > 10, "{rows:?}");
        for (grpc, http, codes) in rows {
            assert!(!codes.is_empty(), "{grpc} {http}");
            for code in codes {
                let status = status::of_public(PublicError::new(code, "It failed."));
                let name = format!("{:?}", status.code()).to_ascii_uppercase();
                assert_eq!(name, grpc.replace('_', ""), "{code}");
                assert_eq!(problem(&status).into_response().status().as_u16(), http, "{code}");
            }
        }
    }
}
