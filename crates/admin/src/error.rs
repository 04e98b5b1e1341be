//! Why a call of the admin API was not done: a stable code, a sentence, what would be right, and the fields that are wrong.

use stagedoor_audit::AuditError;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_storage::StoreError;

/// A field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field as proto names it, such as `settings.limits`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub description: String,
}

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{public}")]
pub struct AdminError {
    /// What the caller is told.
    pub public: PublicError,
    /// The fields that are wrong, if any are.
    pub violations: Vec<Violation>,
    /// The kind and name of what is missing or in the way.
    pub resource: Option<Box<(&'static str, String)>>,
}

impl AdminError {
    /// An error with a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        PublicError::new(code, message).hint(hint).into()
    }

    /// A field is wrong.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::fields(vec![Violation { field: field.into(), description: description.into() }])
    }

    /// Fields are wrong.
    pub fn fields(violations: Vec<Violation>) -> Self {
        let told: Vec<String> =
            violations.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.description)).collect();
        let public = PublicError::new(ErrorCode::InvalidArguments, told.join(" "));
        Self { public, violations, resource: None }
    }

    /// There is no such thing, or none that the caller may know of.
    pub fn unknown(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        let mut error = Self::from(PublicError::new(
            ErrorCode::ObjectUnknown,
            format!("There is no {kind} {name:?} here that you may know of."),
        ));
        error.resource = Some(Box::new((kind, name)));
        error
    }

    /// Something of that name is there already.
    pub fn exists(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        let mut error = Self::new(
            ErrorCode::AlreadyExists,
            format!("There is a {kind} {name:?} already."),
            "Take another name, or change the one that is there.",
        );
        error.resource = Some(Box::new((kind, name)));
        error
    }

    /// Things are not as the request needs them to be.
    pub fn not_in_state(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotInState, message, hint)
    }

    /// A fault of ours, whose cause goes to the log here.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), "a call of the admin API failed inside");
        PublicError::internal().into()
    }
}

/// The status of HTTP with which the API answers (google.aip.dev/193), which is that of the code unless the code is one of
/// tools' results first.
pub fn http_status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::InvalidArguments | ErrorCode::InvalidCursor | ErrorCode::InvalidRequest => 400,
        ErrorCode::PermissionDenied => 403,
        ErrorCode::ObjectUnknown => 404,
        ErrorCode::AlreadyExists
        | ErrorCode::Conflict
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotInState => 409,
        // A precondition of the caller's (RFC 9110 §15.5.13), be it said by If-Match or in the body.
        ErrorCode::EtagMismatch => 412,
        ErrorCode::RateLimited | ErrorCode::TooManyAttempts => 429,
        ErrorCode::StoreUnavailable
        | ErrorCode::KeyUnavailable
        | ErrorCode::AuditUnavailable
        | ErrorCode::Overloaded => 503,
        ErrorCode::DeadlineExceeded => 504,
        code if matches!(code.http_status(), 401 | 404 | 503) => code.http_status(),
        _ => 500,
    }
}

impl From<PublicError> for AdminError {
    fn from(public: PublicError) -> Self {
        Self { public, violations: Vec::new(), resource: None }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::AlreadyExists(what) => Self::exists("object", *what),
            StoreError::Missing(what) => Self::unknown("object", *what),
            _ => {
                let public = error.public();
                if public.code == ErrorCode::Internal { Self::internal(&error) } else { public.into() }
            }
        }
    }
}

impl From<AuditError> for AdminError {
    fn from(error: AuditError) -> Self {
        tracing::error!(error = %Chain(&error), "a call of the admin API cannot be recorded");
        error.public().into()
    }
}
