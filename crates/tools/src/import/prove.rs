//! Proof that tokens work and whose they are: the access token is shown to the provider's profile call; if it has
//! ended or is refused, the refresh token is exchanged first.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use stagedoor_domain::TenantContext;
use stagedoor_domain::error::Chain;
use stagedoor_legacy_sessions::Session;
use stagedoor_providers::{
    Access, Deadline, ForbiddenReason, Profile, ProviderApp, ProviderError, TokenGrant, Urgency,
};
use stagedoor_storage::provider_sessions::RefreshedTokens;

use super::outcome::Failure;
use super::{ImportRequest, Importer, Reason, is_usable};
use crate::lost_answers::LostAnswers;
use crate::refresh::ends;

const PROFILE_DEADLINE: Duration = Duration::from_secs(20);
/// A token that ends sooner is not worth showing.
const MARGIN: TimeDelta = TimeDelta::seconds(60);
/// How long an access token is taken to live where the file does not tell and nothing can renew it.
const ASSUMED_LIFE: TimeDelta = TimeDelta::hours(1);
/// How long a refresh whose answer got lost is asked for again with the old token, which providers accept for a while.
const ASK_AGAIN_FOR: Duration = Duration::from_secs(20);
/// How long apart a passing failure is asked about again.
const PAUSE: Duration = Duration::from_secs(1);

/// Tokens that the provider accepts, and whose they are.
pub(super) struct Proven {
    pub(super) tokens: RefreshedTokens,
    pub(super) profile: Profile,
    /// Whether they are newer than the file.
    pub(super) refreshed: bool,
    /// Whether the refresh token is newer than the file, so that the file's may work no more.
    pub(super) rotated: bool,
}

/// Why there is no proof.
pub(super) enum Unproven {
    /// The provider does not accept the tokens.
    Refused {
        reason: Reason,
        /// Whether the provider gave a new refresh token, or may have, and it is gone.
        lost: bool,
    },
    /// Nobody knows.
    Failed(Failure),
}

impl Importer {
    pub(super) async fn prove(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        app: &ProviderApp,
        took_over: bool,
    ) -> Result<Proven, Unproven> {
        let session = request.session;
        let mut reason = Reason::Refused(session.provider);
        if let Some(token) = worth_showing(session, self.clock.now()) {
            match self.profile(ctx, app, token).await {
                Ok(profile) => {
                    let client_is_open = app.client_secret.is_some() && session.refresh_token.is_some();
                    if !client_is_open || self.is_settled(ctx, request, &profile).await? {
                        return Ok(self.as_they_are(session, token, profile));
                    }
                    // An access token works whoever made it; only a refresh shows that it was the tenant's client.
                    reason = Reason::RefreshRefused(session.provider);
                }
                Err(ProviderError::Unauthorized { .. }) => {}
                Err(error) if lacks_scope(&error) => {
                    let reason = Reason::NoScope(session.provider);
                    return Err(Unproven::Refused { reason, lost: false });
                }
                Err(error) => return Err(Unproven::Failed(failure(&error, false))),
            }
        }
        let Some(refresh_token) = &session.refresh_token else {
            return Err(Unproven::Refused { reason, lost: false });
        };
        let asked_at = self.clock.now();
        let mut lost = LostAnswers::within(ASK_AGAIN_FOR.min(self.patience));
        let grant = match self.exchange(ctx, app, refresh_token, &mut lost).await {
            Ok(grant) => grant,
            Err(ProviderError::InvalidGrant { .. }) => {
                // An exchange that nobody heard of, of this run or of one that was killed, may be why.
                return Err(Unproven::Refused { reason, lost: lost.any() || took_over });
            }
            Err(error) => return Err(Unproven::Failed(failure(&error, lost.any()))),
        };
        let newer = grant.refresh_token.as_ref();
        let rotated = newer.is_some_and(|newer| newer.expose_secret() != refresh_token.expose_secret());
        match self.profile_in_time(ctx, app, &grant.access_token).await {
            Ok(profile) => Ok(Proven {
                tokens: RefreshedTokens {
                    expires_at: ends(asked_at, &grant),
                    scopes: scopes(&grant, session),
                    refresh_token: Some(grant.refresh_token.unwrap_or_else(|| refresh_token.clone())),
                    access_token: grant.access_token,
                },
                profile,
                refreshed: true,
                rotated,
            }),
            Err(ProviderError::Unauthorized { .. }) => {
                let reason = Reason::Refused(session.provider);
                Err(Unproven::Refused { reason, lost: rotated })
            }
            // Not stored under the id in the file: nothing but the profile proves that the tokens are of that account.
            Err(error) if lacks_scope(&error) => {
                Err(Unproven::Refused { reason: Reason::NoScope(session.provider), lost: rotated })
            }
            Err(error) => Err(Unproven::Failed(failure(&error, rotated))),
        }
    }

    /// Whether it is clear without a refresh what becomes of the tokens: they are of another account than the file
    /// says, or of one that is linked and works.
    async fn is_settled(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        profile: &Profile,
    ) -> Result<bool, Unproven> {
        let (session, id) = (request.session, &profile.account_id);
        if session.provider_user_id.as_ref().is_some_and(|told| told != id) {
            return Ok(true);
        }
        let found = self.account(ctx, request.user, session, id).await;
        let found = found.map_err(|error| Unproven::Failed(error.into()))?;
        Ok(found.is_some_and(|account| is_usable(&account, self.clock.now())))
    }

    fn as_they_are(&self, session: &Session, token: &SecretString, profile: Profile) -> Proven {
        let now = self.clock.now();
        // An end that nobody knows is now where a refresh can follow, so that it does at the first use.
        let guess = if session.refresh_token.is_some() { now } else { now + ASSUMED_LIFE };
        let tokens = RefreshedTokens {
            access_token: token.clone(),
            refresh_token: session.refresh_token.clone(),
            expires_at: session.expires_at.unwrap_or(guess),
            scopes: session.scopes.clone(),
        };
        Proven { tokens, profile, refreshed: false, rotated: false }
    }

    /// Whose account a token stands for.
    pub(super) async fn profile(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        token: &SecretString,
    ) -> Result<Profile, ProviderError> {
        let deadline = Some(Deadline::after(self.clock.as_ref(), PROFILE_DEADLINE));
        let access = Access { app, token, country: None, deadline, urgency: Urgency::Call, sent: None };
        self.providers.get(app.provider).profile(ctx, &access).await
    }

    /// The same for tokens that just came: they are in memory only, so it is asked for until it is answered.
    async fn profile_in_time(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        token: &SecretString,
    ) -> Result<Profile, ProviderError> {
        let until = self.clock.elapsed().saturating_add(self.patience);
        loop {
            match self.profile(ctx, app, token).await {
                Err(error) if is_passing(&error) && self.pause(&error, until).await => {}
                answered => return answered,
            }
        }
    }

    /// Exchanges the refresh token, and does so again while the answer may only have got lost.
    async fn exchange(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        refresh_token: &SecretString,
        lost: &mut LostAnswers,
    ) -> Result<TokenGrant, ProviderError> {
        loop {
            let error = match self.providers.get(app.provider).refresh(ctx, app, refresh_token).await {
                Ok(grant) => return Ok(grant),
                Err(error) => error,
            };
            match lost.again(&error) {
                Some(pause) if self.wait(&error, pause).await => {}
                _ => return Err(error),
            }
        }
    }

    /// Waits before another try; false if there is to be none.
    async fn pause(&self, error: &ProviderError, until: Duration) -> bool {
        let left = until.saturating_sub(self.clock.elapsed());
        let wait = error.retry_after().unwrap_or(PAUSE);
        wait < left && self.wait(error, wait).await
    }

    /// Waits; false if it was told to give up.
    async fn wait(&self, error: &ProviderError, pause: Duration) -> bool {
        if self.give_up.is_cancelled() {
            return false;
        }
        tracing::warn!(error = %Chain(error), "the provider is asked again");
        self.give_up.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }
}

/// The access token, unless it is known to have ended.
pub(super) fn worth_showing(session: &Session, now: DateTime<Utc>) -> Option<&SecretString> {
    let ended = session.expires_at.is_some_and(|at| at <= now + MARGIN);
    session.access_token.as_ref().filter(|_| !ended)
}

/// What the provider says the grant covers, else what the file says.
fn scopes(grant: &TokenGrant, session: &Session) -> Option<Vec<String>> {
    if grant.scopes.is_empty() { session.scopes.clone() } else { Some(grant.scopes.clone()) }
}

/// Whether the token may not be asked whose it is, which no waiting mends.
pub(super) fn lacks_scope(error: &ProviderError) -> bool {
    let reason = match error {
        ProviderError::Forbidden { reason, .. } => *reason,
        _ => return false,
    };
    matches!(reason, ForbiddenReason::MissingScope(_))
}

/// Whether the same question can be answered a moment later.
fn is_passing(error: &ProviderError) -> bool {
    matches!(
        error,
        ProviderError::Unavailable { .. }
            | ProviderError::DeadlineExceeded { .. }
            | ProviderError::InvalidAnswer { .. }
            | ProviderError::RateLimited { .. }
            | ProviderError::QuotaExceeded { .. }
    )
}

pub(super) fn failure(error: &ProviderError, lost: bool) -> Failure {
    tracing::warn!(error = %Chain(error), "the provider failed an import");
    Failure { public: error.public(), lost }
}
