//! How replicas learn that a tenant was changed.

use std::time::Duration;

use sqlx::Connection as _;
use stagedoor_domain::{LimitClass, TenantId, TenantStatus};
use stagedoor_storage::tenants::TenantChanges;
use stagedoor_storage::{ChangesSince, Store};

use crate::support::Database;

const WITHIN: Duration = Duration::from_secs(30);

async fn changes(store: &Store, since: Option<&ChangesSince>) -> TenantChanges {
    store.tenant_changes(since, WITHIN).await.unwrap()
}

#[tokio::test]
async fn a_change_is_seen_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    database.inhabit("bob").await;
    let store = database.vault.store();
    database.tamper("ALTER TABLE tenants DISABLE TRIGGER note_tenant_change").await;
    database.tamper("UPDATE tenants SET updated_at = updated_at - interval '1 hour'").await;
    database.tamper("ALTER TABLE tenants ENABLE TRIGGER note_tenant_change").await;
    let begin = changes(store, None).await;
    assert_eq!((begin.changed.len(), begin.unbroken), (0, false), "both were made long ago");
    let since = begin.next.as_ref();

    database
        .tamper(
            r#"UPDATE tenants SET settings = '{"limits":{"api":[{"capacity":3,"window_seconds":60}]},"later":1}'
            WHERE slug = 'ada'"#,
        )
        .await;
    let seen = changes(store, since).await;
    let [one] = &seen.changed[..] else { panic!("{seen:?}") };
    assert_eq!((one.tenant.id, one.revision, seen.unbroken), (ada.context.tenant_id(), 2, true));
    assert_eq!(one.tenant.settings.quotas(LimitClass::Api)[0].capacity, 3);
    let since = seen.next.as_ref();
    assert_eq!(changes(store, since).await.changed.len(), 0, "told already");
    assert_eq!(changes(store, None).await.changed.len(), 1, "whoever begins looks back");

    database.tamper("UPDATE tenants SET status = 'suspended' WHERE slug = 'ada'").await;
    let again = changes(store, since).await;
    assert_eq!((again.changed[0].revision, again.changed[0].tenant.status), (3, TenantStatus::Suspended));
    assert!(again.changed[0].changed_at > one.changed_at, "the database's clock, not the transaction's");

    let by_id = store.tenant_by_id(ada.context.tenant_id()).await.unwrap().unwrap();
    assert_eq!((by_id.slug.as_str(), by_id.status), ("ada", TenantStatus::Suspended));
    let stranger = TenantId::generate(database.vault.clock(), database.vault.entropy());
    assert!(store.tenant_by_id(stranger).await.unwrap().is_none());
}

/// Its time is that of the change, and others were told of later ones meanwhile.
#[tokio::test]
async fn a_change_is_seen_however_late_it_is_committed() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    database.inhabit("bob").await;
    let store = database.vault.store();
    let begin = changes(store, None).await;
    let mut slow = database.bare("postgres").await;
    let mut change = slow.begin().await.unwrap();
    sqlx::query("UPDATE tenants SET status = 'suspended' WHERE slug = 'ada'")
        .execute(&mut *change)
        .await
        .unwrap();
    // As if it had been begun an hour ago: longer than any question by the clock reaches back.
    sqlx::query("ALTER TABLE tenants DISABLE TRIGGER note_tenant_change")
        .execute(&mut *change)
        .await
        .unwrap();
    sqlx::query("UPDATE tenants SET updated_at = now() - interval '1 hour' WHERE slug = 'ada'")
        .execute(&mut *change)
        .await
        .unwrap();
    sqlx::query("ALTER TABLE tenants ENABLE TRIGGER note_tenant_change").execute(&mut *change).await.unwrap();
    change.commit().await.unwrap();
    let seen = changes(store, begin.next.as_ref()).await;
    let [one] = &seen.changed[..] else { panic!("{seen:?}") };
    assert_eq!((one.tenant.id, one.tenant.status), (ada.context.tenant_id(), TenantStatus::Suspended));

    let mut slow_too = database.bare("postgres").await;
    let mut late = slow_too.begin().await.unwrap();
    sqlx::query("UPDATE tenants SET status = 'active' WHERE slug = 'ada'").execute(&mut *late).await.unwrap();
    database.tamper("UPDATE tenants SET name = 'Bob' WHERE slug = 'bob'").await;
    let of_bob = changes(store, seen.next.as_ref()).await;
    assert_eq!(of_bob.changed.iter().map(|one| one.tenant.slug.as_str()).collect::<Vec<_>>(), ["bob"]);
    late.commit().await.unwrap();
    let of_ada = changes(store, of_bob.next.as_ref()).await;
    assert_eq!(of_ada.changed.iter().map(|one| one.tenant.slug.as_str()).collect::<Vec<_>>(), ["ada"]);
}

#[tokio::test]
async fn settings_that_make_no_sense_have_their_default_everywhere() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let store = database.vault.store();
    for stored in [
        r#"{"limits":{"serch":[]},"concurrent_calls":4}"#,
        r#"{"limits":{"api":[{"capacity":-5,"window_seconds":60}]},"concurrent_calls":4}"#,
        r#"{"limits":"many","concurrent_calls":4}"#,
        r#"{"limits":null,"concurrent_calls":4}"#,
    ] {
        database.tamper(&format!("UPDATE tenants SET settings = '{stored}' WHERE slug = 'ada'")).await;
        let (slug, id) = ("ada".parse().unwrap(), ada.key.id());
        let signed_in = store.find_api_key(&slug, id).await.unwrap().unwrap().tenant;
        let found = store.find_tenant(&slug).await.unwrap().unwrap();
        let seen = changes(store, None).await;
        assert!(seen.not_understood.is_empty(), "{seen:?}");
        let changed = seen.changed.into_iter().map(|change| change.tenant);
        for tenant in changed.filter(|tenant| tenant.slug == slug).chain([signed_in, found]) {
            assert_eq!(tenant.settings.quotas(LimitClass::Api), LimitClass::Api.default_quotas(), "{stored}");
            assert_eq!(tenant.settings.concurrent_calls, Some(4), "the other members hold: {stored}");
        }
    }
}

#[tokio::test]
async fn a_row_that_is_not_understood_hides_nobody_elses_change() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    database.inhabit("bob").await;
    database.tamper("ALTER TABLE tenants DROP CONSTRAINT tenants_status_check").await;
    database.tamper("UPDATE tenants SET status = 'retired' WHERE slug = 'ada'").await;
    database.tamper("UPDATE tenants SET status = 'suspended' WHERE slug = 'bob'").await;
    let seen = changes(database.vault.store(), None).await;
    assert_eq!((seen.changed.len(), seen.changed[0].tenant.slug.as_str()), (1, "bob"));
    let [(id, revision, error)] = &seen.not_understood[..] else { panic!("{seen:?}") };
    assert_eq!((*id, *revision), (ada.context.tenant_id(), 2));
    assert!(error.to_string().contains("tenants.status"), "{error}");
}

/// Nobody but the gateway's role may ask across tenants, and it learns no more than what it serves by.
#[tokio::test]
async fn only_the_gateways_role_may_ask() {
    let database = Database::start().await;
    let holders = "SELECT p.proname || ' ' || string_agg(a.grantee::regrole::text, ',' ORDER BY a.grantee::regrole::text)
        FROM pg_proc p, aclexplode(p.proacl) a WHERE p.proname IN ('tenant_changes', 'tenants_changed_since', 'tenant_by_id')
            AND a.grantee <> p.proowner GROUP BY p.proname ORDER BY 1";
    assert_eq!(
        database.tamper(holders).await,
        "tenant_by_id stagedoor_app,stagedoor_keeper\ntenant_changes stagedoor_app\ntenants_changed_since stagedoor_app"
    );
}
