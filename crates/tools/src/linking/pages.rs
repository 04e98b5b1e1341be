//! What the first pages of a link do: show who asks for what, and take the person's answer.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_domain::{LinkAttemptId, Principal, PrincipalKind, Provider, PublicError, TenantContext};
use stagedoor_providers::{AuthorizationRequest, ProviderApp};
use stagedoor_storage::link_attempts::{self, LinkAttempt, LinkOutcome, LinkStage};
use stagedoor_storage::{StoreError, TenantTransaction, linked_accounts, tenants, users};
use url::Url;

use super::asker::{Asker, asker};
use super::failure::{Failure, underway, unknown, used};
use super::secrets::{challenge, hash, secret};
use super::{Consent, Departure, Linking, of_attempt, scopes};
use crate::desk::internal;
use crate::records::store_failure;

/// How many agreements to one link may come at the same moment.
const AGREEMENTS_AT_ONCE: usize = 10;

/// A link that is open, with whoever asked.
struct Open {
    attempt: LinkAttempt,
    asker: Asker,
    account: Option<String>,
    tenant_name: String,
    person: String,
}

impl Linking {
    /// What the person is asked to agree to.
    pub async fn consent(&self, ctx: &TenantContext) -> Result<Consent, PublicError> {
        let open = self.open(ctx).await?;
        let provider = open.attempt.provider;
        let app = self.desk.app(ctx, provider).await?;
        let mut leaves_to = self.authorize_address(ctx, &app, &[], &SecretString::default(), "")?;
        leaves_to.set_path("");
        leaves_to.set_query(None);
        Ok(Consent {
            tenant_name: open.tenant_name,
            person: open.person,
            agent: open.asker.name,
            software: Some(open.attempt.agent).filter(|software| !software.is_empty()),
            provider,
            scopes: scopes::explained(provider, &open.attempt.scopes),
            links_again: open.account,
            expires_at: open.attempt.expires_at,
            leaves_to,
        })
    }

    /// The person agreed: where to go now. Who agrees again, having come back, gets another way, and the former one
    /// no longer counts.
    pub async fn agree(&self, ctx: &TenantContext, client: AuditClient) -> Result<Departure, PublicError> {
        let id = attempt_of(ctx)?;
        let record = self.desk.trail().open(ctx, AuditAction::LinkConsent, &client, of_attempt(id)).await?;
        let departure = self.depart(ctx).await;
        record.close(departure.as_ref().err().map(|error| error.code)).await;
        departure
    }

    /// The person declined.
    pub async fn decline(&self, ctx: &TenantContext, client: AuditClient) -> Result<(), PublicError> {
        let id = attempt_of(ctx)?;
        let record = self.desk.trail().open(ctx, AuditAction::LinkConsent, &client, of_attempt(id)).await?;
        let declined = self.declined(ctx, id).await;
        let error = declined.as_ref().map_or_else(|error| error.code, |()| Failure::Declined.code());
        record.close(Some(error)).await;
        declined
    }

    /// Who loses to another agreement, as the second click on a button does to the first, agrees after it.
    async fn depart(&self, ctx: &TenantContext) -> Result<Departure, PublicError> {
        for _ in 0..AGREEMENTS_AT_ONCE {
            let Open { attempt, .. } = self.open(ctx).await?;
            if let Some(departure) = self.try_to_depart(ctx, attempt).await? {
                return Ok(departure);
            }
        }
        Err(underway())
    }

    /// `None` if the link was agreed to, or ended, between the look and the write.
    async fn try_to_depart(
        &self,
        ctx: &TenantContext,
        attempt: LinkAttempt,
    ) -> Result<Option<Departure>, PublicError> {
        let app = self.desk.app(ctx, attempt.provider).await?;
        let entropy = self.desk.entropy.as_ref();
        let (state, verifier, browser_secret) = (secret(entropy), secret(entropy), secret(entropy));
        let challenge = challenge(&verifier);
        let url = self.authorize_address(ctx, &app, &attempt.scopes, &state, &challenge)?;
        let (state, browser) = (hash(&state), hash(&browser_secret));
        let agreed =
            link_attempts::agree(self.desk.vault(), ctx, &attempt, &state, &browser, &verifier).await;
        let agreed = agreed.map_err(|error| store_failure(&error))?;
        Ok(agreed.then_some(Departure { url, browser_secret }))
    }

    async fn declined(&self, ctx: &TenantContext, id: LinkAttemptId) -> Result<(), PublicError> {
        let now = self.desk.clock.now();
        let store = self.desk.vault().store();
        let decline = store.with_tenant(ctx, async |tx| {
            link_attempts::decline(tx, id, Failure::Declined.as_str(), now).await
        });
        if decline.await.map_err(|error| store_failure(&error))? {
            return Ok(());
        }
        Err(self.open(ctx).await.err().unwrap_or_else(used))
    }

    /// The link of this page if something can still be done with it, else what became of it.
    async fn open(&self, ctx: &TenantContext) -> Result<Open, PublicError> {
        let (id, now) = (attempt_of(ctx)?, self.desk.clock.now());
        let store = self.desk.vault().store();
        let load = store.with_tenant(ctx, async |tx| load(tx, id, now).await);
        let (attempt, asker, account, tenant_name, person) =
            load.await.map_err(|error| store_failure(&error))?.ok_or_else(unknown)?;
        match attempt.outcome(now) {
            LinkOutcome::Linked(_) => return Err(used()),
            LinkOutcome::Ended(failure) => return Err(Failure::read(failure).public(attempt.provider)),
            LinkOutcome::Open if attempt.stage == LinkStage::Exchanging => return Err(underway()),
            LinkOutcome::Open => {}
        }
        let asker = asker.ok_or_else(|| Failure::Revoked.public(attempt.provider))?;
        Ok(Open { attempt, asker, account, tenant_name, person })
    }

    fn authorize_address(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        scopes: &[String],
        state: &SecretString,
        code_challenge: &str,
    ) -> Result<Url, PublicError> {
        let redirect_uri = &self.redirect_address(ctx, app.provider)?;
        let request = AuthorizationRequest { redirect_uri, scopes, state, code_challenge };
        Ok(self.desk.music(app.provider).authorize_url(app, &request))
    }

    /// Where the provider sends the browser back to; the tenant's app there must know it.
    pub(super) fn redirect_address(
        &self,
        ctx: &TenantContext,
        provider: Provider,
    ) -> Result<Url, PublicError> {
        let base = self.options.public_url.as_str().trim_end_matches('/');
        let slug = ctx.tenant().slug.as_str();
        Url::parse(&format!("{base}/t/{slug}/connect/callback/{provider}")).map_err(|error| internal(&error))
    }
}

type Loaded = (LinkAttempt, Option<Asker>, Option<String>, String, String);

async fn load(
    tx: &mut TenantTransaction,
    id: LinkAttemptId,
    now: DateTime<Utc>,
) -> Result<Option<Loaded>, StoreError> {
    let Some(attempt) = link_attempts::find(tx, id).await? else { return Ok(None) };
    let asker = asker(tx, &attempt, now).await?;
    let account = match attempt.account {
        Some(account) => linked_accounts::find(tx, account).await?.map(|account| account.label),
        None => None,
    };
    let person = users::find(tx, attempt.user).await?.map(|user| user.label).unwrap_or_default();
    Ok(Some((attempt, asker, account, tenants::name(tx).await?, person)))
}

/// The link that a page's context is for.
pub(super) fn attempt_of(ctx: &TenantContext) -> Result<LinkAttemptId, PublicError> {
    match ctx.principal() {
        Principal { kind: PrincipalKind::LinkPage(attempt), .. } => Ok(*attempt),
        _ => Err(unknown()),
    }
}
