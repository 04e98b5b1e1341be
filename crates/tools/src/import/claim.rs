//! The claim on a file's tokens, held while its import runs: two runs that exchange one refresh token would end each
//! other's grant.

use std::convert::Infallible;
use std::time::Duration;

use stagedoor_domain::TenantContext;
use stagedoor_domain::error::Chain;
use stagedoor_providers::ProviderApp;
use stagedoor_storage::StoreError;
use stagedoor_storage::session_imports::{
    self, Claiming, ImportClaim, ImportOutcome as Recorded, SessionImport,
};

use super::outcome::Failure;
use super::{ImportRequest, Imported, Importer};

/// How long a claim outlives a run that was killed.
const LEASE: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(8);

impl Importer {
    /// Imports under a claim, so that no other run asks the provider about the same tokens meanwhile.
    pub(super) async fn claimed(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        app: &ProviderApp,
        digest: [u8; 32],
    ) -> Result<Imported, Failure> {
        let (user, now) = (request.user, self.clock.now());
        let claim = async |tx: &mut _| session_imports::claim(tx, digest, user, now, LEASE).await;
        let claim = match self.vault.store().with_tenant(ctx, claim).await? {
            Claiming::Won(claim) => claim,
            Claiming::Busy => return Ok(Imported::running()),
            Claiming::Done(before) => {
                let before = self.again(ctx, request, before).await?;
                return Ok(before.unwrap_or_else(Imported::running));
            }
        };
        let ended = tokio::select! {
            ended = Box::pin(self.recorded(ctx, request, app, &claim)) => ended,
            never = self.hold(ctx, &claim) => match never {},
        };
        let release = async |tx: &mut _| session_imports::release(tx, &claim).await;
        if let Err(error) = self.vault.store().with_tenant(ctx, release).await {
            tracing::warn!(error = %Chain(&error), "a claim was not given back; its lease ends by itself");
        }
        ended
    }

    /// Renews the claim, however often that fails: who has tokens in hand must not stop.
    async fn hold(&self, ctx: &TenantContext, claim: &ImportClaim) -> Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let renew = async |tx: &mut _| session_imports::renew(tx, claim, LEASE).await;
            match self.vault.store().with_tenant(ctx, renew).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("the claim on the file's tokens ran out; another import may run"),
                Err(error) => tracing::warn!(error = %Chain(&error), "the claim was not renewed"),
            }
        }
    }

    /// Records what the import came to; [`StoreError::AlreadyExists`] if the claim was lost.
    pub(super) async fn record(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        claim: &ImportClaim,
        outcome: Recorded,
    ) -> Result<(), StoreError> {
        let (user, imported_at) = (request.user, self.clock.now());
        let import = SessionImport { source_digest: claim.source_digest, user, outcome, imported_at };
        let record = async |tx: &mut _| session_imports::record(tx, &import, Some(claim)).await;
        if self.vault.store().with_tenant(ctx, record).await? {
            Ok(())
        } else {
            Err(StoreError::AlreadyExists("an import of these tokens"))
        }
    }

    /// The same where the outcome stands whether it is recorded or not.
    pub(super) async fn record_if_held(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        claim: &ImportClaim,
        outcome: Recorded,
    ) {
        if let Err(error) = self.record(ctx, request, claim, outcome).await {
            tracing::warn!(error = %Chain(&error), "an import was not recorded; another run begins anew");
        }
    }

    /// What a run that took the claim over made of the same tokens.
    pub(super) async fn after_another_run(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        digest: &[u8; 32],
    ) -> Result<Imported, Failure> {
        Ok(self.before(ctx, request, digest).await?.unwrap_or_else(Imported::running))
    }
}
