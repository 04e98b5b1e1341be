//! A private database with the schema in it, two tenants to tell apart, and a clock that stands still.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection};
use stagedoor_bootstrap::private_servers::{PrivatePostgres, PrivatePostgresOptions};
use stagedoor_crypto::{KeyEncryptionKeys, KeyMode, Peppers, PlainApiKey, SystemEntropy};
use stagedoor_domain::{
    Clock, Entropy, LinkedAccountId, Principal, PrincipalKind, Provider, ScopeSet, SystemClock,
    TenantContext, TenantSettings, ToolsetSet, UserId,
};
use stagedoor_storage::api_keys::NewApiKey;
use stagedoor_storage::provider_sessions::RefreshedTokens;
use stagedoor_storage::provision::{self, NewLinkedAccount};
use stagedoor_storage::{KeyVault, Purpose, RolePasswords, Store, StoreOptions, migrate, provision_roles};

pub(crate) const KEY: &[u8] = b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// When the clock starts: today, because the database has a clock of its own and makes no partition for distant days.
static START: LazyLock<DateTime<Utc>> = LazyLock::new(|| {
    let time = NaiveTime::from_hms_micro_opt(10, 0, 0, 123_456).unwrap();
    SystemClock::new().now().date_naive().and_time(time).and_utc()
});

/// A clock that moves when told to.
#[derive(Debug)]
pub(crate) struct StillClock(AtomicI64);

impl StillClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> DateTime<Utc> {
        *START + TimeDelta::microseconds(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// A private PostgreSQL server with a migrated database.
pub(crate) struct Database {
    pub(crate) postgres: PrivatePostgres,
    pub(crate) clock: Arc<StillClock>,
    /// Of the gateway's role.
    pub(crate) vault: Arc<KeyVault>,
    /// Of provisioning's role.
    pub(crate) admin: Arc<KeyVault>,
    pub(crate) folder: tempfile::TempDir,
}

/// A tenant with one person, a linked account and a key.
pub(crate) struct Inhabited {
    pub(crate) context: TenantContext,
    pub(crate) user: UserId,
    pub(crate) account: LinkedAccountId,
    pub(crate) key: PlainApiKey,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = PrivatePostgres::start(PrivatePostgresOptions::for_tests(folder.path().join("pg")))
            .await
            .unwrap();
        postgres.create_database("stagedoor").await.unwrap();
        let superuser = admin_url(&postgres);
        migrate(&superuser).await.unwrap();
        let password = Some(postgres.role_password().clone());
        let passwords =
            RolePasswords { app: password.clone(), admin: password.clone(), keeper: password, backup: None };
        provision_roles(&superuser, &passwords).await.unwrap();
        let clock = Arc::new(StillClock(AtomicI64::new(0)));
        let vault = |store: Store| {
            let keks = KeyEncryptionKeys::from_files([("1", KEY)]).unwrap();
            let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
            Arc::new(KeyVault::new(store, Arc::new(keks), clock.clone(), entropy))
        };
        let app = Store::connect(&options(&postgres, "stagedoor_app")).await.unwrap();
        let admin = Store::connect(&options(&postgres, "stagedoor_admin")).await.unwrap();
        Self { vault: vault(app), admin: vault(admin), clock, postgres, folder }
    }

    /// A vault of the gateway's role that gives a missing database up as soon as the gateway would.
    pub(crate) async fn impatient(&self) -> Arc<KeyVault> {
        let url = self.postgres.url_for("stagedoor", "stagedoor_app");
        let options = StoreOptions { acquire_timeout: Duration::from_millis(500), ..StoreOptions::new(url) };
        let keks = KeyEncryptionKeys::from_files([("1", KEY)]).unwrap();
        let store = Store::connect(&options).await.unwrap();
        Arc::new(KeyVault::new(store, Arc::new(keks), self.clock.clone(), Arc::new(SystemEntropy)))
    }

    pub(crate) fn options(&self, role: &str) -> StoreOptions {
        options(&self.postgres, role)
    }

    pub(crate) fn superuser_url(&self) -> SecretString {
        admin_url(&self.postgres)
    }

    /// Runs SQL as the superuser, past every policy.
    pub(crate) async fn tamper(&self, sql: &str) -> String {
        self.postgres.sql("stagedoor", sql).await.unwrap()
    }

    /// A connection of `role` that has not gone through the store.
    pub(crate) async fn bare(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.postgres.url_for("stagedoor", role)).await.unwrap()
    }

    pub(crate) async fn inhabit(&self, slug: &str) -> Inhabited {
        let admin = &self.admin;
        let context = provision::create_tenant(admin, slug.parse().unwrap(), slug, TenantSettings::default())
            .await
            .unwrap();
        let user = provision::create_user(admin, &context, Some(format!("{slug}|ada")), "Ada").await.unwrap();
        let account =
            provision::link_account(admin, &context, account_of(user), &tokens("first")).await.unwrap();
        let key = NewApiKey {
            name: "test".to_owned(),
            scopes: ScopeSet::all(),
            toolsets: None,
            read_only: false,
            user: Some(user),
            allowed_networks: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            expires_at: Some(self.clock.now() + TimeDelta::days(1)),
        };
        let key = provision::create_api_key(admin, &context, &peppers(), KeyMode::Test, &key).await.unwrap();
        Inhabited { context, user, account, key }
    }
}

impl Inhabited {
    /// The context of a call that is bound to `user`, or to nobody.
    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    pub(crate) fn as_user(&self, user: impl Into<Option<UserId>>) -> TenantContext {
        let principal = Principal {
            kind: PrincipalKind::ApiKey(self.key.id().clone()),
            user: user.into(),
            scopes: ScopeSet::all(),
            toolsets: ToolsetSet::all(),
            read_only: false,
            expires_at: None,
            allowed_networks: Vec::new(),
        };
        let tenant = Arc::new(self.context.tenant().clone());
        TenantContext::for_request(tenant, Arc::new(principal), self.context.call())
    }
}

pub(crate) fn peppers() -> Peppers {
    Peppers::from_files([("1", KEY)]).unwrap()
}

pub(crate) fn account_of(user: UserId) -> NewLinkedAccount {
    NewLinkedAccount {
        user,
        provider: Provider::Spotify,
        provider_user_id: "ada".to_owned(),
        label: "Ada's Spotify".to_owned(),
        country_code: Some("DE".to_owned()),
    }
}

pub(crate) fn tokens(name: &str) -> RefreshedTokens {
    RefreshedTokens {
        access_token: format!("access-{name}").into(),
        refresh_token: Some(format!("refresh-{name}").into()),
        expires_at: *START + TimeDelta::hours(1),
        scopes: Some(vec!["playlist-read-private".to_owned()]),
    }
}

fn options(postgres: &PrivatePostgres, role: &str) -> StoreOptions {
    // Patient, because a busy machine is no fault here; the tests of impatience set their own.
    StoreOptions {
        purpose: if role == "stagedoor_admin" { Purpose::Provision } else { Purpose::Serve },
        max_connections: 4,
        acquire_timeout: Duration::from_secs(10),
        transaction_timeout: Duration::from_secs(10),
        ..StoreOptions::new(postgres.url_for("stagedoor", role))
    }
}

/// The superuser's URL, on the database of the tests.
fn admin_url(postgres: &PrivatePostgres) -> SecretString {
    let url = postgres.admin_url();
    SecretString::from(url.strip_suffix("/postgres").unwrap().to_owned() + "/stagedoor")
}
