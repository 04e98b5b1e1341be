//! Why a call of the admin API was not done, as far as an object's condition and the next attempt depend on it.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::ConnectionError;

/// The longest part of an answer that is passed on.
const LONGEST: usize = 400;

/// A call that was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AdminFailure {
    /// The gRPC code.
    pub code: Code,
    /// The stable code of docs/errors.md, such as `already_exists`; empty if the API did not answer.
    pub reason: String,
    /// What was wrong, with fields. No secret.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// When the API asked to be left alone until.
    pub retry_after: Option<Duration>,
}

impl AdminFailure {
    /// The API could not be asked.
    pub(super) fn connection(error: &ConnectionError) -> Self {
        let code = if error.is_of_the_key() { Code::Unauthenticated } else { Code::Unavailable };
        Self { code, reason: String::new(), message: causes(error), hint: String::new(), retry_after: None }
    }

    /// Whether there is no such object.
    pub fn is_missing(&self) -> bool {
        self.code == Code::NotFound
    }

    /// Whether there is one of that name already.
    pub fn exists(&self) -> bool {
        self.code == Code::AlreadyExists
    }

    /// Whether someone else changed it meanwhile: looking again is all there is to do.
    pub fn is_conflict(&self) -> bool {
        self.code == Code::Aborted
    }

    /// Whether things are not as the call needs them to be.
    pub fn is_of_state(&self) -> bool {
        self.code == Code::FailedPrecondition
    }

    /// Whether the API is away, too slow or asks to wait: nothing is wrong with the object.
    pub fn is_outage(&self) -> bool {
        matches!(
            self.code,
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Internal
                | Code::Unknown
                | Code::Cancelled
        )
    }

    /// Whether it is the operator that is not let in.
    pub fn is_refusal(&self) -> bool {
        matches!(self.code, Code::Unauthenticated | Code::PermissionDenied)
    }

    /// The word for it in a condition.
    pub fn word(&self) -> &'static str {
        match self.code {
            Code::Unauthenticated => "AdminKeyRefused",
            Code::PermissionDenied => "AdminKeyNotPermitted",
            Code::ResourceExhausted => "AdminApiLimited",
            Code::InvalidArgument => "Invalid",
            Code::NotFound => "NotFound",
            Code::AlreadyExists => "AlreadyExists",
            Code::Aborted => "Conflict",
            Code::FailedPrecondition => "NotInState",
            _ => "AdminApiUnavailable",
        }
    }
}

impl From<&Status> for AdminFailure {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let fields = details.bad_request().into_iter().flat_map(|wrong| &wrong.field_violations);
        let fields: Vec<_> = fields.map(|wrong| format!("{}: {}", wrong.field, wrong.description)).collect();
        let message = match (fields.is_empty(), std::error::Error::source(status)) {
            (false, _) => fields.join(" "),
            (true, Some(source)) => format!("{}: {}", status.message(), causes(source)),
            (true, None) => status.message().to_owned(),
        };
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.to_ascii_lowercase()).unwrap_or_default(),
            message: message.chars().take(LONGEST).collect(),
            hint: info.and_then(|info| info.metadata.get("hint").cloned()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl fmt::Display for AdminFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "the admin API did not answer ({:?}): {}", self.code, self.message)?;
        } else {
            write!(f, "the admin API answered {}: {}", self.reason, self.message)?;
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, " {}", self.hint) }
    }
}

/// An error with what caused it: transports hide the reason a few causes down.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    #[test]
    fn an_answer_is_told_with_its_code_fields_and_hint() {
        let mut details = ErrorDetails::new();
        let hint = HashMap::from([("hint".to_owned(), "Wait.".to_owned())]);
        details.set_error_info("RATE_LIMITED", "stagedoor", hint);
        details.set_retry_info(Some(Duration::from_secs(7)));
        let status = Status::with_error_details(Code::ResourceExhausted, "Too many.", details);
        let failure = AdminFailure::from(&status);
        assert_eq!(failure.to_string(), "the admin API answered rate_limited: Too many. Wait.");
        assert_eq!((failure.retry_after, failure.word()), (Some(Duration::from_secs(7)), "AdminApiLimited"));

        let mut details = ErrorDetails::new();
        details.set_bad_request(vec![FieldViolation::new("plan", "It is empty.")]);
        details.set_error_info("INVALID_ARGUMENTS", "stagedoor", HashMap::new());
        let failure = AdminFailure::from(&Status::with_error_details(Code::InvalidArgument, "x", details));
        assert_eq!(failure.to_string(), "the admin API answered invalid_arguments: plan: It is empty.");
        assert!(!failure.is_outage());

        let away = AdminFailure::from(&Status::unavailable("tcp connect error"));
        assert_eq!(away.to_string(), "the admin API did not answer (Unavailable): tcp connect error");
        assert!(away.is_outage());
    }
}
