//! Audit records of what happens on the way of a call, besides the record of the call itself: refreshes, rotations,
//! new devices, handles in the wrong hands.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_audit::{
    AuditAction, AuditClient, AuditEntry, AuditLog, AuditOpening, AuditOutcome, AuditResource,
};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, ErrorCode, LinkedAccountId, PublicError, SessionId, TenantContext};

/// Writes such records.
pub(crate) struct Trail {
    audit: AuditLog,
    clock: Arc<dyn Clock>,
}

/// One that is open. Dropped, it closes as cancelled.
#[must_use = "a record that is dropped closes as cancelled"]
pub(crate) struct Record {
    entry: AuditEntry,
    clock: Arc<dyn Clock>,
    opened_at: Duration,
}

impl Trail {
    pub(crate) fn new(audit: AuditLog, clock: Arc<dyn Clock>) -> Self {
        Self { audit, clock }
    }

    /// Opens a record. Of an action of class A it is in the database now; without it, the action is not done.
    pub(crate) async fn open(
        &self,
        ctx: &TenantContext,
        action: AuditAction,
        client: &AuditClient,
        resource: AuditResource,
    ) -> Result<Record, PublicError> {
        let opened_at = self.clock.elapsed();
        let opening = AuditOpening { resource: Some(resource), ..AuditOpening::new(action, client.clone()) };
        match Box::pin(self.audit.open(ctx, opening)).await {
            Ok(entry) => Ok(Record { entry, clock: Arc::clone(&self.clock), opened_at }),
            Err(error) => {
                tracing::error!(
                    action = action.as_str(),
                    error = %Chain(&error),
                    "something could not be audited, so it was not done"
                );
                Err(error.public())
            }
        }
    }

    /// Records what was found or has happened already. A failure is logged, and undoes nothing.
    pub(crate) async fn note(
        &self,
        ctx: &TenantContext,
        action: AuditAction,
        client: &AuditClient,
        resource: AuditResource,
        error: Option<ErrorCode>,
    ) {
        if let Ok(record) = self.open(ctx, action, client, resource).await {
            record.close(error).await;
        }
    }
}

impl Record {
    /// Tells whose tokens it is about.
    pub(crate) fn set_session(&mut self, session: SessionId) {
        self.entry.set_session(session);
    }

    /// Closes it, with the code of what went wrong.
    pub(crate) async fn close(self, error: Option<ErrorCode>) {
        let duration = self.clock.elapsed().saturating_sub(self.opened_at);
        let response_code = error.map_or(200, ErrorCode::http_status);
        Box::pin(self.entry.close(AuditOutcome { error, response_code, duration, cached: false })).await;
    }
}

/// A linked account as records name it.
pub(crate) fn of_account(account: LinkedAccountId) -> AuditResource {
    AuditResource { kind: "account", id: account.to_string().into() }
}
