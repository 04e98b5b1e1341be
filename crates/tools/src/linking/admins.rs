//! What admins do about links: begin one for a person, and end one. Who may is the admin API's affair.

use std::fmt;

use chrono::{DateTime, SubsecRound as _, Utc};
use secrecy::SecretString;
use stagedoor_audit::AuditClient;
use stagedoor_domain::{
    LinkAttemptId, LinkedAccountId, Principal, Provider, PublicError, ScopeSet, TenantContext, ToolsetSet,
    UserId,
};
use stagedoor_storage::api_keys::{self, KeyFilter, KeyPage, KeyState};
use stagedoor_storage::link_attempts::{self, NewLinkAttempt};
use stagedoor_storage::linked_accounts::{self, Unlinked};
use stagedoor_storage::{StoreError, TenantTransaction, issuers};

use super::secrets::{hash, secret};
use super::unlink::end;
use super::{Linking, scopes};
use crate::origin::{Origin, Purpose};
use crate::records::store_failure;

/// As many of a person's keys are looked at, the newest first.
const MOST_KEYS: u16 = 500;

/// The page on which a person can link an account.
#[derive(Clone)]
pub struct LinkOffer {
    /// The link.
    pub link: LinkAttemptId,
    /// Its address, which is the key to it.
    pub url: SecretString,
    /// Until when it can be opened.
    pub expires_at: DateTime<Utc>,
}

/// What became of an account that was unlinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnlinkedAccount {
    /// What went with it.
    pub deleted: Unlinked,
    /// What became of the grant at the service: `revoked`, `unconfirmed`, `unsupported`, `failed` or `no_grant`.
    pub revocation: &'static str,
}

impl Linking {
    /// Begins the link `id` of one of `user`'s accounts at `provider` on behalf of the admin whom `ctx` stands for, and ends what
    /// admins began for the same before. It asks for what agents with `scopes` need; without them, for what the person's
    /// agents may do, or for everything if that cannot be told.
    pub async fn offer(
        &self,
        ctx: &TenantContext,
        id: LinkAttemptId,
        (user, provider): (UserId, Provider),
        scopes: Option<ScopeSet>,
    ) -> Result<LinkOffer, PublicError> {
        // As exactly as the database keeps it, so that it is told alike when the request comes again.
        let now = self.desk.clock.now().trunc_subsecs(6);
        let page = secret(self.desk.entropy.as_ref());
        let expires_at = now + self.options.attempt_life;
        let insert = async |tx: &mut TenantTransaction| {
            let accounts = linked_accounts::list(tx, user).await?;
            let granted = accounts.into_iter().filter(|account| account.provider == provider);
            let granted: Vec<String> =
                granted.filter_map(|account| account.session).flat_map(|session| session.scopes).collect();
            let attempt = NewLinkAttempt {
                id,
                user,
                principal: ctx.principal().label(),
                agent: String::new(),
                provider,
                account: None,
                scopes: wanted(tx, ctx, (user, provider), scopes, &granted, now).await?,
                page_hash: hash(&page),
                device: None,
                created_at: now,
                expires_at,
            };
            link_attempts::end_those_of_admins(tx, user, provider, now).await?;
            link_attempts::insert(tx, &attempt).await
        };
        let stored = self.desk.vault().store().with_tenant(ctx, insert).await;
        stored.map_err(|error| store_failure(&error))?;
        let url = SecretString::from(self.page_address(ctx, &page));
        Ok(LinkOffer { link: id, url, expires_at })
    }

    /// How long a person has for a link that begins now, at most.
    pub fn would_expire_at(&self) -> DateTime<Utc> {
        self.desk.clock.now() + self.options.attempt_life
    }

    /// Unlinks an account, whichever person's: ends its grant at the service where that can be done, and deletes what came
    /// from it. `None` if there is no such account.
    pub async fn unlink(
        &self,
        ctx: &TenantContext,
        client: AuditClient,
        account: LinkedAccountId,
    ) -> Result<Option<UnlinkedAccount>, PublicError> {
        let store = self.desk.vault().store();
        let owner = store.with_tenant(ctx, async |tx| linked_accounts::owner_of(tx, account).await).await;
        let Some(owner) = owner.map_err(|error| store_failure(&error))? else { return Ok(None) };
        let ctx = &ctx.about(owner);
        let accounts = self.desk.load_accounts(ctx, owner).await?;
        let Some(account) = accounts.into_iter().find(|known| known.id == account) else { return Ok(None) };
        let origin = Origin::new(client, Purpose::Call);
        let ended = end(&self.desk, ctx, &origin, &account).await;
        self.desk.account_changed(ctx, account.user, account.provider, Some(account.id)).await;
        let (ending, deleted) = ended?;
        Ok(deleted.map(|deleted| UnlinkedAccount { deleted, revocation: ending.as_str() }))
    }
}

/// What to ask the service for.
async fn wanted(
    tx: &mut TenantTransaction,
    ctx: &TenantContext,
    (user, provider): (UserId, Provider),
    scopes: Option<ScopeSet>,
    granted: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<String>, StoreError> {
    let agent =
        |scopes, toolsets, read_only| Principal { scopes, toolsets, read_only, ..ctx.principal().clone() };
    if let Some(scopes) = scopes {
        return Ok(scopes::wanted(&agent(scopes, ToolsetSet::all(), false), provider, granted));
    }
    let filter = KeyFilter { user: Some(user), state: Some(KeyState::Active), ..KeyFilter::default() };
    let keys = api_keys::list(tx, &filter, &KeyPage { after: None, size: MOST_KEYS }, now).await?.keys;
    // What tokens of an issuer may do is told by each token.
    let tokens = issuers::list(tx).await?.iter().any(|stored| stored.issuer.enabled);
    if keys.is_empty() || tokens {
        return Ok(scopes::wanted(&agent(ScopeSet::all(), ToolsetSet::all(), false), provider, granted));
    }
    let mut wanted = granted.to_vec();
    for key in keys {
        let toolsets = key.toolsets.unwrap_or_else(ToolsetSet::all);
        wanted = scopes::wanted(&agent(key.scopes, toolsets, key.read_only), provider, &wanted);
    }
    Ok(wanted)
}

impl fmt::Debug for LinkOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkOffer").field("link", &self.link).finish_non_exhaustive()
    }
}
