//! The provider's answer to a link: whether it belongs to the link and the browser, the exchange of its code, whose
//! account it is, and the account stored with its grant in one transaction. Anything else leaves nothing behind.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_crypto::digest::constant_time_eq;
use stagedoor_domain::error::Chain;
use stagedoor_domain::text::clean;
use stagedoor_domain::{ErrorCode, LinkAttemptId, Provider, PublicError, TenantContext};
use stagedoor_providers::{Access, Deadline, Profile, ProviderApp, ProviderError, TokenGrant, Urgency};
use stagedoor_storage::StoreError;
use stagedoor_storage::link_attempts::{self, LinkAttempt, LinkOutcome, LinkStage, Taken};
use stagedoor_storage::linked_accounts::{self, Link, LinkOptions, NewLinkedAccount};
use stagedoor_storage::provider_sessions::RefreshedTokens;
use tokio::sync::oneshot;

use super::asker::asker;
use super::failure::{Failure, replaced, underway, unknown};
use super::pages::attempt_of;
use super::secrets::hash;
use super::unkept::Unkept;
use super::{Completion, LinkedPage, Linking, ProviderAnswer, of_attempt, scopes};
use crate::desk::report;
use crate::records::store_failure;
use crate::refresh::ends;

/// How long asking whose account it is may take.
const PROFILE_DEADLINE: Duration = Duration::from_secs(10);
/// How often storing is tried, at most a second apart: the code worked once, so what it brought is kept as long as
/// the person may still be there.
const STORE_ATTEMPTS: u32 = 30;

/// Why nothing came of an answer.
enum Ended {
    /// The link has ended by it.
    Failed(Failure),
    /// Something of ours is out of reach; the sentence says what.
    Unavailable(PublicError),
    /// An answer had been taken before: it may be the same one, loaded again.
    Replayed,
}

impl Ended {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Failed(failure) => failure.code(),
            Self::Unavailable(error) => error.code,
            Self::Replayed => ErrorCode::LinkUsed,
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Linking {
    /// The provider answered: links the account, or says why not. Goes on when the browser leaves, because the code
    /// works once. An answer that comes again is told what became of it.
    pub async fn finish(
        self: &Arc<Self>,
        ctx: &TenantContext,
        client: AuditClient,
        answer: ProviderAnswer,
    ) -> Result<Completion, PublicError> {
        let (sender, receiver) = oneshot::channel();
        let (linking, ctx) = (Arc::clone(self), ctx.clone());
        let work = async move {
            let finished = linking.audited(&ctx, client, answer).await;
            // Nobody there: the browser left, which is what this task is for.
            let _ = sender.send(finished);
        };
        (self.desk.spawn())("link", Box::pin(work));
        receiver.await.unwrap_or_else(|_| Err(PublicError::internal()))
    }

    /// Nothing is taken, and so the code not used, unless it is on record.
    async fn audited(
        &self,
        ctx: &TenantContext,
        client: AuditClient,
        answer: ProviderAnswer,
    ) -> Result<Completion, PublicError> {
        let id = attempt_of(ctx)?;
        let record = self.desk.trail().open(ctx, AuditAction::LinkComplete, &client, of_attempt(id)).await?;
        let finished = self.complete(ctx, id, answer).await;
        record.close(finished.as_ref().err().map(|(ended, _)| ended.code())).await;
        match finished {
            Ok(page) => Ok(Completion::Linked(page)),
            Err((Ended::Failed(failure), provider)) => Err(failure.public(provider)),
            Err((Ended::Unavailable(error), _)) => Err(error),
            Err((Ended::Replayed, _)) => self.became(ctx, id).await,
        }
    }

    /// What became of a link whose answer comes again.
    async fn became(&self, ctx: &TenantContext, id: LinkAttemptId) -> Result<Completion, PublicError> {
        let attempt = self.find(ctx, id).await?.ok_or_else(unknown)?;
        match attempt.outcome(self.desk.clock.now()) {
            LinkOutcome::Linked(_) => Ok(Completion::LinkedBefore),
            LinkOutcome::Ended(failure) => Err(Failure::read(failure).public(attempt.provider)),
            LinkOutcome::Open if attempt.stage == LinkStage::Exchanging => Err(underway()),
            LinkOutcome::Open => Err(replaced()),
        }
    }

    async fn complete(
        &self,
        ctx: &TenantContext,
        id: LinkAttemptId,
        answer: ProviderAnswer,
    ) -> Result<LinkedPage, (Ended, Provider)> {
        let named = answer.provider;
        let taken = link_attempts::take(self.desk.vault(), ctx, id, &answer.state_hash).await;
        let (attempt, verifier, browser) =
            match taken.map_err(|error| (Ended::Unavailable(store_failure(&error)), named))? {
                Taken::Ready { attempt, verifier, browser_hash } => (attempt, verifier, browser_hash),
                Taken::Used => return Err((Ended::Replayed, named)),
                Taken::NotBegun | Taken::Gone => return Err((Ended::Unavailable(unknown()), named)),
            };
        let finished = Box::pin(self.exchange(ctx, &attempt, &verifier, &browser, answer)).await;
        if let Err(ended) = &finished {
            let failure = if let Ended::Failed(failure) = ended { *failure } else { Failure::NotKept };
            self.give_up(ctx, id, failure).await;
        }
        finished.map_err(|ended| (ended, attempt.provider))
    }

    async fn exchange(
        &self,
        ctx: &TenantContext,
        attempt: &LinkAttempt,
        verifier: &SecretString,
        browser_hash: &[u8; 32],
        answer: ProviderAnswer,
    ) -> Result<LinkedPage, Ended> {
        if answer.provider != attempt.provider {
            return Err(Failure::OtherProvider.into());
        }
        let same_browser =
            answer.browser_secret.is_some_and(|secret| constant_time_eq(&hash(&secret), browser_hash));
        if !same_browser {
            return Err(Failure::OtherBrowser.into());
        }
        let app = self.desk.app(ctx, attempt.provider).await.map_err(Ended::Unavailable)?;
        let music = self.desk.music(attempt.provider);
        if answer.issuer.is_some_and(|issuer| issuer != music.issuer(&app)) {
            return Err(Failure::Issuer.into());
        }
        if !self.may_still_ask(ctx, attempt).await? {
            return Err(Failure::Revoked.into());
        }
        if attempt.expires_at <= self.desk.clock.now() {
            return Err(Failure::Expired.into());
        }
        let code = answer.outcome.map_err(|error| refused(&error))?;
        let redirect_uri = self.redirect_address(ctx, attempt.provider).map_err(Ended::Unavailable)?;
        let asked_at = self.desk.clock.now();
        let granted = music.exchange_code(ctx, &app, &code, verifier, &redirect_uri).await;
        let grant = granted.map_err(|error| failed(&error))?;
        let token = grant.refresh_token.clone().unwrap_or_else(|| grant.access_token.clone());
        let profile = self.profile(ctx, &app, &grant).await;
        let account = profile.as_ref().ok().map(|profile| profile.account_id.clone());
        let kept = match profile {
            Ok(profile) => self.keep(ctx, attempt, asked_at, grant, profile).await,
            Err(failure) => Err(failure.into()),
        };
        if kept.is_err() {
            self.give_back(ctx, Unkept { attempt: attempt.clone(), account, token });
        }
        kept
    }

    /// Whether whoever asked may still have it.
    async fn may_still_ask(&self, ctx: &TenantContext, attempt: &LinkAttempt) -> Result<bool, Ended> {
        let store = self.desk.vault().store();
        let now = self.desk.clock.now();
        let load = store.with_tenant(ctx, async |tx| asker(tx, attempt, now).await);
        let asker = load.await.map_err(|error: StoreError| Ended::Unavailable(store_failure(&error)))?;
        Ok(asker.is_some())
    }

    async fn profile(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        grant: &TokenGrant,
    ) -> Result<Profile, Failure> {
        let access = Access {
            app,
            token: &grant.access_token,
            country: None,
            deadline: Some(Deadline::after(self.desk.clock.as_ref(), PROFILE_DEADLINE)),
            urgency: Urgency::Call,
            sent: None,
        };
        let profile = self.desk.music(app.provider).profile(ctx, &access).await;
        profile.map_err(|error| failed(&error))
    }

    /// Stores the account with its grant, unless it is another one than the link was for.
    async fn keep(
        &self,
        ctx: &TenantContext,
        attempt: &LinkAttempt,
        asked_at: chrono::DateTime<chrono::Utc>,
        grant: TokenGrant,
        profile: Profile,
    ) -> Result<LinkedPage, Ended> {
        // What nobody asked for was not agreed to here.
        let granted = grant.granted(&attempt.scopes).iter().filter(|scope| attempt.scopes.contains(scope));
        let scopes: Vec<String> = granted.cloned().collect();
        let name = profile.name.unwrap_or_else(|| profile.account_id.clone());
        let account = NewLinkedAccount {
            user: attempt.user,
            provider: attempt.provider,
            provider_user_id: profile.account_id,
            label: name.clone(),
            country_code: profile.country,
        };
        let tokens = RefreshedTokens {
            expires_at: ends(asked_at, &grant),
            access_token: grant.access_token,
            refresh_token: grant.refresh_token,
            scopes: Some(scopes.clone()),
        };
        let options = LinkOptions {
            attempt: Some(attempt.id),
            device: attempt.device,
            principal: attempt.principal.clone(),
            import: None,
            authorized_at: asked_at,
        };
        let stored = self.store(ctx, attempt, &account, (&tokens, &scopes), &options).await;
        // Also if it failed: the answer to a commit may have got lost.
        let changed = stored.as_ref().ok().map(|(linked, _)| linked.account);
        self.desk.account_changed(ctx, attempt.user, attempt.provider, changed).await;
        let (_, missing_scopes) = stored?;
        Ok(LinkedPage { provider: attempt.provider, account: name, missing_scopes })
    }

    async fn store(
        &self,
        ctx: &TenantContext,
        attempt: &LinkAttempt,
        account: &NewLinkedAccount,
        (tokens, scopes): (&RefreshedTokens, &[String]),
        options: &LinkOptions,
    ) -> Result<(Link, Vec<String>), Ended> {
        let mut wait = Duration::from_millis(50);
        let (mut last, mut missing) = (PublicError::internal(), Vec::new());
        for _ in 0..STORE_ATTEMPTS {
            let stored = match self.compare(ctx, attempt, account, scopes).await {
                Ok(None) => return Err(Failure::OtherAccount.into()),
                Ok(Some(found)) => {
                    missing = found;
                    linked_accounts::link(self.desk.vault(), ctx, account.clone(), tokens, options.clone())
                        .await
                }
                Err(error) => Err(error),
            };
            match stored {
                Ok(linked) => return Ok((linked, missing)),
                Err(StoreError::LinkEnded) => return self.stored_after_all(ctx, attempt.id).await,
                Err(error) if error.is_transient() => {
                    tracing::warn!(error = %Chain(&error), "a link waits for the database");
                    last = error.public();
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(1));
                }
                Err(error) => return Err(Ended::Unavailable(store_failure(&error))),
            }
        }
        tracing::error!("a grant could not be stored and is lost; the person has to link again");
        Err(Ended::Unavailable(last))
    }

    /// What the grant lacks of what was asked for or granted before, which is noted; `None` if the person did not sign
    /// in as the account that the link was for.
    async fn compare(
        &self,
        ctx: &TenantContext,
        attempt: &LinkAttempt,
        account: &NewLinkedAccount,
        granted: &[String],
    ) -> Result<Option<Vec<String>>, StoreError> {
        let store = self.desk.vault().store();
        let work = store.with_tenant(ctx, async |tx| {
            let known = linked_accounts::list(tx, account.user).await?;
            let known = known.into_iter().find(|known| {
                known.provider == account.provider && known.provider_user_id == account.provider_user_id
            });
            if attempt.account.is_some() && attempt.account != known.as_ref().map(|known| known.id) {
                return Ok(None);
            }
            let mut wanted = attempt.scopes.clone();
            let before = known.and_then(|known| known.session).map(|session| session.scopes);
            wanted.extend(scopes::missing(&before.unwrap_or_default(), &attempt.scopes));
            let missing = scopes::missing(&wanted, granted);
            link_attempts::note_missing(tx, attempt.id, &missing).await?;
            Ok(Some(missing))
        });
        work.await
    }

    /// The answer to a commit may have got lost: then the next try finds the link made.
    async fn stored_after_all(
        &self,
        ctx: &TenantContext,
        id: LinkAttemptId,
    ) -> Result<(Link, Vec<String>), Ended> {
        let Some(attempt) = self.find(ctx, id).await.map_err(Ended::Unavailable)? else {
            return Err(Failure::NotKept.into());
        };
        match attempt.outcome(self.desk.clock.now()) {
            LinkOutcome::Linked(account) => {
                Ok((Link { account, relinked: false }, attempt.missing_scopes.clone()))
            }
            LinkOutcome::Ended(failure) => Err(Failure::read(failure).into()),
            LinkOutcome::Open => Err(Failure::NotKept.into()),
        }
    }

    /// Ends the link, so that the agent hears of it. If that cannot be written, the link ends by its time.
    async fn give_up(&self, ctx: &TenantContext, id: LinkAttemptId, failure: Failure) {
        let now = self.desk.clock.now();
        let store = self.desk.vault().store();
        let fail = store.with_tenant(ctx, async |tx| match failure {
            Failure::Declined => link_attempts::decline(tx, id, failure.as_str(), now).await,
            _ => link_attempts::fail(tx, id, failure.as_str(), now).await,
        });
        if let Err(error) = fail.await {
            tracing::error!(error = %Chain(&error), "it could not be noted that a link had ended");
        }
    }
}

/// What an `error` in the provider's answer means (RFC 6749 §4.1.2.1).
fn refused(error: &str) -> Failure {
    let failure = match error {
        "access_denied" => Failure::Declined,
        "server_error" | "temporarily_unavailable" => Failure::ProviderAway,
        "invalid_request" | "unauthorized_client" | "unsupported_response_type" | "invalid_scope" => {
            Failure::Misconfigured
        }
        _ => Failure::Refused,
    };
    if failure != Failure::Declined {
        tracing::warn!(error = clean(error, 60), "a provider refused a link");
    }
    failure
}

/// What a failed exchange or profile means for the link.
fn failed(error: &ProviderError) -> Failure {
    report(error);
    match error {
        ProviderError::InvalidGrant { .. } | ProviderError::Unauthorized { .. } => Failure::Withdrawn,
        ProviderError::Misconfigured { .. } => Failure::Misconfigured,
        ProviderError::RateLimited { .. }
        | ProviderError::QuotaExceeded { .. }
        | ProviderError::Unavailable { .. }
        | ProviderError::InvalidAnswer { .. }
        | ProviderError::DeadlineExceeded { .. }
        | ProviderError::BodyTooLarge { .. } => Failure::ProviderAway,
        _ => Failure::Refused,
    }
}
