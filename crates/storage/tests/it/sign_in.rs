//! The look-ups before a tenant is known.

use stagedoor_domain::{Clock as _, PrincipalKind, ScopeSet, TenantStatus};
use stagedoor_storage::{StoreError, api_keys};

use crate::support::{Database, peppers};

#[tokio::test]
async fn a_key_is_found_by_its_own_tenant_and_id_only() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let store = database.vault.store();
    let slug = |inhabited: &crate::support::Inhabited| inhabited.context.tenant().slug.clone();

    let found = store.find_api_key(&slug(&ada), ada.key.id()).await.unwrap().unwrap();
    assert!(ada.key.verify(&found.digest, &peppers()));
    assert!(!bob.key.verify(&found.digest, &peppers()));
    assert_eq!(found.tenant.id, ada.context.tenant_id());
    assert_eq!(found.principal.kind, PrincipalKind::ApiKey(ada.key.id().clone()));
    assert_eq!(found.principal.user, Some(ada.user));
    assert_eq!(found.principal.scopes, ScopeSet::all());
    assert!(found.principal.allows_address("10.1.2.3".parse().unwrap()));
    assert!(!found.principal.allows_address("11.1.2.3".parse().unwrap()));
    assert!(found.principal.expires_at.unwrap() > database.clock.now());

    assert!(store.find_api_key(&slug(&bob), ada.key.id()).await.unwrap().is_none());
    assert!(store.find_api_key(&"nobody".parse().unwrap(), ada.key.id()).await.unwrap().is_none());
    assert!(store.find_api_key(&slug(&ada), &"000000000000".parse().unwrap()).await.unwrap().is_none());

    database.tamper("UPDATE tenants SET name = name").await;
    let later = store.find_api_key(&slug(&ada), ada.key.id()).await.unwrap().unwrap();
    assert_eq!(later.tenant_revision, found.tenant_revision + 1);
}

#[tokio::test]
async fn a_revoked_key_is_gone_and_a_suspended_tenant_says_so() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let slug = &ada.context.tenant().slug;
    let revoke = async |reason: &str| {
        let revoke = async |tx: &mut _| api_keys::revoke(tx, ada.key.id(), reason).await;
        database.admin.store().with_tenant::<_, StoreError>(&ada.context, revoke).await.unwrap()
    };
    let revoked = revoke("left the company").await;
    assert_eq!(revoked.revoked_reason.as_deref(), Some("left the company"));
    assert_eq!(revoke("again").await, revoked, "a second time there is nothing to revoke");
    assert!(database.vault.store().find_api_key(slug, ada.key.id()).await.unwrap().is_none());

    database.tamper("UPDATE tenants SET status = 'suspended'").await;
    let tenant = database.vault.store().find_tenant(slug).await.unwrap().unwrap();
    assert_eq!((tenant.id, tenant.status), (ada.context.tenant_id(), TenantStatus::Suspended));
    assert!(database.vault.store().find_tenant(&"nobody".parse().unwrap()).await.unwrap().is_none());
}

/// The function steps into the key's tenant; the caller must find itself where it was.
#[tokio::test]
async fn the_look_up_leaves_the_callers_tenant_alone() {
    use sqlx::Connection as _;
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let mut connection = database.bare("stagedoor_app").await;
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("SELECT set_config('stagedoor.tenant_id', $1, true)")
        .bind(ada.context.tenant_id().to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let found = sqlx::query("SELECT * FROM api_key_for_sign_in('bob', $1)")
        .bind(bob.key.id().as_str())
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let slug: String =
        sqlx::query_scalar("SELECT slug FROM tenants").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(slug, "ada");
}
