//! What one call brings along besides its tenant and principal: where it comes from, and what its answer should
//! warn of.

use std::sync::{Mutex, PoisonError};

use stagedoor_audit::AuditClient;

/// Where a call comes from, and the warnings that it collects on its way.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    client: AuditClient,
    warnings: Mutex<Vec<String>>,
}

impl Origin {
    pub(crate) fn new(client: AuditClient) -> Self {
        Self { client, warnings: Mutex::default() }
    }

    /// Where the call comes from.
    pub(crate) fn client(&self) -> &AuditClient {
        &self.client
    }

    /// Adds a sentence that the agent should read besides the answer; the same one is told once.
    pub(crate) fn warn(&self, warning: impl Into<String>) {
        let warning = warning.into();
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// What was collected so far.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
