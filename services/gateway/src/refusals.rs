//! Records that a call was turned away before dispatch: over its quota, or for a tool that is not there.

use std::time::Duration;

use stagedoor_audit::{
    AuditAction, AuditClass, AuditClient, AuditError, AuditLog, AuditOpening, AuditOutcome,
};
use stagedoor_domain::error::Chain;
use stagedoor_domain::{PublicError, TenantContext};

/// Records a refusal. Nothing was done, so even a write's record may wait for its batch.
pub async fn record(
    audit: &AuditLog,
    ctx: &TenantContext,
    action: AuditAction,
    client: AuditClient,
    error: &PublicError,
) {
    let opening = AuditOpening { class: AuditClass::Deferred, ..AuditOpening::new(action, client) };
    match audit.open(ctx, opening).await {
        Ok(entry) => {
            let outcome = AuditOutcome {
                error: Some(error.code),
                response_code: error.code.http_status(),
                duration: Duration::ZERO,
                cached: false,
            };
            entry.close(outcome).await;
        }
        // Counted, and said once a day where the log filled up.
        Err(AuditError::LogFull { .. }) => {}
        Err(error) => tracing::error!(error = %Chain(&error), "a refusal was not recorded"),
    }
}
