//! What one call brings along besides its tenant and principal, and what is learned on its way: where it comes from,
//! what it turned out to be about, what its answer should warn of.

use std::sync::{Mutex, PoisonError};

use stagedoor_audit::{AuditClient, AuditResource};

/// Where a call comes from, and what it collects on its way.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    client: AuditClient,
    warnings: Mutex<Vec<String>>,
    resource: Mutex<Option<AuditResource>>,
}

impl Origin {
    pub(crate) fn new(client: AuditClient) -> Self {
        Self { client, ..Self::default() }
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

    /// Tells what the call is about, where its arguments do not.
    pub(crate) fn about(&self, resource: AuditResource) {
        *self.resource.lock().unwrap_or_else(PoisonError::into_inner) = Some(resource);
    }

    /// What it turned out to be about.
    pub(crate) fn take_resource(&self) -> Option<AuditResource> {
        self.resource.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What was collected so far.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
