//! The tenant that calls: one person with an account at Spotify's stand-in, one key, quotas far above the load.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use secrecy::SecretString;
use stagedoor_bootstrap::private_servers::PrivatePostgres;
use stagedoor_crypto::{KeyEncryptionKeys, KeyMode, Peppers, SystemEntropy};
use stagedoor_domain::policy::{CacheClass, LimitClass, Quota};
use stagedoor_domain::{Clock, Provider, ScopeSet, TenantContext, TenantSettings, UserId};
use stagedoor_sandbox::Sandbox;
use stagedoor_storage::api_keys::NewApiKey;
use stagedoor_storage::provider_apps::{OpenedProviderApp, ProviderAppMode};
use stagedoor_storage::provider_sessions::RefreshedTokens;
use stagedoor_storage::provision::{self, NewLinkedAccount};
use stagedoor_storage::{KeyVault, Purpose, RolePasswords, Store, StoreOptions};

/// The tenant's name in URLs.
pub(crate) const TENANT: &str = "bench";
/// The database in the private cluster.
pub(crate) const DATABASE: &str = "stagedoor";

const CLIENT: &str = "stagedoor-bench";
const CLIENT_SECRET: &str = "a secret between the benchmark and its own sandbox";

/// Makes the database, the tenant and what it has; answers with the API key.
pub(crate) async fn provision(
    postgres: &PrivatePostgres,
    (key_file, pepper_file): (&Path, &Path),
    sandbox: &Sandbox,
    sandbox_url: &str,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<String> {
    postgres.create_database(DATABASE).await?;
    let administrator = SecretString::from(postgres.url_for(DATABASE, "postgres"));
    stagedoor_storage::migrate(&administrator).await.context("the database could not be migrated")?;
    let password = || Some(postgres.role_password().clone());
    let passwords = RolePasswords { app: password(), admin: password(), ..RolePasswords::default() };
    stagedoor_storage::provision_roles(&administrator, &passwords).await?;

    let store = Store::connect(&StoreOptions {
        purpose: Purpose::Provision,
        ..StoreOptions::new(postgres.url_for(DATABASE, "stagedoor_admin"))
    })
    .await?;
    let keys = KeyEncryptionKeys::from_files([("1", &*std::fs::read(key_file)?)])?;
    let peppers = Peppers::from_files([("1", &*std::fs::read(pepper_file)?)])?;
    let vault = KeyVault::new(store.clone(), Arc::new(keys), Arc::clone(clock), Arc::new(SystemEntropy));
    let context = provision::create_tenant(&vault, TENANT.parse()?, "Benchmark", settings()).await?;
    let person = provision::create_user(&vault, &context, None, "Robin").await?;
    link_account(&vault, &context, person, sandbox, sandbox_url).await?;
    let key = NewApiKey {
        name: "bench".to_owned(),
        scopes: ScopeSet::all(),
        toolsets: None,
        read_only: false,
        user: Some(person),
        allowed_networks: Vec::new(),
        expires_at: None,
    };
    let key = provision::create_api_key(&vault, &context, &peppers, KeyMode::Test, &key).await?;
    store.close().await;
    Ok(key.expose_secret().to_owned())
}

/// As many buckets as a tenant has by default, the principal's and those of all principals together, and an answer that
/// outlives the benchmark.
fn settings() -> TenantSettings {
    let quotas = vec![Quota::per_minute(60_000_000), Quota::per_hour(3_600_000_000)];
    TenantSettings {
        limits: [(LimitClass::Api, quotas.clone()), (LimitClass::Search, quotas.clone())].into(),
        tenant_limits: [(LimitClass::Api, quotas.clone()), (LimitClass::Search, quotas)].into(),
        cache_ttl_seconds: [(CacheClass::Search, 3_600)].into(),
        ..TenantSettings::default()
    }
}

async fn link_account(
    vault: &KeyVault,
    context: &TenantContext,
    person: UserId,
    sandbox: &Sandbox,
    sandbox_url: &str,
) -> anyhow::Result<()> {
    let provider = Provider::Spotify;
    sandbox.register_app(provider, CLIENT, CLIENT_SECRET);
    let app = OpenedProviderApp {
        id: provision::provider_app_id(vault),
        provider,
        client_id: CLIENT.to_owned(),
        client_secret: Some(SecretString::from(CLIENT_SECRET)),
        api_base_url: format!("{sandbox_url}/spotify/v1"),
        auth_base_url: format!("{sandbox_url}/spotify/accounts"),
        authorize_url: Some(format!("{sandbox_url}/spotify/accounts/authorize")),
        mode: ProviderAppMode::Development,
    };
    provision::create_provider_app(vault, context, &app).await?;
    let account = sandbox.create_account(provider, "Robin", "DE");
    let grant = sandbox.grant(provider, &account, CLIENT, &["user-read-private"]);
    let linked = NewLinkedAccount {
        user: person,
        provider,
        provider_user_id: account,
        label: "Robin".to_owned(),
        country_code: Some("DE".to_owned()),
    };
    let tokens = RefreshedTokens {
        access_token: grant.access_token.into(),
        refresh_token: Some(grant.refresh_token.into()),
        expires_at: grant.expires_at,
        scopes: Some(grant.scopes),
    };
    provision::link_account(vault, context, linked, &tokens).await?;
    Ok(())
}
