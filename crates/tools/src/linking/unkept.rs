//! A grant that a provider gave and that is not stored: it is ended there, as far as that cannot end what is stored.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;
use stagedoor_domain::TenantContext;
use stagedoor_domain::error::Chain;
use stagedoor_providers::Revocation;
use stagedoor_storage::link_attempts::{self, EXCHANGE_GRACE, LinkAttempt};

use super::Linking;
use super::revocation::asked_to_revoke;
use crate::desk::Desk;

/// How often the database is asked whether the grant may be in use, a second apart.
const ATTEMPTS: u32 = 60;

/// The grant of an attempt that did not come to an account.
pub(super) struct Unkept {
    pub(super) attempt: LinkAttempt,
    /// The provider's id of the account, if it got known.
    pub(super) account: Option<String>,
    /// The refresh token, or the access token where there is none.
    pub(super) token: SecretString,
}

impl Linking {
    /// Ends the grant at the provider, apart from the person's browser, who need not wait for it.
    pub(super) fn give_back(&self, ctx: &TenantContext, unkept: Unkept) {
        let (desk, ctx) = (Arc::clone(&self.desk), ctx.clone());
        let work = async move { end(&desk, &ctx, &unkept).await };
        (self.desk.spawn())("unkept grant", Box::pin(work));
    }
}

async fn end(desk: &Desk, ctx: &TenantContext, unkept: &Unkept) {
    let provider = unkept.attempt.provider;
    let outcome = match may_be_in_use(desk, ctx, unkept).await {
        Some(false) => match asked_to_revoke(desk, ctx, provider, &unkept.token).await {
            Some(Revocation::Revoked) => "revoked",
            Some(Revocation::Unsupported { .. }) => "unsupported",
            None => "failed",
        },
        Some(true) => "left alone, because a linked account may live on it",
        None => "left alone, because nobody knows whether a linked account lives on it",
    };
    tracing::info!(provider = %provider, outcome, "a grant was not kept");
}

/// `None` if the database does not tell.
async fn may_be_in_use(desk: &Desk, ctx: &TenantContext, unkept: &Unkept) -> Option<bool> {
    let Unkept { attempt, account, .. } = unkept;
    for _ in 0..ATTEMPTS {
        let taken_after = desk.clock.now() - EXCHANGE_GRACE - TimeDelta::seconds(1);
        let store = desk.vault().store();
        let asked = store.with_tenant(ctx, async |tx| {
            link_attempts::may_be_in_use(tx, attempt, account.as_deref(), taken_after).await
        });
        match asked.await {
            Ok(used) => return Some(used),
            Err(error) if error.is_transient() => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "it could not be told whether a grant is in use");
                return None;
            }
        }
    }
    None
}
