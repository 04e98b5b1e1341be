//! What the admin API reads and changes of people, of clients at providers, and of links that admins begin.

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use stagedoor_crypto::{KeyMode, PlainApiKey, SystemEntropy};
use stagedoor_domain::{Clock as _, LinkAttemptId, Provider, UserId};
use stagedoor_storage::admin_keys::{AdminRole, NewAdminKey};
use stagedoor_storage::link_attempts::{self, AskingAdmin, LinkOutcome, NewLinkAttempt};
use stagedoor_storage::provider_apps::records::{
    self as apps, Addresses, NewProviderApp, ProviderAppRecord, Sealing, SecretChange,
};
use stagedoor_storage::provider_apps::{ProviderAppMode, load};
use stagedoor_storage::users::records::{self as people, UserRecord};
use stagedoor_storage::users::{self, User};
use stagedoor_storage::{StoreError, TenantTransaction, provision};

use crate::attempts::{attempt, find, in_tenant};
use crate::support::{Database, Inhabited, peppers};

async fn as_admin<T>(
    database: &Database,
    one: &Inhabited,
    work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    database.admin.store().with_tenant(&one.context, work).await
}

#[tokio::test]
async fn people_are_listed_in_the_order_in_which_they_came() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let mut known = vec![ada.user];
    for number in 0..6 {
        let subject = (number % 2 == 0).then(|| format!("subject-{number}"));
        known.push(provision::create_user(&database.admin, &ada.context, subject, "Someone").await.unwrap());
    }
    // At one and the same moment, so that only their ids tell them apart.
    database.tamper("UPDATE users SET created_at = '2026-01-01T00:00:00Z' WHERE label = 'Someone'").await;

    let mut listed: Vec<UserRecord> = Vec::new();
    loop {
        let after = listed.last().map(UserRecord::cursor);
        let page =
            as_admin(&database, &ada, async |tx| people::list(tx, None, after, 3).await).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    let mut ids: Vec<UserId> = listed.iter().map(|record| record.user.id).collect();
    assert!(listed.is_sorted_by_key(|record| (record.created_at, record.user.id.0)));
    assert_eq!(listed.last().unwrap().linked_accounts, 1, "Ada came last by now, and has an account");
    ids.sort_by_key(|id| id.0);
    known.sort_by_key(|id| id.0);
    assert_eq!(ids, known, "all of them, and nobody of the other tenant");
    let only = as_admin(&database, &ada, async |tx| people::list(tx, Some("subject-2"), None, 9).await).await;
    assert_eq!(only.unwrap().len(), 1);
    let foreign = as_admin(&database, &bob, async |tx| people::get(tx, ada.user).await).await;
    assert_eq!(foreign.unwrap(), None);
}

#[tokio::test]
async fn a_subject_belongs_to_one_person() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let other = provision::create_user(&database.admin, &ada.context, None, "Other").await.unwrap();
    let update = async |id, subject: Option<&str>| {
        let user = User { id, external_subject: subject.map(str::to_owned), label: "Changed".to_owned() };
        as_admin(&database, &ada, async |tx| {
            people::lock(tx, id).await?;
            people::update(tx, &user).await
        })
        .await
    };
    assert!(matches!(update(other, Some("ada|ada")).await, Err(StoreError::AlreadyExists(_))));
    let before = revision(&database, &ada).await;
    update(ada.user, None).await.unwrap();
    assert!(
        revision(&database, &ada).await > before,
        "whoever remembers whose subject it is has to ask again"
    );
    let before = revision(&database, &ada).await;
    update(other, Some("ada|ada")).await.unwrap();
    assert_eq!(revision(&database, &ada).await, before, "nobody knew anyone by it");
    let found = in_tenant(&database, &ada, async |tx| users::find_by_subject(tx, "ada|ada").await).await;
    assert_eq!(found.map(|user| (user.id, user.label)), Some((other, "Changed".to_owned())));
    let nobody = UserId::generate(&*database.clock, &SystemEntropy);
    assert!(matches!(update(nobody, None).await, Err(StoreError::Missing(_))));
}

fn new_app(database: &Database, provider: Provider) -> NewProviderApp {
    NewProviderApp {
        id: provision::provider_app_id(&database.admin),
        provider,
        client_id: "client".to_owned(),
        addresses: Addresses {
            api_base_url: "https://api.example.com".to_owned(),
            auth_base_url: "https://auth.example.com".to_owned(),
            authorize_url: None,
        },
        mode: ProviderAppMode::Development,
    }
}

async fn opened(database: &Database, one: &Inhabited, provider: Provider) -> Option<String> {
    let app = load(&database.vault, &one.context, provider).await.unwrap().unwrap();
    app.client_secret.map(|secret| secret.expose_secret().to_owned())
}

async fn revision(database: &Database, one: &Inhabited) -> i64 {
    let tenant = one.context.tenant_id();
    let sql = format!("SELECT revision FROM tenants WHERE tenant_id = '{tenant}'");
    database.tamper(&sql).await.parse().unwrap()
}

async fn change(
    database: &Database,
    one: &Inhabited,
    edit: impl FnOnce(&mut ProviderAppRecord),
    secret: &SecretChange<'_>,
) -> ProviderAppRecord {
    as_admin(database, one, async |tx| {
        let mut app = apps::lock(tx, Provider::Tidal).await?.unwrap();
        edit(&mut app);
        apps::update(tx, &app, secret).await?;
        Ok(apps::get(tx, Provider::Tidal).await?.unwrap())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_clients_secret_is_replaced_kept_and_removed_and_every_change_is_a_change_of_the_tenant() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let (admin, app) = (&database.admin, new_app(&database, Provider::Tidal));
    let (first, second) = (SecretString::from("first secret"), SecretString::from("second secret"));
    let sealing = Sealing::prepare(admin, &ada.context, &first).await.unwrap();
    let mut seen = revision(&database, &ada).await;
    let mut changed = async || {
        let now = revision(&database, &ada).await;
        std::mem::replace(&mut seen, now) < now
    };
    let insert =
        async || as_admin(&database, &ada, async |tx| apps::insert(tx, &app, Some(&sealing)).await).await;
    insert().await.unwrap();
    assert!(matches!(insert().await, Err(StoreError::AlreadyExists(_))));
    assert!(changed().await, "set up");
    assert_eq!(opened(&database, &ada, Provider::Tidal).await.as_deref(), Some("first secret"));

    let other_address =
        |app: &mut ProviderAppRecord| app.addresses.api_base_url = "https://other.example".to_owned();
    let kept = change(&database, &ada, other_address, &SecretChange::Keep).await;
    assert!(changed().await, "another address");
    assert_eq!(kept.addresses.api_base_url, "https://other.example");
    assert_eq!(opened(&database, &ada, Provider::Tidal).await.as_deref(), Some("first secret"));

    let sealing = Sealing::prepare(admin, &ada.context, &second).await.unwrap();
    let replaced = change(&database, &ada, |_| {}, &SecretChange::Replace(sealing)).await;
    assert!(changed().await, "another secret");
    assert!(replaced.revision > kept.revision && replaced.has_client_secret);
    assert_eq!(opened(&database, &ada, Provider::Tidal).await.as_deref(), Some("second secret"));

    let public = change(&database, &ada, |_| {}, &SecretChange::Remove).await;
    assert!(changed().await && !public.has_client_secret);
    assert_eq!(opened(&database, &ada, Provider::Tidal).await, None);
    let same = change(&database, &ada, |_| {}, &SecretChange::Keep).await;
    assert!(!changed().await, "nothing that anyone remembers is another");
    assert_eq!(same.revision, public.revision);

    let foreign = as_admin(&database, &bob, async |tx| apps::get(tx, Provider::Tidal).await).await.unwrap();
    assert_eq!(foreign, None);
    let remove = async || {
        as_admin(&database, &ada, async |tx| {
            let app = apps::lock(tx, Provider::Tidal).await?.ok_or(StoreError::Missing("provider app"))?;
            apps::remove(tx, &app).await
        })
        .await
    };
    remove().await.unwrap();
    assert!(changed().await, "removed");
    assert!(matches!(remove().await, Err(StoreError::Missing(_))));
}

#[tokio::test]
async fn a_client_that_accounts_are_linked_through_stays() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let app = new_app(&database, Provider::Spotify);
    let work = async |tx: &mut TenantTransaction| {
        apps::insert(tx, &app, None).await?;
        let record = apps::get(tx, Provider::Spotify).await?.unwrap();
        apps::remove(tx, &record).await
    };
    let refused = as_admin(&database, &ada, work).await;
    assert!(matches!(refused, Err(StoreError::Impossible(_))), "{refused:?}");
}

async fn admin_key(database: &Database, role: AdminRole, bound_to: Option<&Inhabited>) -> NewAdminKey {
    let plain = PlainApiKey::generate(&SystemEntropy, KeyMode::Admin);
    let key = NewAdminKey {
        id: plain.id().clone(),
        name: "an admin's".to_owned(),
        role,
        bound_to: bound_to.map(|one| one.context.tenant_id()),
        digest: plain.digest(&peppers()),
        allowed_networks: Vec::new(),
        expires_at: Some(database.clock.now() + TimeDelta::hours(1)),
        created_by: "job:test".to_owned(),
    };
    assert!(database.admin.store().insert_admin_key(&key).await.unwrap());
    key
}

async fn begun(database: &Database, one: &Inhabited, key: &NewAdminKey, number: u8) -> LinkAttemptId {
    let new = NewLinkAttempt { principal: format!("admin:{}", key.id), ..attempt(database, one, number) };
    in_tenant(database, one, async |tx| link_attempts::insert(tx, &new).await).await;
    new.id
}

async fn asking(database: &Database, one: &Inhabited, attempt: LinkAttemptId) -> Option<AskingAdmin> {
    in_tenant(database, one, async |tx| link_attempts::asking_admin(tx, attempt).await).await
}

#[tokio::test]
async fn a_link_that_an_admin_began_ends_with_the_admins_key() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let now = database.clock.now();
    let operator = admin_key(&database, AdminRole::PlatformOperator, None).await;
    let own = admin_key(&database, AdminRole::TenantAdmin, Some(&ada)).await;
    let others = admin_key(&database, AdminRole::TenantAdmin, Some(&bob)).await;
    let auditor = admin_key(&database, AdminRole::Auditor, None).await;

    for (number, key, may) in [(1, &operator, true), (2, &own, true), (3, &auditor, false)] {
        let attempt = begun(&database, &ada, key, number).await;
        let admin = asking(&database, &ada, attempt).await.unwrap();
        assert_eq!(admin.may_link_at(now), may, "{:?}", key.role);
        assert!(!admin.may_link_at(now + TimeDelta::hours(1)), "its time is over");
        assert_eq!(asking(&database, &bob, attempt).await, None, "another tenant's attempt");
    }
    let foreign = begun(&database, &ada, &others, 4).await;
    assert_eq!(asking(&database, &ada, foreign).await, None, "a key of another tenant is nobody's here");
    let agents = attempt(&database, &ada, 5);
    in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &agents).await).await;
    assert_eq!(asking(&database, &ada, agents.id).await, None);

    let last = begun(&database, &ada, &own, 6).await;
    assert!(database.admin.store().revoke_admin_key(&own.id, "test", now).await.unwrap());
    assert!(!asking(&database, &ada, last).await.unwrap().may_link_at(now), "it was revoked");
}

#[tokio::test]
async fn a_newer_link_of_an_admin_takes_the_place_of_older_ones_and_of_no_agents() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let now = database.clock.now();
    let key = admin_key(&database, AdminRole::PlatformOperator, None).await;
    let older = begun(&database, &ada, &key, 1).await;
    let agents = attempt(&database, &ada, 2);
    in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &agents).await).await;
    let end = async |provider| {
        in_tenant(&database, &ada, async |tx| {
            link_attempts::end_those_of_admins(tx, ada.user, provider, now).await
        })
        .await
    };
    assert_eq!(end(Provider::Tidal).await, 0, "another provider");
    let token = NewLinkAttempt { principal: "admin-jwt:ada".to_owned(), ..attempt(&database, &ada, 3) };
    in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &token).await).await;
    assert_eq!(end(Provider::Spotify).await, 2, "by key and by token");
    let outcome = async |id| {
        let found = find(&database, &ada, id).await;
        matches!(found.outcome(now), LinkOutcome::Ended("link_expired"))
    };
    assert!(outcome(older).await && !outcome(agents.id).await);
}
