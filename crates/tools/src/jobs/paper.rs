//! What is kept of a job in its document, whatever its kind: the kind's own work, how it failed, and when it last came
//! on.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stagedoor_domain::{ErrorCode, PublicError};

use crate::desk::internal;

/// The document of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Paper<T> {
    /// How often workers had taken the job when it last came on.
    pub(crate) claims: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Failure>,
    /// What its kind knows of it.
    pub(crate) work: T,
}

/// An error as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl<T: Serialize + DeserializeOwned> Paper<T> {
    /// The document of a job that is made now.
    pub(crate) fn new(work: T) -> Self {
        Self { claims: 0, failure: None, work }
    }

    /// Reads a document.
    pub(crate) fn read(document: &[u8]) -> Result<Self, PublicError> {
        serde_json::from_slice(document).map_err(|error| internal(&error))
    }

    /// Writes it.
    pub(crate) fn write(&self) -> Result<Vec<u8>, PublicError> {
        serde_json::to_vec(self).map_err(|error| internal(&error))
    }
}

/// Why the job behind a document failed, whatever its kind is.
pub(crate) fn failure_in(document: &[u8]) -> Result<Option<PublicError>, PublicError> {
    let paper = Paper::<Value>::read(document)?;
    Ok(paper.failure.as_ref().map(Failure::error))
}

/// How often workers had taken the job behind a document when it last came on, whatever its kind is; `None` if that is
/// not understood.
pub(super) fn claims_in(document: &[u8]) -> Option<u64> {
    Paper::<Value>::read(document).ok().map(|paper| paper.claims)
}

impl Failure {
    /// The error as it was.
    pub(crate) fn error(&self) -> PublicError {
        let known = ErrorCode::ALL.iter().find(|code| code.as_str() == self.code);
        // A code of another release: what it says is still true.
        let code = known.copied().unwrap_or(ErrorCode::Internal);
        let details = self.details.clone().map(Box::new);
        PublicError { hint: self.hint.clone(), details, ..PublicError::new(code, &*self.message) }
    }
}

impl From<&PublicError> for Failure {
    fn from(error: &PublicError) -> Self {
        Self {
            code: error.code.as_str().to_owned(),
            message: error.message.clone(),
            hint: error.hint.clone(),
            details: error.details.as_deref().cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_told_again_as_it_was() {
        let error = PublicError::new(ErrorCode::Conflict, "It was changed.")
            .hint("Look at it.")
            .details(json!({ "left": 3 }));
        let paper = Paper { failure: Some(Failure::from(&error)), ..Paper::new(json!({ "a": 1 })) };
        assert_eq!(failure_in(&paper.write().unwrap()).unwrap(), Some(error));
        assert_eq!(failure_in(&Paper::new(0_u8).write().unwrap()).unwrap(), None);
    }

    #[test]
    fn a_code_of_another_release_is_a_fault_of_ours() {
        let later =
            Failure { code: "later".to_owned(), message: "New.".to_owned(), hint: None, details: None };
        assert_eq!(later.error(), PublicError::new(ErrorCode::Internal, "New."));
    }
}
