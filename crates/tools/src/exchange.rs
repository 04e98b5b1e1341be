//! One exchange of a refresh token by whoever holds the claim: recorded before it is asked for, asked again while an
//! answer may have got lost, stored before it is used, however long the database is away.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use stagedoor_audit::AuditAction;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_providers::{Access, Deadline, ProviderError, TokenGrant, Urgency};
use stagedoor_storage::StoreError;
use stagedoor_storage::provider_sessions::{self, OpenedSession, RefreshedTokens, SaveOutcome};

use crate::accounts::{Account, relink_needed};
use crate::counts::RefreshOutcome;
use crate::desk::{PROVIDER_DEADLINE, report};
use crate::flights::Lead;
use crate::lost_answers::LostAnswers;
use crate::opening::unlinked_meanwhile;
use crate::records::store_failure;
use crate::refresh::{Errand, LEASE, Refresher, ends};
use crate::trail::of_account;

/// How long an exchange whose answer got lost is asked for again with the old refresh token: half the lease, because
/// the last try takes its time too. Providers accept it for a grace period.
const ASK_AGAIN_FOR: Duration = LEASE.checked_div(2).expect("two is not zero");
/// How often, and how long apart, it is looked whether someone else has stored a refresh of a grant that is refused:
/// for less time than those wait who wait for this.
const LOOK_AGAIN: (usize, Duration) = (6, Duration::from_millis(500));
/// How often storing is tried, a second apart at most: about as long as the new access token lives.
const STORE_ATTEMPTS: u32 = 3_600;
/// How often of those the database may refuse it for a reason that should not pass.
const STORE_REFUSALS: u32 = 8;
/// How often it is tried to end a grant whose account was unlinked.
const END_ATTEMPTS: u32 = 6;
/// How much clocks may differ where it is judged whether a consent is newer than an exchange.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// How an exchange ended.
type Exchanged = Result<Option<Arc<OpenedSession>>, PublicError>;

impl Refresher {
    /// Exchanges the refresh token under a claim; `None` if another refresh was stored first.
    pub(super) async fn exchange(
        &self,
        errand: &Errand,
        session: &OpenedSession,
        claim: i64,
        lead: &Lead<Arc<OpenedSession>>,
    ) -> Exchanged {
        let Some(refresh_token) = &session.refresh_token else {
            let told = self.refused(errand, session).await;
            self.release(errand, session, claim).await;
            return Err(told);
        };
        let resource = of_account(errand.account.id);
        let opened = self.trail.open(&errand.ctx, AuditAction::TokenRefresh, &errand.client, resource).await;
        let mut record = match opened {
            Ok(record) => record,
            Err(error) => {
                self.sessions.counters.refresh(RefreshOutcome::Unrecorded);
                self.release(errand, session, claim).await;
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
        claim: i64,
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
                self.store(errand, session, (tokens, asked_at), lead).await
            }
            Err(error @ ProviderError::InvalidGrant { .. }) => {
                if self.was_stored_after_all(errand, session).await {
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
        let mut lost = LostAnswers::within(ASK_AGAIN_FOR);
        loop {
            let provider = self.providers.get(errand.account.provider);
            let error = match provider.refresh(&errand.ctx, &errand.app, refresh_token).await {
                Ok(grant) => return Ok(grant),
                Err(error) => error,
            };
            let Some(pause) = lost.again(&error) else { return Err(error) };
            tracing::warn!(error = %Chain(&error), "the answer to a token refresh got lost; asking again");
            lead.held(error.public());
            tokio::time::sleep(pause).await;
        }
    }

    /// Stores what came back, however long the database is away; callers are told meanwhile.
    async fn store(
        &self,
        errand: &Errand,
        session: &OpenedSession,
        (tokens, asked_at): (RefreshedTokens, DateTime<Utc>),
        lead: &Lead<Arc<OpenedSession>>,
    ) -> (RefreshOutcome, Exchanged) {
        let mut pause = Duration::from_millis(50);
        let mut refusals = 0;
        for _ in 0..STORE_ATTEMPTS {
            match provider_sessions::save_refreshed(&self.vault, &errand.ctx, session, &tokens).await {
                Ok(SaveOutcome::Saved { revision }) => {
                    let refreshed = Arc::new(renewed(session, tokens, revision));
                    return (RefreshOutcome::Refreshed, Ok(Some(refreshed)));
                }
                Ok(SaveOutcome::Superseded) => {
                    let newest = tokens.refresh_token.as_ref().or(session.refresh_token.as_ref());
                    self.end_if_unlinked(errand, asked_at, newest.unwrap_or(&tokens.access_token), lead)
                        .await;
                    return (RefreshOutcome::Superseded, Ok(None));
                }
                Err(error) => {
                    if error.is_transient() || matches!(error, StoreError::KeyUnavailable { .. }) {
                        tracing::warn!(error = %Chain(&error), "refreshed tokens wait for the database");
                    } else {
                        refusals += 1;
                        tracing::error!(account = %session.account, error = %Chain(&error), "the database refuses refreshed tokens");
                        if refusals == STORE_REFUSALS {
                            tracing::error!(account = %session.account, "refreshed tokens are lost");
                            return (RefreshOutcome::Lost, Err(store_failure(&error)));
                        }
                    }
                    lead.held(error.public());
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
        tracing::error!(account = %session.account, "refreshed tokens could not be stored and are lost");
        (RefreshOutcome::Lost, Err(PublicError::internal()))
    }

    /// Whether another refresh of the grant was stored since it was read. Someone may be about to whose exchange is why
    /// the old refresh token is refused: a holder who let its lease run out, or a replica of the release before claims.
    async fn was_stored_after_all(&self, errand: &Errand, session: &OpenedSession) -> bool {
        let (times, pause) = LOOK_AGAIN;
        for _ in 0..times {
            let now = provider_sessions::revision(&self.vault, &errand.ctx, session.account).await;
            if now.is_ok_and(|now| now != Some(session.revision)) {
                return true;
            }
            tokio::time::sleep(pause).await;
        }
        false
    }

    /// Ends the grant at the provider if the account was unlinked while its tokens were exchanged: nobody else knows of
    /// these. Not if the person has consented again since, because a provider may end both.
    async fn end_if_unlinked(
        &self,
        errand: &Errand,
        asked_at: DateTime<Utc>,
        token: &SecretString,
        lead: &Lead<Arc<OpenedSession>>,
    ) {
        let (ctx, account) = (&errand.ctx, &errand.account);
        let mut pause = Duration::from_millis(250);
        for _ in 0..END_ATTEMPTS {
            if let Ok(accounts) = self.records.load_accounts(ctx, account.user).await {
                let again = |other: &Account| {
                    other.provider == account.provider
                        && other.authorized_at.is_some_and(|at| at > asked_at - CLOCKS_DIFFER)
                };
                if accounts.iter().any(|other| other.id == account.id) {
                    return;
                }
                if accounts.iter().any(again) {
                    tracing::warn!(account = %account.id, "the grant of an unlinked account is not ended: another was given since");
                    return;
                }
                lead.held(unlinked_meanwhile(account.provider));
                match self.providers.get(account.provider).revoke(ctx, &errand.app, token).await {
                    Ok(_) => return,
                    Err(error) => drop(report(&error)),
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(4));
        }
        tracing::error!(account = %account.id, "the account was unlinked during a refresh, and its grant could not be ended");
    }

    /// The provider refused a call with a session that cannot be renewed, or was renewed a moment ago. Only if it
    /// refuses to say whose session it is, too, which every grant allows, does the person have to link again.
    pub(crate) async fn refused(&self, errand: &Errand, session: &OpenedSession) -> PublicError {
        let access = Access {
            app: &errand.app,
            token: &session.access_token,
            country: None,
            deadline: Some(Deadline::after(self.clock.as_ref(), PROVIDER_DEADLINE)),
            urgency: Urgency::Call,
            sent: None,
        };
        let provider = errand.account.provider;
        match self.providers.get(provider).profile(&errand.ctx, &access).await {
            Err(error @ ProviderError::Unauthorized { .. }) => {
                report(&error);
                self.give_up(errand, session).await
            }
            Err(error @ (ProviderError::Unavailable { .. } | ProviderError::RateLimited { .. })) => {
                report(&error)
            }
            Ok(_) | Err(_) => PublicError::new(
                ErrorCode::ProviderUnavailable,
                format!("{} refused this call, but not the access that it was made with.", provider.title()),
            )
            .hint("Try again in a minute. Linking the account again does not help.")
            .retry_after(Duration::from_mins(1)),
        }
    }

    /// An error if whoever held the claim before was refused: the provider is not asked again.
    pub(super) async fn unless_refused(
        &self,
        errand: &Errand,
        session: &OpenedSession,
        claim: i64,
    ) -> Result<(), PublicError> {
        let (ctx, account) = (&errand.ctx, &errand.account);
        let marked = match self.records.load_accounts(ctx, account.user).await {
            Ok(now) => now.iter().any(|now| now.id == account.id && now.relink_needed),
            Err(_) => false,
        };
        if !marked {
            return Ok(());
        }
        self.release(errand, session, claim).await;
        self.sessions.forget(ctx, account.id);
        self.records.forget_accounts(ctx, account.user).await;
        Err(relink_needed(account.provider))
    }

    /// The provider no longer accepts the grant as it was loaded: the person must link again.
    async fn give_up(&self, errand: &Errand, session: &OpenedSession) -> PublicError {
        let (ctx, account) = (&errand.ctx, &errand.account);
        let marked =
            provider_sessions::mark_relink_needed_at(&self.vault, ctx, account.id, session.revision).await;
        self.sessions.forget(ctx, account.id);
        // Also where it is not known whether it was marked: what the grant fetched is withdrawn with it.
        if matches!(marked, Ok(false)) {
            self.records.forget_accounts(ctx, account.user).await;
        } else {
            self.records.account_changed(ctx, account.user, account.provider).await;
        }
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
