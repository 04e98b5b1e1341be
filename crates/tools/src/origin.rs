//! What one call brings along besides its tenant and principal, and what is learned on its way: where it comes from,
//! what it is for, what it turned out to be about, what its answer should warn of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use stagedoor_audit::{AuditClient, AuditResource};
use stagedoor_cache::Mode;
use stagedoor_domain::EntityKind;
use stagedoor_providers::{Sent, Urgency};
use stagedoor_usage::Content;

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
    /// The keeper looks by itself what was played.
    Poll,
    /// A step of a job. Nobody waits for the single step, but somebody may for the job: it takes its turn like a call.
    Job,
}

/// Where a call comes from, and what it collects on its way.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    client: AuditClient,
    purpose: Purpose,
    page: OnceLock<Box<str>>,
    expected: Option<Box<str>>,
    queued: AtomicBool,
    searched: OnceLock<(Content, u64)>,
    sent: OnceLock<Arc<Sent>>,
    warnings: Mutex<Vec<String>>,
    resource: Mutex<Option<AuditResource>>,
}

impl Purpose {
    /// How the cache is asked.
    pub(crate) const fn mode(self) -> Mode {
        match self {
            Self::Call | Self::Job | Self::Poll => Mode::Reuse,
            Self::Ahead => Mode::Ahead,
            Self::Refetch => Mode::Refetch,
        }
    }

    /// How a music service is asked.
    pub(crate) const fn urgency(self) -> Urgency {
        match self {
            Self::Call | Self::Job => Urgency::Call,
            Self::Refetch | Self::Ahead | Self::Poll => Urgency::Background,
        }
    }
}

impl Origin {
    pub(crate) fn new(client: AuditClient, purpose: Purpose) -> Self {
        Self { client, purpose, ..Self::default() }
    }

    /// The same for a call that is to see this version of what it asks for, or none at all.
    pub(crate) fn expecting(self, version: Option<Box<str>>) -> Self {
        Self { expected: version, ..self }
    }

    /// Whether what was found in this version is what the call is to see.
    pub(crate) fn expects(&self, version: Option<&str>) -> bool {
        self.expected.as_deref().is_none_or(|expected| version == Some(expected))
    }

    /// Tells that the call was refused for its place among the tenant's calls, not for what it asks.
    pub(crate) fn refused_in_queue(&self) {
        self.queued.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub(crate) fn was_refused_in_queue(&self) -> bool {
        self.queued.load(Ordering::Relaxed)
    }

    /// Tells what the call searches for: kinds of items, and a text of which only the number of words is kept.
    pub(crate) fn searches(&self, kinds: impl IntoIterator<Item = EntityKind>, query: &str) {
        self.searched.get_or_init(|| (Content::of(kinds), query.split_whitespace().count() as u64));
    }

    /// The kinds that it searches for, and the number of words.
    pub(crate) fn searched(&self) -> Option<(Content, u64)> {
        self.searched.get().copied()
    }

    /// Where the requests are counted that the call sends to music services.
    pub(crate) fn sent(&self) -> &Arc<Sent> {
        self.sent.get_or_init(Arc::default)
    }

    /// How many it has sent.
    pub(crate) fn provider_calls(&self) -> u64 {
        self.sent.get().map_or(0, |sent| sent.count())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_to_see_a_version_takes_no_other() {
        let any = Origin::default();
        assert!(any.expects(Some("1")) && any.expects(None));
        let second = Origin::default().expecting(Some("2".into()));
        assert!(second.expects(Some("2")) && !second.expects(Some("1")) && !second.expects(None));
    }
}
