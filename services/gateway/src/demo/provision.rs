//! The demo's tenant: made on the first run, found again on later ones.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use secrecy::SecretString;
use stagedoor_assembly::keys;
use stagedoor_bootstrap::private_servers::PrivatePostgres;
use stagedoor_crypto::{KeyMode, Peppers, PlainApiKey};
use stagedoor_domain::{
    Clock, Entropy, Provider, ScopeSet, TenantContext, TenantSettings, TenantSlug, ToolName, UserId,
};
use stagedoor_sandbox::Sandbox;
use stagedoor_storage::admin_keys::{AdminRole, NewAdminKey};
use stagedoor_storage::api_keys::NewApiKey;
use stagedoor_storage::provider_apps::{OpenedProviderApp, ProviderAppMode};
use stagedoor_storage::provider_sessions::RefreshedTokens;
use stagedoor_storage::provision::{self, NewLinkedAccount};
use stagedoor_storage::{KeyVault, Purpose, RolePasswords, Store, StoreOptions};
use url::Url;

use super::DATABASE;
use super::secrets::Secrets;

const TENANT: &str = "demo";
const PERSON: &str = "Robin";
const CLIENT_ID: &str = "stagedoor-demo";
const COUNTRY: &str = "DE";

/// What the demo serves.
#[derive(Debug)]
pub(super) struct Demo {
    /// The tenant.
    pub(super) tenant: TenantSlug,
    /// An API key of it.
    pub(super) api_key: String,
    /// The file of a platform operator's key of the admin API.
    pub(super) admin_key_file: PathBuf,
}

/// What the one who starts the demo wants of its tenant.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    /// Whether the person comes with both accounts linked; else linking them is left to the visitor.
    pub(super) linked: bool,
    /// What the tenant overrides, if that is to change.
    pub(super) settings: Option<TenantSettings>,
}

/// The sandbox and who talks to it.
#[derive(Clone, Copy)]
pub(super) struct MusicServices<'a> {
    /// The services.
    pub(super) sandbox: &'a Sandbox,
    /// Where they listen.
    pub(super) sandbox_url: &'a Url,
    /// Where people reach the gateway, and where the services send them back to.
    pub(super) public_url: &'a Url,
}

/// Brings the database up to date and makes what is missing in it.
pub(super) async fn provision(
    postgres: &PrivatePostgres,
    secrets: &Secrets,
    (music, wishes): (&MusicServices<'_>, &Wishes),
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<Demo> {
    postgres.create_database(DATABASE).await?;
    let administrator = SecretString::from(postgres.url_for(DATABASE, "postgres"));
    stagedoor_storage::migrate(&administrator)
        .await
        .context("the demo's database could not be migrated; --reset begins with a new one")?;
    let password = || Some(postgres.role_password().clone());
    let passwords =
        RolePasswords { app: password(), admin: password(), keeper: password(), backup: password() };
    stagedoor_storage::provision_roles(&administrator, &passwords).await?;

    // A database that has just recovered on a slow machine is worth waiting for: nobody is being served yet.
    let store = Store::connect(&StoreOptions {
        purpose: Purpose::Provision,
        max_connections: 2,
        acquire_timeout: Duration::from_secs(10),
        transaction_timeout: Duration::from_secs(10),
        ..StoreOptions::new(postgres.url_for(DATABASE, "stagedoor_admin"))
    })
    .await?;
    let (key_encryption_keys, peppers) = keys::read_files(&secrets.key, &secrets.pepper)?;
    let vault = KeyVault::new(store.clone(), key_encryption_keys, Arc::clone(clock), Arc::clone(entropy));
    let slug: TenantSlug = TENANT.parse()?;
    let (tenant, api_key) = match (store.find_tenant(&slug).await?, secrets.api_key()) {
        (Some(tenant), Some(api_key)) => {
            let context = provision::context(&vault, Arc::new(tenant));
            move_apps(&vault, &context, music).await?;
            if let Some(settings) = &wishes.settings {
                provision::set_settings(&vault, &context, settings).await?;
            }
            (slug, api_key)
        }
        (None, _) => {
            let settings = wishes.settings.clone().unwrap_or_default();
            let context = provision::create_tenant(&vault, slug.clone(), "Stagedoor demo", settings).await?;
            let person = provision::create_user(&vault, &context, Some("robin".to_owned()), PERSON).await?;
            for provider in Provider::ALL {
                let account = set_up(&vault, &context, *provider, music).await?;
                if wishes.linked {
                    link(&vault, &context, person, (*provider, account), music.sandbox).await?;
                }
            }
            let key = api_key(&vault, &context, person, &peppers).await?;
            secrets.keep_api_key(key.expose_secret())?;
            (slug, key.expose_secret().to_owned())
        }
        (Some(_), None) => anyhow::bail!("the demo's API key file is gone; begin anew with --reset"),
    };
    admin_key(&store, secrets, &peppers, entropy.as_ref()).await?;
    store.close().await;
    Ok(Demo { tenant, api_key, admin_key_file: secrets.admin_key.clone() })
}

/// A platform operator's key of the admin API, unless an earlier run made one.
async fn admin_key(
    store: &Store,
    secrets: &Secrets,
    peppers: &Peppers,
    entropy: &dyn Entropy,
) -> anyhow::Result<()> {
    let earlier = secrets.admin_key().and_then(|key| PlainApiKey::parse(&key).ok());
    if let Some(earlier) = earlier
        && store.find_admin_key(earlier.id()).await?.is_some()
    {
        return Ok(());
    }
    let key = PlainApiKey::generate(entropy, KeyMode::Admin);
    let new = NewAdminKey {
        id: key.id().clone(),
        name: "demo".to_owned(),
        role: AdminRole::PlatformOperator,
        bound_to: None,
        digest: key.digest(peppers),
        allowed_networks: Vec::new(),
        expires_at: None,
        created_by: "job:demo".to_owned(),
    };
    store.insert_admin_key(&new).await?;
    secrets.keep_admin_key(key.expose_secret())
}

async fn api_key(
    vault: &KeyVault,
    context: &TenantContext,
    person: UserId,
    peppers: &Peppers,
) -> anyhow::Result<PlainApiKey> {
    let key = NewApiKey {
        name: "demo".to_owned(),
        scopes: ScopeSet::all(),
        toolsets: None,
        read_only: false,
        user: Some(person),
        allowed_networks: Vec::new(),
        expires_at: None,
    };
    Ok(provision::create_api_key(vault, context, peppers, KeyMode::Test, &key).await?)
}

/// The tenant's client and the person's account at one of the sandbox's services; returns the account's id there.
async fn set_up(
    vault: &KeyVault,
    context: &TenantContext,
    provider: Provider,
    music: &MusicServices<'_>,
) -> anyhow::Result<String> {
    let sandbox = music.sandbox;
    let mut secret = [0_u8; 16];
    vault.entropy().fill(&mut secret);
    let secret = URL_SAFE_NO_PAD.encode(secret);
    sandbox.register_app(provider, CLIENT_ID, &secret);
    expect_people_from(music, provider)?;
    let Addresses { api, auth, authorize } = addresses(provider, music.sandbox_url);
    let app = OpenedProviderApp {
        id: provision::provider_app_id(vault),
        provider,
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(SecretString::from(secret)),
        api_base_url: api,
        auth_base_url: auth,
        authorize_url: Some(authorize),
        mode: ProviderAppMode::Development,
    };
    provision::create_provider_app(vault, context, &app).await?;
    Ok(sandbox.create_account(provider, PERSON, COUNTRY))
}

/// Links that account, as the person would in a browser.
async fn link(
    vault: &KeyVault,
    context: &TenantContext,
    person: UserId,
    (provider, account): (Provider, String),
    sandbox: &Sandbox,
) -> anyhow::Result<()> {
    let grant = sandbox.grant(provider, &account, CLIENT_ID, &scopes(provider));
    let linked = NewLinkedAccount {
        user: person,
        provider,
        provider_user_id: account,
        label: format!("{PERSON} at {}", provider.title()),
        country_code: Some(COUNTRY.to_owned()),
    };
    let tokens = RefreshedTokens {
        access_token: grant.access_token.into(),
        refresh_token: Some(grant.refresh_token.into()),
        expires_at: grant.expires_at.with_timezone(&Utc),
        scopes: Some(grant.scopes),
    };
    provision::link_account(vault, context, linked, &tokens).await?;
    Ok(())
}

/// The sandbox listens on another port in each run, and the gateway may.
async fn move_apps(
    vault: &KeyVault,
    context: &TenantContext,
    music: &MusicServices<'_>,
) -> anyhow::Result<()> {
    for provider in Provider::ALL {
        expect_people_from(music, *provider)?;
        let Addresses { api, auth, authorize } = addresses(*provider, music.sandbox_url);
        provision::move_provider_app(vault, context, *provider, &api, &auth, Some(&authorize)).await?;
    }
    Ok(())
}

/// Lets the service send people back to this gateway's link pages, as an app's owner does in its dashboard.
fn expect_people_from(music: &MusicServices<'_>, provider: Provider) -> anyhow::Result<()> {
    let callback = music.public_url.join(&format!("/t/{TENANT}/connect/callback/{provider}"))?;
    music.sandbox.register_redirect_uri(provider, CLIENT_ID, callback.as_str())?;
    Ok(())
}

struct Addresses {
    api: String,
    auth: String,
    authorize: String,
}

fn addresses(provider: Provider, sandbox_url: &Url) -> Addresses {
    let root = sandbox_url.as_str().trim_end_matches('/');
    let (api, auth, authorize) = match provider {
        Provider::Spotify => ("spotify/v1", "spotify/accounts", "spotify/accounts/authorize"),
        Provider::Tidal => ("tidal/v2", "tidal/auth", "tidal/login/authorize"),
    };
    let [api, auth, authorize] = [api, auth, authorize].map(|path| format!("{root}/{path}"));
    Addresses { api, auth, authorize }
}

/// Everything that some tool needs there.
fn scopes(provider: Provider) -> Vec<&'static str> {
    let needed: BTreeSet<_> = ToolName::ALL.iter().flat_map(|tool| tool.provider_scopes(provider)).collect();
    needed.into_iter().copied().collect()
}
