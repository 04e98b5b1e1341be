//! Errors of the admin API as gRPC says them: a status with the details of `google.rpc` (google.aip.dev/193).

use std::collections::HashMap;

use stagedoor_admin::AdminError;
use stagedoor_domain::{ErrorCode, PublicError};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// Whose reasons they are.
pub(super) const DOMAIN: &str = "stagedoor";
/// The member of `ErrorInfo.metadata` that says what to do instead.
pub(super) const HINT: &str = "hint";

/// The status of `error`.
pub(super) fn of(error: &AdminError) -> Status {
    let AdminError { public, violations, resource } = error;
    let mut details = ErrorDetails::new();
    let hint = public.hint.iter().map(|hint| (HINT.to_owned(), hint.clone()));
    details.set_error_info(reason(public.code), DOMAIN, hint.collect::<HashMap<_, _>>());
    if !violations.is_empty() {
        let of_field =
            |wrong: &stagedoor_admin::Violation| FieldViolation::new(&wrong.field, &wrong.description);
        details.set_bad_request(violations.iter().map(of_field).collect::<Vec<_>>());
    }
    if let Some((kind, name)) = resource.as_deref() {
        details.set_resource_info(*kind, name, "", "");
    }
    if let Some(wait) = public.retry_after {
        details.set_retry_info(Some(wait));
    }
    Status::with_error_details(code(public.code), &public.message, details)
}

/// The status of an error that no call of the API had: it was turned away before.
pub(super) fn of_public(error: PublicError) -> Status {
    of(&error.into())
}

/// A code as `ErrorInfo` wants it: `INVALID_ARGUMENTS`.
fn reason(code: ErrorCode) -> String {
    code.as_str().to_ascii_uppercase()
}

/// The code that an `ErrorInfo` names.
pub(super) fn code_of(reason: &str) -> Option<ErrorCode> {
    let text = reason.to_ascii_lowercase();
    ErrorCode::ALL.iter().copied().find(|code| code.as_str() == text)
}

fn code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidArguments | ErrorCode::InvalidCursor | ErrorCode::InvalidRequest => {
            Code::InvalidArgument
        }
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        ErrorCode::PermissionDenied => Code::PermissionDenied,
        ErrorCode::ObjectUnknown | ErrorCode::NotFound => Code::NotFound,
        ErrorCode::AlreadyExists => Code::AlreadyExists,
        ErrorCode::EtagMismatch | ErrorCode::Conflict | ErrorCode::IdempotencyMismatch => Code::Aborted,
        ErrorCode::NotInState => Code::FailedPrecondition,
        ErrorCode::RateLimited | ErrorCode::TooManyAttempts => Code::ResourceExhausted,
        ErrorCode::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorCode::StoreUnavailable
        | ErrorCode::KeyUnavailable
        | ErrorCode::AuditUnavailable
        | ErrorCode::Overloaded => Code::Unavailable,
        // What else cannot be done now, and may be in a moment.
        code if code.http_status() == 503 => Code::Unavailable,
        _ => Code::Internal,
    }
}
