//! What the desk does with a person's own accounts: choosing one, calling a service with its token, and telling the rest
//! of the house when it has changed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stagedoor_audit::{AuditAction, AuditClient, AuditResource};
use stagedoor_cache::DataScope;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, LinkedAccountId, Provider, PublicError, SessionId, TenantContext, UserId};
use stagedoor_providers::{Deadline, MusicProvider, ProviderError};
use stagedoor_storage::linked_accounts;
use stagedoor_storage::provider_sessions::OpenedSession;
use uuid::Uuid;

use crate::accounts::{self, Account, relink_needed};
use crate::desk::{CallAccess, Desk, PROVIDER_DEADLINE, acting_for, report, told};
use crate::devices::Devices;
use crate::foresight::{self, Outlook};
use crate::opening::unreadable;
use crate::origin::Origin;
use crate::records::store_failure;
use crate::refresh::Errand;
use crate::settling::{self, Settling};
use crate::trail::of_account;

impl Desk {
    /// The linked account that a call means, if it can be used. What is remembered is read again before it is the
    /// reason of a refusal.
    pub(crate) async fn account(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        provider: Option<Provider>,
        id: Option<&str>,
    ) -> Result<Account, PublicError> {
        let remembered = self.records.accounts(ctx, acting_for(ctx)?).await?;
        let account = match self.usable(&remembered, provider, id) {
            // On the heap: few calls are refused, and a database look-up weighs much.
            Err(_) => Box::pin(self.account_now(ctx, origin, provider, id)).await?,
            Ok(account) => account,
        };
        if let Some(warning) = foresight::warning(&account, self.clock.now()) {
            origin.warn(warning);
        }
        // A device that may be refused must not read cached answers either.
        if Devices::may_refuse(ctx) {
            Box::pin(self.devices.check(ctx, origin, &account)).await?;
        }
        Ok(account)
    }

    /// The same by what the database has now.
    async fn account_now(
        &self,
        ctx: &TenantContext,
        origin: &Origin,
        provider: Option<Provider>,
        id: Option<&str>,
    ) -> Result<Account, PublicError> {
        let accounts = self.records.reload_accounts(ctx, acting_for(ctx)?).await?;
        let found = self.usable(&accounts, provider, id);
        if let (Err(error), Some(id)) = (&found, id)
            && error.code == ErrorCode::AccountNotLinked
        {
            self.foreign_account(ctx, origin, id).await;
        }
        found
    }

    /// A call with a person's own token. A refused token is refreshed once; if the new one is refused too, it is told
    /// apart whether the person has to link again or the service is at fault.
    pub(crate) async fn personal<'a, T, F, Fut>(
        &'a self,
        ctx: &TenantContext,
        origin: &Origin,
        account: &Account,
        call: F,
    ) -> Result<T, PublicError>
    where
        F: Fn(&'a dyn MusicProvider, CallAccess) -> Fut,
        Fut: Future<Output = Result<T, ProviderError>>,
    {
        if !Devices::may_refuse(ctx) {
            self.devices.check(ctx, origin, account).await?;
        }
        let called = self.call_for(ctx, origin, account, call).await;
        called.map_err(|error| foresight::with_warning(error, foresight::warning(account, self.clock.now())))
    }

    async fn call_for<'a, T, F, Fut>(
        &'a self,
        ctx: &TenantContext,
        origin: &Origin,
        account: &Account,
        call: F,
    ) -> Result<T, PublicError>
    where
        F: Fn(&'a dyn MusicProvider, CallAccess) -> Fut,
        Fut: Future<Output = Result<T, ProviderError>>,
    {
        let app = self.app(ctx, account.provider).await?;
        let errand =
            Errand { ctx: ctx.clone(), client: origin.client().clone(), app, account: account.clone() };
        let music = self.music(account.provider);
        let session = self.tokens.of_account(&errand).await?;
        match call(music, self.access(origin, &errand, &session)).await {
            Err(ProviderError::Unauthorized { .. }) => {}
            outcome => return outcome.map_err(|error| told(origin, &error)),
        }
        let session = self.tokens.refreshed(&errand, &session).await?;
        match call(music, self.access(origin, &errand, &session)).await {
            Err(error @ ProviderError::Unauthorized { .. }) => {
                report(&error);
                Err(self.tokens.refused(&errand, &session).await)
            }
            outcome => outcome.map_err(|error| told(origin, &error)),
        }
    }

    fn access(&self, origin: &Origin, errand: &Errand, session: &OpenedSession) -> CallAccess {
        CallAccess {
            app: Arc::clone(&errand.app),
            token: session.access_token.clone(),
            country: errand.account.country.clone(),
            deadline: Deadline::after(self.clock.as_ref(), PROVIDER_DEADLINE),
            urgency: origin.purpose().urgency(),
            sent: Arc::clone(origin.sent()),
        }
    }

    /// Opens the session of an account as a call does, from memory where it is there, and says which it is.
    pub async fn open_session(
        &self,
        ctx: &TenantContext,
        account: LinkedAccountId,
    ) -> Result<SessionId, PublicError> {
        let accounts = self.records.accounts(ctx, acting_for(ctx)?).await?;
        let account = accounts::choose(&accounts, None, Some(&account.to_string()))?;
        Ok(self.opener.open(ctx, &AuditClient::default(), account).await?.id)
    }

    /// A call that changes something of the account's, of this scope. Whatever becomes of it, what was fetched of that
    /// before cannot be found on any replica when it is answered; if it is dropped or panics, a moment later. Where
    /// nobody knows whether it was done, the same again some seconds later, because it may be done after its reply.
    pub(crate) async fn write<'a, T, F, Fut>(
        &'a self,
        ctx: &TenantContext,
        origin: &Origin,
        what: (&Account, DataScope),
        call: F,
    ) -> Result<T, PublicError>
    where
        F: Fn(&'a dyn MusicProvider, CallAccess) -> Fut,
        Fut: Future<Output = Result<T, ProviderError>>,
    {
        self.write_doubted(ctx, origin, what, &AtomicBool::new(false), call).await
    }

    /// The same for a caller that asks whether the outcome is known: `uncertain` is set if it is not, here or by `call`.
    pub(crate) async fn write_doubted<'a, T, F, Fut>(
        &'a self,
        ctx: &TenantContext,
        origin: &Origin,
        (account, scope): (&Account, DataScope),
        uncertain: &AtomicBool,
        call: F,
    ) -> Result<T, PublicError>
    where
        F: Fn(&'a dyn MusicProvider, CallAccess) -> Fut,
        Fut: Future<Output = Result<T, ProviderError>>,
    {
        let known = Arc::new(AtomicBool::new(false));
        let settling = self.settling(ctx, account, scope, Arc::clone(&known));
        let written = self.personal(ctx, origin, account, |music, access| {
            let called = call(music, access);
            async move {
                let called = called.await;
                if called.as_ref().is_err_and(ProviderError::uncertain) {
                    uncertain.store(true, Ordering::Relaxed);
                }
                called
            }
        });
        let written = written.await;
        known.store(!uncertain.load(Ordering::Relaxed), Ordering::Relaxed);
        settling.now().await;
        written
    }

    /// What a write owes the cache; more of it unless `known` says that the write's outcome is known by then.
    fn settling(
        &self,
        ctx: &TenantContext,
        account: &Account,
        scope: DataScope,
        known: Arc<AtomicBool>,
    ) -> Settling {
        let (cache, of, user, provider) =
            (Arc::clone(&self.cache), ctx.clone(), account.user, account.provider);
        let bump = move || {
            let (cache, of) = (Arc::clone(&cache), of.clone());
            async move {
                if let Err(error) = cache.bump(&of, user, provider, scope).await {
                    tracing::warn!(error = %Chain(&error), "other replicas may serve playlists from before a write");
                }
            }
        };
        let (spawn, stop) = (Arc::clone(self.spawn()), self.stop().clone());
        Settling::new(self.spawn(), async move {
            bump().await;
            if !known.load(Ordering::Relaxed) {
                spawn("settling a write again", Box::pin(settling::again(stop, bump)));
            }
        })
    }

    /// An account was linked, linked again or unlinked, or may have been: nothing that was known of the person's
    /// accounts at the provider counts any more, on any replica. `account` is the one, where that is known.
    pub(crate) async fn account_changed(
        &self,
        ctx: &TenantContext,
        user: UserId,
        provider: Provider,
        account: Option<LinkedAccountId>,
    ) {
        if let Some(account) = account {
            self.sessions.forget(ctx, account);
            self.devices.forget(ctx, account);
        }
        self.records.account_changed(ctx, user, provider).await;
    }

    /// The device that a call comes from, as linking an account admits it.
    pub(crate) async fn fingerprint(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
    ) -> Result<[u8; 32], PublicError> {
        self.devices.fingerprint(ctx, client).await
    }

    /// Records it if that id is an account of somebody else in the tenant. The caller is told what it would be told of
    /// an id that nobody has.
    pub(crate) async fn foreign_account(&self, ctx: &TenantContext, origin: &Origin, id: &str) {
        let Ok(account) = id.parse::<Uuid>().map(LinkedAccountId) else { return };
        let store = self.vault().store();
        let owner = store.with_tenant(ctx, async |tx| linked_accounts::owner_of(tx, account).await).await;
        match owner {
            Ok(owner) if owner.is_some() && owner != ctx.user() => {
                let resource = of_account(account);
                self.hijack(ctx, origin.client(), resource, ErrorCode::AccountNotLinked).await;
            }
            Ok(_) => {}
            Err(error) => {
                store_failure(&error);
            }
        }
    }

    /// Records and counts that somebody used a handle that is not theirs.
    pub(crate) async fn hijack(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        resource: AuditResource,
        told: ErrorCode,
    ) {
        tracing::warn!(kind = resource.kind, call = %ctx.call(), "a handle in the wrong hands");
        self.sessions.counters.hijack_attempts.add();
        self.trail().note(ctx, AuditAction::SessionHijack, client, resource, Some(told)).await;
    }

    /// A person's linked accounts as the database has them now.
    pub(crate) async fn load_accounts(
        &self,
        ctx: &TenantContext,
        user: UserId,
    ) -> Result<Vec<Account>, PublicError> {
        self.records.load_accounts(ctx, user).await
    }

    /// The market that the person's account at a service is in; part of what a catalogue answer depends on.
    pub(crate) async fn country(
        &self,
        ctx: &TenantContext,
        provider: Provider,
    ) -> Result<Option<String>, PublicError> {
        let Some(user) = ctx.user() else { return Ok(None) };
        let accounts = self.records.accounts(ctx, user).await?;
        let of_provider = accounts.iter().find(|account| account.provider == provider);
        Ok(of_provider.and_then(|account| account.country.clone()))
    }

    /// The account that fits, unless it is known by now that it cannot be used.
    fn usable(
        &self,
        accounts: &[Account],
        provider: Option<Provider>,
        id: Option<&str>,
    ) -> Result<Account, PublicError> {
        let account = accounts::choose(accounts, provider, id)?;
        if account.unreadable {
            return Err(unreadable(account));
        }
        let now = self.clock.now();
        if let Outlook::Ended { .. } = foresight::outlook(account, now) {
            let error = relink_needed(account.provider);
            return Err(foresight::with_warning(error, foresight::warning(account, now)));
        }
        Ok(account.clone())
    }
}
