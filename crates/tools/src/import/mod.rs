//! Importing sessions that other programs left in files (`legacy_sessions` reads them): whether tokens can be used,
//! proof of whose they are, linking. Nothing is stored that the provider did not confirm, and what a refresh brought
//! is kept trying to be stored. Files, zones and output are the command's.

mod assess;
mod claim;
mod foresee;
mod keep;
mod outcome;
mod prove;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use stagedoor_audit::{
    AuditAction, AuditClient, AuditEntry, AuditLog, AuditOpening, AuditOutcome, AuditResource,
};
use stagedoor_crypto::KeyOwner;
use stagedoor_domain::{CallId, Clock, Tenant, TenantContext, UserId};
use stagedoor_legacy_sessions::Session;
use stagedoor_providers::{ProviderApp, Providers, grant_end};
use stagedoor_storage::linked_accounts::{self, AccountStatus, LinkedAccount, NewLinkedAccount, SessionView};
use stagedoor_storage::session_imports::{self, ImportClaim, ImportOutcome as Recorded, SessionImport};
use stagedoor_storage::{KeyVault, StoreError, data_keys, provider_apps};
use tokio_util::sync::CancellationToken;

pub use assess::{GivenClient, Reason};
pub use outcome::{ImportOutcome, Imported};

use crate::records;
use outcome::{Failure, LOST};

const COLUMN: &str = "session_imports.source_digest";
/// The longest that new tokens wait.
pub const LONGEST_PATIENCE: Duration = Duration::from_hours(24);

/// Imports sessions for people of one installation.
pub struct Importer {
    vault: Arc<KeyVault>,
    providers: Providers,
    audit: AuditLog,
    clock: Arc<dyn Clock>,
    patience: Duration,
    give_up: CancellationToken,
}

/// One session to import.
#[derive(Debug, Clone, Copy)]
pub struct ImportRequest<'a> {
    /// The person.
    pub user: UserId,
    /// What the file holds.
    pub session: &'a Session,
    /// The client that the tokens were made for, where the file does not tell.
    pub client: Option<&'a GivenClient>,
    /// Whether to say only what would be done: nothing is stored, and no token is refreshed.
    pub dry_run: bool,
}

impl Importer {
    /// An importer. Where new tokens cannot be confirmed or stored, it keeps trying for `patience`
    /// ([`LONGEST_PATIENCE`] at most), or until `give_up`.
    pub fn new(
        vault: Arc<KeyVault>,
        providers: Providers,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        patience: Duration,
        give_up: CancellationToken,
    ) -> Self {
        Self { vault, providers, audit, clock, patience: patience.min(LONGEST_PATIENCE), give_up }
    }

    /// The context in which imports into `tenant` work.
    #[expect(clippy::disallowed_methods, reason = "the import is a named job")]
    pub fn context(&self, tenant: Arc<Tenant>) -> TenantContext {
        TenantContext::for_job(tenant, "import", CallId::generate(self.vault.clock(), self.vault.entropy()))
    }

    /// Imports one session, or says why not.
    pub async fn import(&self, ctx: &TenantContext, request: &ImportRequest<'_>) -> Imported {
        match Box::pin(self.run(ctx, request)).await {
            Ok(imported) => imported,
            Err(failure) => failure.into(),
        }
    }

    async fn run(&self, ctx: &TenantContext, request: &ImportRequest<'_>) -> Result<Imported, Failure> {
        let session = request.session;
        let Some(app) = self.app(ctx, request).await? else {
            return Ok(Imported::not_usable(&Reason::NoApp(session.provider)));
        };
        if let Some(id) = &session.provider_user_id
            && let Some(account) = self.account(ctx, request.user, session, id).await?
            && is_usable(&account, self.clock.now())
        {
            return self.present(ctx, request, &app, &account).await;
        }
        if let Err(reason) = assess::assess(session, &app.client_id, request.client, self.clock.now()) {
            return self.decline(ctx, request, reason).await;
        }
        let digest = self.digest(ctx, request, &app).await?;
        if let Some(digest) = &digest
            && let Some(imported) = self.before(ctx, request, digest).await?
        {
            return Ok(imported);
        }
        match digest {
            Some(digest) if !request.dry_run => self.claimed(ctx, request, &app, digest).await,
            _ => self.foresee(ctx, request, &app).await,
        }
    }

    /// The import itself, with its audit record: no record, no import.
    async fn recorded(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        app: &ProviderApp,
        claim: &ImportClaim,
    ) -> Result<Imported, Failure> {
        let opened_at = self.clock.elapsed();
        let entry = self.open_record(ctx, request).await?;
        let ended = match self.prove(ctx, request, app, claim.took_over).await {
            Ok(proven) => self.keep(ctx, request, proven, claim).await,
            Err(prove::Unproven::Refused { reason, lost }) => {
                self.refuse(ctx, request, claim, reason, lost).await
            }
            Err(prove::Unproven::Failed(failure)) => Err(failure),
        };
        self.close_record(entry, opened_at, &ended).await;
        ended
    }

    /// What to do about tokens that cannot be used: where the account is known, its person can be asked to consent.
    async fn decline(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        reason: Reason,
    ) -> Result<Imported, Failure> {
        let session = request.session;
        let Some(id) = session.provider_user_id.as_ref().filter(|_| reason.calls_for_consent()) else {
            return Ok(Imported::not_usable(&reason));
        };
        if let Some(account) = self.account(ctx, request.user, session, id).await? {
            return Ok(Imported::relink_needed(Some(account.id), id, &reason));
        }
        if request.dry_run {
            return Ok(Imported::relink_needed(None, id, &reason));
        }
        let opened_at = self.clock.elapsed();
        let entry = self.open_record(ctx, request).await?;
        let ended = self.note(ctx, request, id, None, &reason).await.map_err(Failure::from);
        self.close_record(entry, opened_at, &ended).await;
        ended
    }

    /// Records that the provider refused tokens, unless new ones may have got lost: then another run may find out more.
    async fn refuse(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        claim: &ImportClaim,
        reason: Reason,
        lost: bool,
    ) -> Result<Imported, Failure> {
        let known = request.session.provider_user_id.as_ref().filter(|_| reason.calls_for_consent());
        let refused = match known {
            Some(id) => self.note(ctx, request, id, (!lost).then_some(claim), &reason).await,
            None if lost => Ok(Imported::not_usable(&reason)),
            None => {
                let recorded = self.record(ctx, request, claim, Recorded::Unusable).await;
                recorded.map(|()| Imported::not_usable(&reason))
            }
        };
        match refused {
            // Another run took the claim over.
            Err(StoreError::AlreadyExists(_)) => {
                self.after_another_run(ctx, request, &claim.source_digest).await
            }
            Err(error) => Err(Failure { lost, ..error.into() }),
            Ok(refused) if lost => Ok(refused.with_warning(LOST)),
            Ok(refused) => Ok(refused),
        }
    }

    /// Notes the account without its tokens.
    async fn note(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        id: &str,
        claim: Option<&ImportClaim>,
        reason: &Reason,
    ) -> Result<Imported, StoreError> {
        let account = NewLinkedAccount {
            user: request.user,
            provider: request.session.provider,
            provider_user_id: id.to_owned(),
            label: id.to_owned(),
            country_code: request.session.country_code.clone(),
        };
        let noted = linked_accounts::note_without_grant(&self.vault, ctx, account, claim).await?;
        Ok(Imported::relink_needed(Some(noted.account), id, reason))
    }

    /// What an earlier import of the same tokens came to, and what has become of its account since; `None` if there was
    /// none, or none that settles it.
    async fn before(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        digest: &[u8; 32],
    ) -> Result<Option<Imported>, Failure> {
        match self.find(ctx, digest).await? {
            Some(before) => self.again(ctx, request, before).await,
            None => Ok(None),
        }
    }

    async fn again(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        before: SessionImport,
    ) -> Result<Option<Imported>, Failure> {
        if before.user != request.user {
            return Ok(Some(Imported::not_usable(&Reason::OtherPerson)));
        }
        let at = before.imported_at;
        let id = match before.outcome {
            Recorded::Unusable => return Ok(Some(Imported::not_usable(&Reason::RefusedBefore(at)))),
            Recorded::Linked(id) | Recorded::Kept(id) | Recorded::RelinkNeeded(id) => id,
        };
        let find = async |tx: &mut _| linked_accounts::find(tx, id).await;
        let account =
            self.vault.store().with_tenant(ctx, find).await?.ok_or(StoreError::Missing("account"))?;
        let usable = is_usable(&account, self.clock.now());
        let provider_id = &account.provider_user_id;
        Ok(match before.outcome {
            Recorded::Linked(_) if usable => Some(Imported::already_imported(&account, at)),
            _ if usable => Some(Imported::already_linked(&account)),
            Recorded::Kept(_) => None,
            Recorded::Linked(_) => {
                Some(Imported::relink_needed(Some(id), provider_id, &Reason::EndedSince(at)))
            }
            _ => Some(Imported::relink_needed(Some(id), provider_id, &Reason::RefusedBefore(at))),
        })
    }

    /// The file's account is linked and works: it stays as it is, whoever linked it.
    async fn present(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        app: &ProviderApp,
        account: &LinkedAccount,
    ) -> Result<Imported, Failure> {
        let before = match self.digest(ctx, request, app).await? {
            Some(digest) => self.before(ctx, request, &digest).await?,
            None => None,
        };
        Ok(before.unwrap_or_else(|| Imported::already_linked(account)))
    }

    async fn app(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
    ) -> Result<Option<ProviderApp>, Failure> {
        let opened = provider_apps::load(&self.vault, ctx, request.session.provider).await?;
        opened.map(records::app).transpose().map_err(Failure::nothing_lost)
    }

    /// A keyed code of the tokens and their client, under which an import is recorded. The refresh token stands for
    /// the grant: access tokens come and go. `None` in a dry run for a tenant without a key, whose key it would make.
    async fn digest(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        app: &ProviderApp,
    ) -> Result<Option<[u8; 32]>, StoreError> {
        let session = request.session;
        let Some(token) = session.refresh_token.as_ref().or(session.access_token.as_ref()) else {
            return Ok(None);
        };
        if request.dry_run {
            let find = async |tx: &mut _| data_keys::find_active(tx, KeyOwner::Tenant).await;
            if self.vault.store().with_tenant(ctx, find).await?.is_none() {
                return Ok(None);
            }
        }
        let value = format!("{}\0{}\0{}", session.provider, app.client_id, token.expose_secret());
        let value = zeroize::Zeroizing::new(value);
        Ok(Some(self.vault.tenant_key(ctx).await?.blind_index(COLUMN, value.as_bytes())))
    }

    async fn find(
        &self,
        ctx: &TenantContext,
        digest: &[u8; 32],
    ) -> Result<Option<SessionImport>, StoreError> {
        self.vault.store().with_tenant(ctx, async |tx| session_imports::find(tx, digest).await).await
    }

    /// The person's account of that id at the session's provider.
    async fn account(
        &self,
        ctx: &TenantContext,
        user: UserId,
        session: &Session,
        id: &str,
    ) -> Result<Option<LinkedAccount>, StoreError> {
        let list = async |tx: &mut _| linked_accounts::list(tx, user).await;
        let accounts = self.vault.store().with_tenant(ctx, list).await?;
        let is_it =
            |account: &LinkedAccount| account.provider == session.provider && account.provider_user_id == id;
        Ok(accounts.into_iter().find(is_it))
    }

    async fn open_record(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
    ) -> Result<AuditEntry, Failure> {
        let resource = AuditResource { kind: "provider", id: request.session.provider.as_str().into() };
        let opening = AuditOpening {
            resource: Some(resource),
            ..AuditOpening::new(AuditAction::SessionImport, AuditClient::default())
        };
        let opened = Box::pin(self.audit.open(ctx, opening)).await;
        opened.map_err(|error| Failure::nothing_lost(error.public()))
    }

    async fn close_record(
        &self,
        mut entry: AuditEntry,
        opened_at: Duration,
        ended: &Result<Imported, Failure>,
    ) {
        if let Ok(Imported { account: Some(account), .. }) = ended {
            entry.set_resource(AuditResource { kind: "account", id: account.to_string().into() });
        }
        let error = match ended {
            Ok(imported) => imported.outcome.error_code(),
            Err(failure) => Some(failure.public.code),
        };
        let duration = self.clock.elapsed().saturating_sub(opened_at);
        let response_code = error.map_or(200, stagedoor_domain::ErrorCode::http_status);
        Box::pin(entry.close(AuditOutcome { error, response_code, duration, cached: false })).await;
    }
}

/// Whether an account works as far as is known.
fn is_usable(account: &LinkedAccount, now: DateTime<Utc>) -> bool {
    let works = |session: &SessionView| {
        let ended = grant_end(account.provider, session.authorized_at).is_some_and(|end| end <= now);
        let renewable = session.refreshable || session.token_expires_at > now;
        !session.quarantined && !ended && renewable
    };
    account.status == AccountStatus::Active && account.session.as_ref().is_some_and(works)
}

impl std::fmt::Debug for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer").field("patience", &self.patience).finish_non_exhaustive()
    }
}
