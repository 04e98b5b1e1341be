//! The life of API keys: making, listing, changing, rotating and ending them, as provisioning does.

use std::time::Duration;

use chrono::TimeDelta;
use stagedoor_crypto::{KeyMode, PlainApiKey};
use stagedoor_domain::{Clock as _, Scope, ScopeSet, Toolset, ToolsetSet};
use stagedoor_storage::api_keys::{
    self, KeyChanges, KeyFilter, KeyList, KeyPage, KeyState, KeySummary, KeyUse, NewApiKey, reasons,
};
use stagedoor_storage::{StoreError, TenantTransaction, provision};

use crate::support::{Database, Inhabited, peppers};

fn assistant() -> NewApiKey {
    NewApiKey {
        name: "assistant".to_owned(),
        scopes: ScopeSet::all(),
        toolsets: Some(ToolsetSet::empty().with(Toolset::Catalog)),
        read_only: true,
        user: None,
        allowed_networks: vec!["192.0.2.0/24".parse().unwrap()],
        expires_at: None,
    }
}

async fn make(database: &Database, of: &Inhabited, key: &NewApiKey) -> Result<PlainApiKey, StoreError> {
    provision::create_api_key(&database.admin, &of.context, &peppers(), KeyMode::Live, key).await
}

async fn get(database: &Database, of: &Inhabited, key: &PlainApiKey) -> KeySummary {
    let get = async |tx: &mut TenantTransaction| api_keys::get(tx, key.id()).await;
    database.vault.store().with_tenant(&of.context, get).await.unwrap().unwrap()
}

async fn update(
    database: &Database,
    of: &Inhabited,
    key: &PlainApiKey,
    revision: Option<i64>,
    changes: &KeyChanges,
) -> Result<KeySummary, StoreError> {
    let now = database.clock.now();
    let update =
        async |tx: &mut TenantTransaction| api_keys::update(tx, key.id(), revision, changes, now).await;
    database.admin.store().with_tenant(&of.context, update).await
}

async fn list(database: &Database, of: &Inhabited, filter: &KeyFilter, page: &KeyPage) -> KeyList {
    let now = database.clock.now();
    let list = async |tx: &mut TenantTransaction| api_keys::list(tx, filter, page, now).await;
    database.admin.store().with_tenant(&of.context, list).await.unwrap()
}

#[tokio::test]
async fn all_is_told_of_a_key_but_what_it_is_checked_against() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let key = make(&database, &ada, &assistant()).await.unwrap();
    let told = get(&database, &ada, &key).await;
    assert_eq!((told.id.as_str(), told.name.as_str()), (key.id().as_str(), "assistant"));
    assert_eq!((told.mode, told.scopes, told.read_only), (KeyMode::Live, ScopeSet::all(), true));
    assert_eq!((told.toolsets, told.user), (assistant().toolsets, None));
    assert_eq!(told.allowed_networks, assistant().allowed_networks);
    assert_eq!((told.revision, told.created_by.as_deref()), (1, Some("job:provision")));
    assert_eq!((told.last_used_at, told.revoked_at, told.replaced_by.clone()), (None, None, None));
    assert_eq!(told.state_at(database.clock.now()), KeyState::Active);
    let text = format!("{told:?}");
    assert!(!text.contains(&key.expose_secret()[21..64]) && !text.contains("digest"), "{text}");
}

#[tokio::test]
async fn a_name_has_two_active_keys_at_most_however_they_come() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let first = make(&database, &ada, &assistant()).await.unwrap();
    // Many at once for the one place that is left.
    let wanted = assistant();
    let tries = (0..6).map(|_| make(&database, &ada, &wanted));
    let made: Vec<_> = futures_util::future::join_all(tries).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    let refused = made.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(refused, StoreError::AlreadyExists(_)), "{refused}");
    make(&database, &bob, &assistant()).await.expect("another tenant's names are its own");

    let other = NewApiKey { name: "other".to_owned(), ..assistant() };
    let other = make(&database, &ada, &other).await.unwrap();
    let renamed = KeyChanges { name: Some("assistant".to_owned()), ..KeyChanges::default() };
    let refused = update(&database, &ada, &other, None, &renamed).await.unwrap_err();
    assert!(matches!(refused, StoreError::AlreadyExists(_)), "{refused}");

    provision::revoke_api_key(&database.admin, &ada.context, first.id(), "no longer needed").await.unwrap();
    update(&database, &ada, &other, None, &renamed).await.expect("a revoked key takes no place");
    database.tamper("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE name = 'assistant'").await;
    make(&database, &ada, &assistant()).await.expect("nor does one that has ended");
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_field_and_changes_nothing() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let now = database.clock.now();
    let key = make(&database, &ada, &assistant()).await.unwrap();
    let before = get(&database, &ada, &key).await;
    let none = KeyChanges::default;
    for (field, changes) in [
        ("name", KeyChanges { name: Some(" ".to_owned()), ..none() }),
        ("scopes", KeyChanges { scopes: Some(ScopeSet::empty()), ..none() }),
        ("toolsets", KeyChanges { toolsets: Some(Some(ToolsetSet::empty())), ..none() }),
        ("expires_at", KeyChanges { expires_at: Some(Some(now)), ..none() }),
    ] {
        match update(&database, &ada, &key, None, &changes).await {
            Err(StoreError::Invalid { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let stale = update(&database, &ada, &key, Some(7), &none()).await.unwrap_err();
    assert!(matches!(stale, StoreError::Changed(_)), "{stale}");
    assert_eq!(get(&database, &ada, &key).await, before);
    let nobody = NewApiKey { user: Some(uuid::Uuid::from_u128(7).into()), ..assistant() };
    let refused = make(&database, &ada, &nobody).await.unwrap_err();
    assert!(matches!(refused, StoreError::Missing("person")), "{refused}");
    provision::revoke_api_key(&database.admin, &ada.context, key.id(), "gone").await.unwrap();
    let revoked = update(&database, &ada, &key, None, &none()).await.unwrap_err();
    assert!(matches!(revoked, StoreError::Impossible(_)), "{revoked}");
}

#[tokio::test]
async fn a_change_raises_the_revision_and_a_use_does_not() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let key = make(&database, &ada, &assistant()).await.unwrap();
    let scopes = ScopeSet::empty().with(Scope::CatalogRead);
    let until = database.clock.now() + TimeDelta::hours(1);
    let changes = KeyChanges {
        name: Some("renamed".to_owned()),
        scopes: Some(scopes),
        toolsets: Some(None),
        read_only: Some(false),
        allowed_networks: Some(Vec::new()),
        expires_at: Some(Some(until)),
    };
    let changed = update(&database, &ada, &key, Some(1), &changes).await.unwrap();
    assert_eq!((changed.revision, changed.name.as_str(), changed.scopes), (2, "renamed", scopes));
    assert_eq!((changed.toolsets, changed.read_only, changed.expires_at), (None, false, Some(until)));
    assert!(changed.allowed_networks.is_empty());
    let same = update(&database, &ada, &key, Some(2), &changes).await.unwrap();
    assert_eq!(same, changed, "what is as it was is no change");

    let store = database.vault.store();
    let (gap, used) = (Duration::from_mins(10), |seconds| KeyUse {
        tenant: ada.context.tenant_id(),
        key: key.id().clone(),
        ago: Duration::from_secs(seconds),
    });
    assert_eq!(store.note_key_use(&[used(90)], gap).await.unwrap(), 1);
    assert_eq!(
        store.note_key_use(&[used(1)], gap).await.unwrap(),
        0,
        "within the gap another replica did it"
    );
    assert_eq!(store.note_key_use(&[used(1)], Duration::from_mins(1)).await.unwrap(), 1);
    let after = get(&database, &ada, &key).await;
    assert_eq!(after.revision, 2);
    assert!(after.last_used_at.is_some());
    let slug = &ada.context.tenant().slug;
    let found = store.find_api_key(slug, key.id()).await.unwrap().unwrap();
    assert_eq!(found.key_revision, 2);
    assert!(found.unused.is_some_and(|unused| unused >= Duration::from_secs(1)));
}

#[tokio::test]
async fn keys_are_listed_by_page_the_newest_first() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let id = ada.context.tenant_id();
    database
        .tamper(&format!(
            "INSERT INTO api_keys (tenant_id, key_id, name, mode, pepper_version, digest, scopes, created_at,
                revoked_at, expires_at)
            SELECT '{id}', lpad(n::text, 12, '0'), 'key ' || n, 'live', 1, sha256(''), '{{catalog:read}}',
                now() + make_interval(secs => n / 2), CASE WHEN n % 3 = 0 THEN now() END,
                CASE WHEN n % 3 = 1 THEN now() - interval '1 day' END
            FROM generate_series(1, 20) n"
        ))
        .await;
    let (mut ids, mut page) = (Vec::new(), KeyPage { after: None, size: 6 });
    loop {
        let answer = list(&database, &ada, &KeyFilter::default(), &page).await;
        assert!(answer.keys.len() <= 6);
        ids.extend(answer.keys.iter().map(|key| key.id.to_string()));
        let Some(next) = answer.next else { break };
        // As whoever pages hands it back.
        page.after = Some(next.to_string().parse().unwrap());
    }
    let mut wanted: Vec<_> = (1..=20).rev().map(|n| format!("{n:012}")).collect();
    wanted.push(ada.key.id().to_string());
    assert_eq!(ids, wanted);

    let all = KeyPage { after: None, size: 100 };
    let count = async |filter: KeyFilter| list(&database, &ada, &filter, &all).await.keys.len();
    let state = |state| KeyFilter { state: Some(state), ..KeyFilter::default() };
    assert_eq!(count(state(KeyState::Revoked)).await, 6);
    assert_eq!(count(state(KeyState::Expired)).await, 7);
    assert_eq!(count(state(KeyState::Active)).await, 8);
    assert_eq!(count(KeyFilter { user: Some(ada.user), ..KeyFilter::default() }).await, 1);
    assert_eq!(count(KeyFilter { name: Some("key 7".to_owned()), ..KeyFilter::default() }).await, 1);
}

#[tokio::test]
async fn a_rotation_overlaps_and_ends_the_old_key_in_time() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (admin, ctx, peppers) = (&database.admin, &ada.context, peppers());
    let made_to_last =
        NewApiKey { expires_at: Some(database.clock.now() + TimeDelta::days(90)), ..assistant() };
    let key = make(&database, &ada, &made_to_last).await.unwrap();
    let day = Duration::from_hours(24);
    let too_long = provision::rotate_api_key(admin, ctx, &peppers, key.id(), day * 8).await.unwrap_err();
    assert!(matches!(too_long, StoreError::Invalid { field: "overlap", .. }), "{too_long}");

    let rotated = provision::rotate_api_key(admin, ctx, &peppers, key.id(), day).await.unwrap();
    let (old, new) = (&rotated.old, &rotated.new);
    assert_eq!(old.expires_at, Some(database.clock.now() + TimeDelta::days(1)));
    assert_eq!((old.replaced_by.as_ref(), old.revoked_at), (Some(&new.id), None));
    let rights = |key: &KeySummary| {
        let networks = key.allowed_networks.clone();
        (key.name.clone(), key.mode, key.scopes, key.toolsets, key.read_only, key.user, networks)
    };
    assert_eq!(rights(new), rights(old));
    let life = new.expires_at.unwrap() - database.clock.now();
    assert!((life - TimeDelta::days(90)).abs() < TimeDelta::days(1), "as long as the old one's: {life}");
    let slug = &ctx.tenant().slug;
    for (plain, works) in [(&key, true), (&rotated.plain, true)] {
        let found = database.vault.store().find_api_key(slug, plain.id()).await.unwrap();
        assert_eq!(found.is_some_and(|found| plain.verify(&found.digest, &peppers)), works);
    }

    let again = provision::rotate_api_key(admin, ctx, &peppers, key.id(), day).await.unwrap_err();
    assert!(matches!(again, StoreError::Impossible(_)), "the one in its place is to be rotated: {again}");
    let third = provision::rotate_api_key(admin, ctx, &peppers, &new.id, day).await.unwrap_err();
    assert!(matches!(third, StoreError::AlreadyExists(_)), "two are active: {third}");
    let longer = KeyChanges { expires_at: Some(None), ..KeyChanges::default() };
    let longer = update(&database, &ada, &key, None, &longer).await.unwrap_err();
    assert!(matches!(longer, StoreError::Invalid { field: "expires_at", .. }), "{longer}");

    provision::revoke_api_key(admin, ctx, key.id(), "moved early").await.unwrap();
    let at_once = provision::rotate_api_key(admin, ctx, &peppers, &new.id, Duration::ZERO).await.unwrap();
    assert_eq!(at_once.old.revoked_reason.as_deref(), Some(reasons::ROTATED));
    assert_eq!(at_once.new.state_at(database.clock.now()), KeyState::Active);
}

#[tokio::test]
async fn a_reported_key_is_found_by_its_id_and_ends_for_who_has_its_digest() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let store = database.vault.store();
    let mut found = store.reported_key(KeyMode::Live, ada.key.id()).await.unwrap().unwrap();
    assert_eq!((found.tenant.id, found.revoked), (ada.context.tenant_id(), false));
    assert!(ada.key.verify(&found.digest, &peppers()) && !bob.key.verify(&found.digest, &peppers()));
    assert!(store.reported_key(KeyMode::Admin, ada.key.id()).await.unwrap().is_none());
    assert!(store.reported_key(KeyMode::Live, &"000000000000".parse().unwrap()).await.unwrap().is_none());

    let right = found.digest.clone();
    found.digest.hmac[0] ^= 1;
    assert!(!store.revoke_leaked_key(&found).await.unwrap(), "another digest");
    found.digest = right;
    assert!(store.revoke_leaked_key(&found).await.unwrap());
    assert!(!store.revoke_leaked_key(&found).await.unwrap(), "once");
    assert_eq!(get(&database, &ada, &ada.key).await.revoked_reason.as_deref(), Some(reasons::LEAKED));
    assert!(store.reported_key(KeyMode::Test, ada.key.id()).await.unwrap().unwrap().revoked);
    assert_eq!(get(&database, &bob, &bob.key).await.revoked_at, None);
}
