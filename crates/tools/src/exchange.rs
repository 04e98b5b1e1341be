//! One exchange of a refresh token by whoever holds the claim: recorded before it is asked for, asked again while an
//! answer may have got lost, stored before it is used, however long the database is away.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use stagedoor_audit::AuditAction;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_providers::{ProviderError, TokenGrant, TransportError};
use stagedoor_storage::StoreError;
use stagedoor_storage::provider_sessions::{self, OpenedSession, RefreshedTokens, SaveOutcome};
use tokio::time::Instant;

use crate::accounts::relink_needed;
use crate::counts::RefreshOutcome;
use crate::desk::report;
use crate::flights::Lead;
use crate::records::store_failure;
use crate::refresh::{Errand, LEASE, Refresher, ends};
use crate::trail::of_account;

/// How long an exchange whose answer got lost is asked for again with the old refresh token: half the lease, because
/// the last try takes its time too. Providers accept it for a grace period.
const ASK_AGAIN_FOR: Duration = LEASE.checked_div(2).expect("two is not zero");
/// How often, and how long apart, it is looked whether a holder who let its lease run out has stored after all.
const LOOK_AGAIN: (usize, Duration) = (10, Duration::from_millis(500));
/// How often storing is tried, a second apart at most: about as long as the new access token lives.
const STORE_ATTEMPTS: u32 = 3_600;

/// How an exchange ended.
type Exchanged = Result<Option<Arc<OpenedSession>>, PublicError>;

impl Refresher {
    /// Exchanges the refresh token under a claim; `None` if another refresh was stored first.
    pub(super) async fn exchange(
        &self,
        errand: &Errand,
        session: &OpenedSession,
        claim: (i64, bool),
        lead: &Lead<Arc<OpenedSession>>,
    ) -> Exchanged {
        let Some(refresh_token) = &session.refresh_token else {
            return Err(self.give_up(errand, session).await);
        };
        let resource = of_account(errand.account.id);
        let opened = self.trail.open(&errand.ctx, AuditAction::TokenRefresh, &errand.client, resource).await;
        let mut record = match opened {
            Ok(record) => record,
            Err(error) => {
                self.sessions.counters.refresh(RefreshOutcome::Unrecorded);
                self.release(errand, session, claim.0).await;
                return Err(error);
            }
        };
        record.set_session(session.id);
        let (outcome, exchanged) = self.recorded(errand, session, refresh_token, claim, lead).await;
        self.sessions.counters.refresh(outcome);
        record.close(exchanged.as_ref().err().map(|error| error.code)).await;
        exchanged
    }

    async fn recorded(
        &self,
        errand: &Errand,
        session: &OpenedSession,
        refresh_token: &SecretString,
        (claim, took_over): (i64, bool),
        lead: &Lead<Arc<OpenedSession>>,
    ) -> (RefreshOutcome, Exchanged) {
        let asked_at = self.clock.now();
        match self.ask(errand, refresh_token, lead).await {
            Ok(grant) => {
                let tokens = RefreshedTokens {
                    expires_at: ends(asked_at, &grant),
                    access_token: grant.access_token,
                    refresh_token: grant.refresh_token,
                    scopes: (!grant.scopes.is_empty()).then_some(grant.scopes),
                };
                self.store(errand, session, tokens, lead).await
            }
            Err(error @ ProviderError::InvalidGrant { .. }) => {
                if self.was_stored_after_all(errand, session, took_over).await {
                    return (RefreshOutcome::Superseded, Ok(None));
                }
                report(&error);
                (RefreshOutcome::Refused, Err(self.give_up(errand, session).await))
            }
            Err(error) => {
                self.release(errand, session, claim).await;
                (RefreshOutcome::Failed, Err(report(&error)))
            }
        }
    }

    /// Asks for new tokens, and again with the same refresh token for as long as the answer may have got lost.
    async fn ask(
        &self,
        errand: &Errand,
        refresh_token: &SecretString,
        lead: &Lead<Arc<OpenedSession>>,
    ) -> Result<TokenGrant, ProviderError> {
        let until = Instant::now() + ASK_AGAIN_FOR;
        let mut pause = Duration::from_millis(250);
        loop {
            let provider = self.providers.get(errand.account.provider);
            match provider.refresh(&errand.ctx, &errand.app, refresh_token).await {
                Err(error) if may_have_happened(&error) && Instant::now() + pause < until => {
                    tracing::warn!(error = %Chain(&error), "the answer to a token refresh got lost; asking again");
                    lead.held(error.public());
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(4));
                }
                outcome => return outcome,
            }
        }
    }

    /// Stores what came back, however long the database is away; callers are told meanwhile.
    async fn store(
        &self,
        errand: &Errand,
        session: &OpenedSession,
        tokens: RefreshedTokens,
        lead: &Lead<Arc<OpenedSession>>,
    ) -> (RefreshOutcome, Exchanged) {
        let mut pause = Duration::from_millis(50);
        for _ in 0..STORE_ATTEMPTS {
            match provider_sessions::save_refreshed(&self.vault, &errand.ctx, session, &tokens).await {
                Ok(SaveOutcome::Saved { revision }) => {
                    let refreshed = Arc::new(renewed(session, tokens, revision));
                    return (RefreshOutcome::Refreshed, Ok(Some(refreshed)));
                }
                Ok(SaveOutcome::Superseded) => return (RefreshOutcome::Superseded, Ok(None)),
                Err(error) if error.is_transient() || matches!(error, StoreError::KeyUnavailable { .. }) => {
                    tracing::warn!(error = %Chain(&error), "refreshed tokens wait for the database");
                    lead.held(error.public());
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(error) => return (RefreshOutcome::Lost, Err(store_failure(&error))),
            }
        }
        tracing::error!(account = %session.account, "refreshed tokens could not be stored and are lost");
        (RefreshOutcome::Lost, Err(PublicError::internal()))
    }

    /// Whether another refresh of the grant was stored since it was read. A holder who let its lease run out may be
    /// about to: its exchange may be why the old refresh token is refused.
    async fn was_stored_after_all(&self, errand: &Errand, session: &OpenedSession, took_over: bool) -> bool {
        let (times, pause) = if took_over { LOOK_AGAIN } else { (1, Duration::ZERO) };
        for time in 0..times {
            if time > 0 {
                tokio::time::sleep(pause).await;
            }
            let now = self.opener.load(&errand.ctx, &errand.client, &errand.account).await;
            if now.is_ok_and(|now| now.revision != session.revision) {
                return true;
            }
        }
        false
    }

    /// The provider no longer accepts the grant as it was loaded: the person must link again.
    pub(crate) async fn give_up(&self, errand: &Errand, session: &OpenedSession) -> PublicError {
        let (ctx, account) = (&errand.ctx, &errand.account);
        let marked =
            provider_sessions::mark_relink_needed_at(&self.vault, ctx, account.id, session.revision).await;
        self.sessions.forget(ctx, account.id);
        self.records.forget_accounts(ctx, account.user).await;
        match marked {
            Ok(true) => relink_needed(account.provider),
            // Linked again or refreshed by someone else meanwhile.
            Ok(false) => PublicError::new(
                ErrorCode::ProviderUnavailable,
                format!("The access to the {} account was renewed a moment ago.", account.provider.title()),
            )
            .hint("Try again.")
            .retry_after(Duration::from_secs(1)),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "an account could not be marked for linking again");
                relink_needed(account.provider)
            }
        }
    }

    /// Gives the claim back: this process will not store anything more under it.
    async fn release(&self, errand: &Errand, session: &OpenedSession, claim: i64) {
        let released = provider_sessions::release_refresh(&self.vault, &errand.ctx, session, claim).await;
        if let Err(error) = released {
            tracing::warn!(error = %Chain(&error), "a claim was not given back; its lease ends by itself");
        }
    }
}

/// Whether the provider may have ended the old refresh token although it failed.
fn may_have_happened(error: &ProviderError) -> bool {
    match error {
        ProviderError::Unavailable { cause, .. } => !matches!(cause, TransportError::Connect(_)),
        ProviderError::DeadlineExceeded { .. }
        | ProviderError::InvalidAnswer { .. }
        | ProviderError::BodyTooLarge { .. } => true,
        _ => false,
    }
}

fn renewed(session: &OpenedSession, tokens: RefreshedTokens, revision: i64) -> OpenedSession {
    OpenedSession {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token.or_else(|| session.refresh_token.clone()),
        expires_at: tokens.expires_at,
        scopes: tokens.scopes.unwrap_or_else(|| session.scopes.clone()),
        revision,
        rotated: false,
        ..session.clone()
    }
}
