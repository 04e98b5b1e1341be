//! What one call brings along besides its tenant and principal, and what is learned on its way: where it comes from,
//! what it is for, what it turned out to be about, what its answer should warn of.

use std::sync::{Mutex, OnceLock, PoisonError};

use stagedoor_audit::{AuditClient, AuditResource};
use stagedoor_cache::Mode;
use stagedoor_providers::Urgency;

/// What something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Purpose {
    /// Somebody waits for the answer.
    #[default]
    Call,
    /// An answer that was given is fetched again, beside the call that got it.
    Refetch,
    /// The page after one that was given is fetched before it is asked for.
    Ahead,
}

/// Where a call comes from, and what it collects on its way.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    client: AuditClient,
    purpose: Purpose,
    page: OnceLock<Box<str>>,
    warnings: Mutex<Vec<String>>,
    resource: Mutex<Option<AuditResource>>,
}

impl Purpose {
    /// How the cache is asked.
    pub(crate) const fn mode(self) -> Mode {
        match self {
            Self::Call => Mode::Reuse,
            Self::Ahead => Mode::Ahead,
            Self::Refetch => Mode::Refetch,
        }
    }

    /// How a music service is asked.
    pub(crate) const fn urgency(self) -> Urgency {
        match self {
            Self::Call => Urgency::Call,
            Self::Refetch | Self::Ahead => Urgency::Background,
        }
    }
}

impl Origin {
    pub(crate) fn new(client: AuditClient, purpose: Purpose) -> Self {
        Self { client, purpose, ..Self::default() }
    }

    /// Where the call comes from.
    pub(crate) fn client(&self) -> &AuditClient {
        &self.client
    }

    /// What it is for.
    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Tells that the call came with a cursor, for a further page.
    pub(crate) fn pages_on(&self, cursor: &str) {
        self.page.get_or_init(|| cursor.into());
    }

    /// The cursor that it came with.
    pub(crate) fn page(&self) -> Option<&str> {
        self.page.get().map(AsRef::as_ref)
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
