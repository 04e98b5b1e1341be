//! Tenants, people, accounts and keys for a stage, and what a test wants to read of them afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use ipnet::IpNet;
use secrecy::SecretString;
use stagedoor_audit::{AuditView, ChainReport};
use stagedoor_crypto::{KeyMode, PlainApiKey};
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{
    Issuer, IssuerId, LimitClass, LinkedAccountId, Provider, ScopeSet, TenantContext, TenantSettings,
    ToolName, ToolsetSet, UserId,
};
use stagedoor_sandbox::{AppMode, Sandbox};
use stagedoor_storage::api_keys::{self, NewApiKey};
use stagedoor_storage::provider_apps::{OpenedProviderApp, ProviderAppMode};
use stagedoor_storage::provider_sessions::RefreshedTokens;
use stagedoor_storage::provision::{self, NewLinkedAccount};
use stagedoor_storage::{KeyVault, StoreError, TenantTransaction, issuers};

use crate::issuer::TestIssuer;
use crate::stage::Stage;
use crate::twin::Twin;

const COUNTRY: &str = "DE";
/// More records than any test makes.
const MANY: i64 = 100_000;

/// A tenant of a stage.
#[derive(Debug)]
pub struct TestTenant<'a> {
    stage: &'a Stage,
    twin: Option<&'a Twin>,
    context: TenantContext,
}

/// A linked account and the account behind it.
#[derive(Debug, Clone)]
pub struct Linked {
    /// Ours.
    pub id: LinkedAccountId,
    /// The provider's.
    pub account: String,
}

/// A tenant with one person, both accounts linked, and a key that may do everything for that person.
#[derive(Debug)]
pub struct Inhabited<'a> {
    /// The tenant.
    pub tenant: TestTenant<'a>,
    /// The person.
    pub user: UserId,
    /// The accounts.
    pub accounts: BTreeMap<Provider, Linked>,
    /// The key.
    pub key: String,
}

/// What a key may do.
#[derive(Debug, Clone)]
pub struct KeySpec {
    /// Its scopes.
    pub scopes: ScopeSet,
    /// The toolsets it is shown; `None` for all.
    pub toolsets: Option<ToolsetSet>,
    /// Whether tools that write are withheld.
    pub read_only: bool,
    /// The person it acts for.
    pub user: Option<UserId>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// The networks it works from.
    pub networks: Vec<IpNet>,
}

impl KeySpec {
    /// Everything, for `user`, for ever, from anywhere.
    pub fn for_user(user: UserId) -> Self {
        Self {
            scopes: ScopeSet::all(),
            toolsets: None,
            read_only: false,
            user: Some(user),
            expires_at: None,
            networks: Vec::new(),
        }
    }
}

/// Settings with limits that no test meets by accident, and without penalties.
pub fn generous() -> TenantSettings {
    let quotas = |quota| LimitClass::ALL.iter().map(|class| (*class, vec![quota])).collect();
    TenantSettings {
        limits: quotas(Quota::per_minute(60_000)),
        tenant_limits: quotas(Quota::per_minute(6_000_000)),
        penalties: Some(Vec::new()),
        concurrent_calls: Some(1_000),
        ..TenantSettings::default()
    }
}

impl Stage {
    /// A tenant with generous limits, one person, both accounts linked, and a key for everything.
    pub async fn inhabit(&self, slug: &str) -> Inhabited<'_> {
        self.inhabit_with(slug, generous()).await
    }

    /// The same with other settings.
    pub async fn inhabit_with(&self, slug: &str, settings: TenantSettings) -> Inhabited<'_> {
        let tenant = self.tenant(slug, settings).await;
        let mut accounts = BTreeMap::new();
        let user = tenant.person("Robin").await;
        for provider in Provider::ALL {
            tenant.set_up(*provider).await;
            accounts.insert(*provider, tenant.link(user, *provider).await);
        }
        let key = tenant.key(&KeySpec::for_user(user)).await;
        Inhabited { tenant, user, accounts, key }
    }

    /// A tenant with nothing in it.
    ///
    /// # Panics
    /// As everything here, if the database refuses.
    pub async fn tenant(&self, slug: &str, settings: TenantSettings) -> TestTenant<'_> {
        let slug = slug.parse().expect("a valid slug");
        let made = provision::create_tenant(self.admin(), slug, "Test tenant", settings).await;
        TestTenant { stage: self, twin: None, context: done(made) }
    }

    /// A tenant whose people, accounts and playlists get the ids that a twin of the same seed gives.
    pub async fn tenant_of<'a>(
        &'a self,
        twin: &'a Twin,
        slug: &str,
        settings: TenantSettings,
    ) -> TestTenant<'a> {
        TestTenant { twin: Some(twin), ..self.tenant(slug, settings).await }
    }
}

impl TestTenant<'_> {
    /// The context in which it was made.
    pub fn context(&self) -> &TenantContext {
        &self.context
    }

    /// Its name in URLs.
    pub fn slug(&self) -> &str {
        self.context.tenant().slug.as_str()
    }

    /// Its id as text.
    pub fn id(&self) -> String {
        self.context.tenant_id().to_string()
    }

    /// A person.
    pub async fn person(&self, name: &str) -> UserId {
        done(provision::create_user(self.admin(), &self.context, None, name).await)
    }

    /// A person whom tokens call `subject`.
    pub async fn person_called(&self, subject: &str) -> UserId {
        let subject = Some(subject.to_owned());
        done(provision::create_user(self.admin(), &self.context, subject, "Robin").await)
    }

    /// Registers an issuer of tokens, after `change` had its way with it.
    pub async fn register(&self, issuer: &TestIssuer, change: impl FnOnce(&mut Issuer)) -> IssuerId {
        let id = IssuerId::generate(self.admin().clock(), self.admin().entropy());
        let mut issuer = Issuer::new(id, issuer.url());
        change(&mut issuer);
        let write = async |tx: &mut TenantTransaction| issuers::insert(tx, &issuer).await;
        done(self.admin().store().with_tenant(&self.context, write).await);
        id
    }

    /// A client of its own at a provider.
    pub async fn set_up(&self, provider: Provider) {
        self.set_up_at(provider, &format!("http://{}", self.sandbox_address())).await;
    }

    /// A client of its own at Spotify, with extended quota.
    pub async fn set_up_extended(&self) {
        let root = format!("http://{}", self.sandbox_address());
        self.make_client(Provider::Spotify, &root, ProviderAppMode::Extended).await;
        self.sandbox().set_mode(Provider::Spotify, &self.client_id(), AppMode::Extended);
    }

    /// The same where the provider is reached at another address, such as a fault proxy's.
    pub async fn set_up_at(&self, provider: Provider, root: &str) {
        self.make_client(provider, root, ProviderAppMode::Development).await;
    }

    /// Lets the providers send people back to the link pages of a gateway at `address`.
    ///
    /// # Panics
    /// If a provider does not take the address.
    pub fn expect_people_at(&self, address: SocketAddr) {
        for provider in Provider::ALL {
            let callback = format!("http://{address}/t/{}/connect/callback/{provider}", self.slug());
            let registered = self.sandbox().register_redirect_uri(*provider, &self.client_id(), &callback);
            registered.unwrap_or_else(|error| panic!("{callback}: {error}"));
        }
    }

    /// A new account at the provider, linked to the person with every scope.
    pub async fn link(&self, user: UserId, provider: Provider) -> Linked {
        let sandbox = self.sandbox();
        let account = sandbox.create_account(provider, &format!("{} {provider}", self.slug()), COUNTRY);
        let grant = sandbox.grant(provider, &account, &self.client_id(), &scopes(provider));
        let linked = NewLinkedAccount {
            user,
            provider,
            provider_user_id: account.clone(),
            label: format!("{} at {}", self.slug(), provider.title()),
            country_code: Some(COUNTRY.to_owned()),
        };
        let tokens = RefreshedTokens {
            access_token: grant.access_token.into(),
            refresh_token: Some(grant.refresh_token.into()),
            expires_at: grant.expires_at.with_timezone(&Utc),
            scopes: Some(grant.scopes),
        };
        let id = done(provision::link_account(self.admin(), &self.context, linked, &tokens).await);
        Linked { id, account }
    }

    /// A key, as its owner would send it; one that is over already too. Its name is its own.
    pub async fn key(&self, spec: &KeySpec) -> String {
        let (admin, peppers) = (self.admin(), self.stage.peppers());
        let plain = PlainApiKey::generate(admin.entropy(), KeyMode::Test);
        let key = NewApiKey {
            name: format!("test {}", plain.id().as_str()),
            scopes: spec.scopes,
            toolsets: spec.toolsets,
            read_only: spec.read_only,
            user: spec.user,
            allowed_networks: spec.networks.clone(),
            expires_at: spec.expires_at,
        };
        let digest = plain.digest(peppers);
        let insert = async |tx: &mut TenantTransaction| {
            api_keys::insert(tx, plain.id(), KeyMode::Test, &digest, &key, None).await
        };
        done(admin.store().with_tenant(&self.context, insert).await);
        plain.expose_secret().to_owned()
    }

    /// Every audit record of today and, for tests that run over midnight, of yesterday; in order.
    pub async fn audit_trail(&self) -> Vec<AuditView> {
        let mut trail = Vec::new();
        for day in self.days() {
            let records = stagedoor_audit::read_records(self.stage.reader(), &self.context, day, 0, MANY);
            trail.extend(done(records.await));
        }
        trail
    }

    /// The check of the chains of the same days, as one.
    pub async fn verify_chain(&self) -> ChainReport {
        let mut whole = ChainReport { records: 0, erased: 0, faults: Vec::new() };
        for day in self.days() {
            let report = done(stagedoor_audit::verify_chain(self.stage.reader(), &self.context, day).await);
            whole.records += report.records;
            whole.erased += report.erased;
            whole.faults.extend(report.faults);
        }
        whole
    }

    /// The music services of its people.
    pub fn sandbox(&self) -> &Sandbox {
        self.twin.map_or_else(|| self.stage.sandbox(), Twin::sandbox)
    }

    async fn make_client(&self, provider: Provider, root: &str, mode: ProviderAppMode) {
        let secret = format!("secret-of-{}", self.slug());
        self.sandbox().register_app(provider, &self.client_id(), &secret);
        let (api, auth, authorize) = match provider {
            Provider::Spotify => ("spotify/v1", "spotify/accounts", "spotify/accounts/authorize"),
            Provider::Tidal => ("tidal/v2", "tidal/auth", "tidal/login/authorize"),
        };
        let app = OpenedProviderApp {
            id: provision::provider_app_id(self.admin()),
            provider,
            client_id: self.client_id(),
            client_secret: Some(SecretString::from(secret)),
            api_base_url: format!("{root}/{api}"),
            auth_base_url: format!("{root}/{auth}"),
            authorize_url: Some(format!("{root}/{authorize}")),
            mode,
        };
        done(provision::create_provider_app(self.admin(), &self.context, &app).await);
    }

    fn sandbox_address(&self) -> SocketAddr {
        self.twin.map_or_else(|| self.stage.sandbox_address(), Twin::sandbox_address)
    }

    fn admin(&self) -> &KeyVault {
        self.twin.map_or_else(|| self.stage.admin(), Twin::admin)
    }

    fn days(&self) -> [NaiveDate; 2] {
        let today = self.stage.clock().now().date_naive();
        [today.pred_opt().unwrap_or(today), today]
    }

    /// Refuses the tenant from now on.
    pub async fn suspend(&self) {
        self.stage
            .sql(&format!("UPDATE tenants SET status = 'suspended' WHERE tenant_id = '{}'", self.id()))
            .await;
    }

    /// The id of its client at both providers.
    pub fn client_id(&self) -> String {
        format!("client-of-{}", self.slug())
    }
}

impl Inhabited<'_> {
    /// The account at a provider.
    ///
    /// # Panics
    /// If there is none.
    pub fn account(&self, provider: Provider) -> &Linked {
        &self.accounts[&provider]
    }

    /// Its tenant as gateways share it.
    pub fn shared(&self) -> Arc<stagedoor_domain::Tenant> {
        Arc::new(self.tenant.context.tenant().clone())
    }
}

fn done<T>(outcome: Result<T, StoreError>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{}", stagedoor_domain::error::Chain(&error)),
    }
}

/// Every scope that a tool asks for.
fn scopes(provider: Provider) -> Vec<&'static str> {
    let asked: BTreeSet<&'static str> =
        ToolName::ALL.iter().flat_map(|tool| tool.provider_scopes(provider)).copied().collect();
    asked.into_iter().collect()
}
