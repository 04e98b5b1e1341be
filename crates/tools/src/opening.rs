//! Opening a person's session: from memory, else from the database, once for all who ask at the same time. What the
//! database does on the way (a new seal each day, setting a damaged row aside) is audited and counted here.

use std::sync::Arc;

use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_domain::error::Chain;
use stagedoor_domain::tenant::PrincipalKind;
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext};
use stagedoor_storage::provider_sessions::{self, OpenedSession};
use stagedoor_storage::{KeyVault, StoreError};

use crate::accounts::{Account, relink_needed};
use crate::flights::{Flights, Part};
use crate::records::{Records, store_failure};
use crate::sessions::SessionsInUse;
use crate::trail::{Trail, of_account};

/// Opens sessions.
pub(crate) struct Opener {
    vault: Arc<KeyVault>,
    records: Arc<Records>,
    sessions: Arc<SessionsInUse>,
    trail: Arc<Trail>,
    flights: Flights<Arc<OpenedSession>>,
}

impl Opener {
    pub(crate) fn new(
        vault: Arc<KeyVault>,
        records: Arc<Records>,
        sessions: Arc<SessionsInUse>,
        trail: Arc<Trail>,
    ) -> Self {
        Self { vault, records, sessions, trail, flights: Flights::new() }
    }

    /// The session of an account.
    pub(crate) async fn open(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
    ) -> Result<Arc<OpenedSession>, PublicError> {
        let standing = self.sessions.standing(ctx, account).await;
        loop {
            if let Some(session) = self.sessions.get(ctx, account, standing) {
                return Ok(session);
            }
            match self.flights.join(ctx, account.id) {
                Part::Follow(follow) => {
                    if let Some(outcome) = follow.landed().await {
                        return outcome;
                    }
                }
                Part::Lead(lead) => {
                    let opened = Box::pin(self.load(ctx, client, account)).await.map(Arc::new);
                    if let Ok(session) = &opened {
                        self.sessions.keep(ctx, session, standing);
                    }
                    lead.land(opened.clone());
                    return opened;
                }
            }
        }
    }

    /// The session of an account as it is stored now.
    pub(crate) async fn load(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
    ) -> Result<OpenedSession, PublicError> {
        match self.find(ctx, client, account).await? {
            Some(session) => Ok(session),
            None => Err(self.gone(ctx, account).await),
        }
    }

    /// The same; `None` if the account has no session.
    pub(crate) async fn find(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
    ) -> Result<Option<OpenedSession>, PublicError> {
        // The account was chosen among the person's own; this is the lock behind that door.
        let is_job = matches!(ctx.principal().kind, PrincipalKind::Job(_));
        if ctx.user() != Some(account.user) && !is_job {
            tracing::error!(account = %account.id, "a session was asked for on behalf of someone else");
            return Err(PublicError::internal());
        }
        let found = match self.read(ctx, client, account).await {
            Err(error) if provider_sessions::is_damage(&error) => {
                self.set_aside(ctx, client, account, &error).await?;
                // It opens by now: it was linked again since it was read.
                self.read(ctx, client, account).await
            }
            found => found,
        };
        found.map_err(|error| not_opened(account, &error))
    }

    async fn read(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
    ) -> Result<Option<OpenedSession>, StoreError> {
        let Some(session) = provider_sessions::load(&self.vault, ctx, account.id).await? else {
            return Ok(None);
        };
        self.sessions.counters.opened_cold.add();
        if session.rotated {
            self.sessions.counters.rotations.add();
            let resource = of_account(session.account);
            self.trail.note(ctx, AuditAction::SessionRotate, client, resource, None).await;
        }
        Ok(Some(session))
    }

    /// What is wrong with an account that has no session.
    async fn gone(&self, ctx: &TenantContext, account: &Account) -> PublicError {
        self.records.forget_accounts(ctx, account.user).await;
        match self.records.load_accounts(ctx, account.user).await {
            Ok(accounts) if accounts.iter().any(|known| known.id == account.id) => {
                relink_needed(account.provider)
            }
            Ok(_) => unlinked_meanwhile(account.provider),
            Err(error) => error,
        }
    }

    /// Sets a session aside that does not open under a key that does, which is an error; `Ok` if there was nothing to
    /// set aside any more. Without a record of it, it stays where it is, and the next call tries again.
    async fn set_aside(
        &self,
        ctx: &TenantContext,
        client: &AuditClient,
        account: &Account,
        error: &StoreError,
    ) -> Result<(), PublicError> {
        tracing::error!(account = %account.id, error = %Chain(error), "a stored session does not open");
        let opened = self.trail.open(ctx, AuditAction::SessionOpen, client, of_account(account.id)).await;
        let Ok(record) = opened else { return Err(unreadable(account)) };
        let reason = Chain(error).to_string();
        let told = match provider_sessions::quarantine(&self.vault, ctx, account.id, &reason).await {
            Ok(true) => {
                self.sessions.counters.quarantines.add();
                Err(unreadable(account))
            }
            Ok(false) => Ok(()),
            Err(error) => Err(store_failure(&error)),
        };
        record.close(told.as_ref().err().map(|error| error.code)).await;
        self.sessions.forget(ctx, account.id);
        self.records.forget_accounts(ctx, account.user).await;
        told
    }
}

fn not_opened(account: &Account, error: &StoreError) -> PublicError {
    match error {
        StoreError::Quarantined => unreadable(account),
        StoreError::NotUnderstood { what: provider_sessions::SCHEMA_COLUMN, found } => {
            tracing::error!(account = %account.id, form = found, "a session is stored in a form that this build does not know");
            of_another_form(account)
        }
        error if provider_sessions::is_damage(error) => unreadable(account),
        error => store_failure(error),
    }
}

/// The account was unlinked while something was done with it.
pub(crate) fn unlinked_meanwhile(provider: Provider) -> PublicError {
    let message = format!("The {} account was unlinked a moment ago.", provider.title());
    PublicError::new(ErrorCode::AccountNotLinked, message)
        .hint("accounts_list shows which accounts there are.")
}

/// The session of an account was written by another version of the gateway. It is left as it is.
fn of_another_form(account: &Account) -> PublicError {
    let (provider, id) = (account.provider, account.id);
    let message = format!(
        "The access to the {} account is stored in a form that this version of the gateway does not read.",
        provider.title()
    );
    PublicError::new(ErrorCode::SessionUnreadable, message).hint(format!(
        "Tell the operator: a newer version may have written it. If that does not help, link it again with account_link \
         {{\"provider\":\"{provider}\",\"account\":\"{id}\"}}: that replaces it."
    ))
}

/// The session of an account does not open. It is kept, and there are two ways out.
pub(crate) fn unreadable(account: &Account) -> PublicError {
    let (provider, id) = (account.provider, account.id);
    let message = format!(
        "The stored access to the {} account could not be opened and was set aside.",
        provider.title()
    );
    PublicError::new(ErrorCode::SessionUnreadable, message).hint(format!(
        "Link it again with account_link {{\"provider\":\"{provider}\",\"account\":\"{id}\"}}: that replaces it. \
         Nothing was deleted, so an operator may instead be able to restore it from a backup."
    ))
}
