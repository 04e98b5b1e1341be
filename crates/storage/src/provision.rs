//! Making tenants, people, keys and apps, and linking accounts without asking anyone. For a store connected as
//! `stagedoor_admin`: of all this, the gateway's own role may only link, which it does by `linked_accounts`.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_crypto::{KeyMode, Peppers, PlainApiKey};
use stagedoor_domain::{
    ApiKeyId, CallId, LinkedAccountId, ProviderAppId, Tenant, TenantContext, TenantId, TenantSettings,
    TenantSlug, TenantStatus, UserId,
};

use crate::api_keys::{self, KeySummary, Minting, NewApiKey, Rotated};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::linked_accounts::{self, LinkOptions};
use crate::provider_apps::{self, OpenedProviderApp};
use crate::provider_sessions::RefreshedTokens;
use crate::users::{self, User};

pub use crate::linked_accounts::NewLinkedAccount;

/// The context in which provisioning works on one tenant.
#[expect(clippy::disallowed_methods, reason = "provisioning is a named job")]
pub fn context(vault: &KeyVault, tenant: Arc<Tenant>) -> TenantContext {
    TenantContext::for_job(tenant, "provision", CallId::generate(vault.clock(), vault.entropy()))
}

/// Makes a tenant.
pub async fn create_tenant(
    vault: &KeyVault,
    slug: TenantSlug,
    name: &str,
    settings: TenantSettings,
) -> Result<TenantContext, StoreError> {
    let id = TenantId::generate(vault.clock(), vault.entropy());
    let tenant = Arc::new(Tenant { id, slug, status: TenantStatus::Active, settings });
    let context = context(vault, tenant.clone());
    vault.store().with_tenant(&context, async |tx| crate::tenants::insert(tx, &tenant, name).await).await?;
    Ok(context)
}

/// Replaces what a tenant overrides; replicas notice within seconds.
pub async fn set_settings(
    vault: &KeyVault,
    context: &TenantContext,
    settings: &TenantSettings,
) -> Result<(), StoreError> {
    let write = async |tx: &mut _| crate::tenants::set_settings(tx, settings).await;
    vault.store().with_tenant(context, write).await
}

/// Adds a person.
pub async fn create_user(
    vault: &KeyVault,
    context: &TenantContext,
    external_subject: Option<String>,
    label: &str,
) -> Result<UserId, StoreError> {
    let id = UserId::generate(vault.clock(), vault.entropy());
    let user = User { id, external_subject, label: label.to_owned() };
    vault.store().with_tenant(context, async |tx| users::insert(tx, &user).await).await?;
    Ok(id)
}

/// Makes an API key. The answer is the only copy of its secret.
///
/// # Errors
/// As [`api_keys::mint`].
pub async fn create_api_key(
    vault: &KeyVault,
    context: &TenantContext,
    peppers: &Peppers,
    mode: KeyMode,
    key: &NewApiKey,
) -> Result<PlainApiKey, StoreError> {
    let by = context.principal().label();
    let minting = minting(vault, peppers, &by);
    vault.store().with_tenant(context, async |tx| api_keys::mint(tx, &minting, mode, key).await).await
}

/// Makes a key with the rights of another, which ends after `overlap`.
///
/// # Errors
/// As [`api_keys::rotate`].
pub async fn rotate_api_key(
    vault: &KeyVault,
    context: &TenantContext,
    peppers: &Peppers,
    id: &ApiKeyId,
    overlap: Duration,
) -> Result<Rotated, StoreError> {
    let by = context.principal().label();
    let minting = minting(vault, peppers, &by);
    vault.store().with_tenant(context, async |tx| api_keys::rotate(tx, &minting, id, overlap).await).await
}

/// Revokes a key; every replica refuses it within a second.
///
/// # Errors
/// As [`api_keys::revoke`].
pub async fn revoke_api_key(
    vault: &KeyVault,
    context: &TenantContext,
    id: &ApiKeyId,
    reason: &str,
) -> Result<KeySummary, StoreError> {
    vault.store().with_tenant(context, async |tx| api_keys::revoke(tx, id, reason).await).await
}

fn minting<'a>(vault: &'a KeyVault, peppers: &'a Peppers, by: &'a str) -> Minting<'a> {
    Minting { entropy: vault.entropy(), peppers, now: vault.clock().now(), by }
}

/// Sets the tenant's client at a provider up. `app.id` is taken as given.
pub async fn create_provider_app(
    vault: &KeyVault,
    context: &TenantContext,
    app: &OpenedProviderApp,
) -> Result<(), StoreError> {
    provider_apps::insert(vault, context, app).await
}

/// Changes where the tenant's client at `provider` is reached; `false` if there is none.
pub async fn move_provider_app(
    vault: &KeyVault,
    context: &TenantContext,
    provider: stagedoor_domain::Provider,
    api_base_url: &str,
    auth_base_url: &str,
    authorize_url: Option<&str>,
) -> Result<bool, StoreError> {
    provider_apps::set_urls(vault, context, provider, api_base_url, auth_base_url, authorize_url).await
}

/// A new id for [`create_provider_app`].
pub fn provider_app_id(vault: &KeyVault) -> ProviderAppId {
    ProviderAppId::generate(vault.clock(), vault.entropy())
}

/// Links an account with the tokens that the person's consent brought just now, in one transaction.
pub async fn link_account(
    vault: &KeyVault,
    context: &TenantContext,
    account: NewLinkedAccount,
    tokens: &RefreshedTokens,
) -> Result<LinkedAccountId, StoreError> {
    let options = LinkOptions {
        attempt: None,
        device: None,
        principal: context.principal().label(),
        import: None,
        authorized_at: vault.clock().now(),
    };
    Ok(linked_accounts::link(vault, context, account, tokens, options).await?.account)
}
