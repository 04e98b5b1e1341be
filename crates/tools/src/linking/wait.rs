//! Waiting until a link has ended: bounded, over as soon as the process is to end, and without a transaction held.

use std::pin::pin;
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{LinkAttemptId, PublicError, TenantContext};
use stagedoor_storage::StoreError;
use stagedoor_storage::link_attempts::{self, LinkAttempt, LinkOutcome};

use super::Linking;
use super::failure::unknown;
use crate::records::store_failure;

/// How soon the row is looked at again: at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(1);

impl Linking {
    /// The attempt as it is once it has ended, or after `wait`.
    pub(super) async fn settled(
        &self,
        ctx: &TenantContext,
        mut attempt: LinkAttempt,
        wait: Duration,
    ) -> Result<LinkAttempt, PublicError> {
        let mut over = pin!(self.options.stop.run_until_cancelled(tokio::time::sleep(wait)));
        let mut pause = FIRST_PAUSE;
        loop {
            match self.read(ctx, attempt.id).await {
                Ok(None) => return Err(unknown()),
                Ok(Some(found)) if found.outcome(self.desk.clock.now()) != LinkOutcome::Open => {
                    return Ok(found);
                }
                Ok(Some(found)) => attempt = found,
                // The person is still at it: a moment without the database is not the end of the wait.
                Err(error) if error.is_transient() => {
                    tracing::debug!(error = %Chain(&error), "a link could not be looked at");
                }
                Err(error) => return Err(store_failure(&error)),
            }
            tokio::select! {
                biased;
                _ = &mut over => return Ok(attempt),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
            }
        }
    }

    /// The attempt of that id.
    pub(super) async fn find(
        &self,
        ctx: &TenantContext,
        id: LinkAttemptId,
    ) -> Result<Option<LinkAttempt>, PublicError> {
        self.read(ctx, id).await.map_err(|error| store_failure(&error))
    }

    async fn read(&self, ctx: &TenantContext, id: LinkAttemptId) -> Result<Option<LinkAttempt>, StoreError> {
        let store = self.desk.vault().store();
        store.with_tenant(ctx, async |tx| link_attempts::find(tx, id).await).await
    }
}
