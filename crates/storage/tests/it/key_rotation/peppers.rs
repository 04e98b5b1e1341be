//! Keys of the admin API under peppers: counted with their tenants, or with the platform's, brought under a newer one by
//! whoever presents them, and ended with the others.

use stagedoor_crypto::{ApiKeyDigest, KeyMode, PlainApiKey, SystemEntropy};
use stagedoor_domain::{TenantContext, TenantId};
use stagedoor_storage::KeyVault;
use stagedoor_storage::admin_keys::{AdminRole, NewAdminKey};
use stagedoor_storage::rotation::{self, KeysUnder};

use super::steps::keeper;
use crate::support::{Database, Inhabited, KEY, peppers};

/// A key that is bound to a tenant, or to none.
async fn key(database: &Database, bound_to: Option<TenantId>) -> (PlainApiKey, ApiKeyDigest) {
    let plain = PlainApiKey::generate(&SystemEntropy, KeyMode::Admin);
    let digest = plain.digest(&peppers());
    let key = NewAdminKey {
        id: plain.id().clone(),
        name: "a key".to_owned(),
        role: AdminRole::Auditor,
        bound_to,
        digest: digest.clone(),
        allowed_networks: Vec::new(),
        expires_at: None,
        created_by: "job:test".to_owned(),
    };
    assert!(database.admin.store().insert_admin_key(&key).await.unwrap());
    (plain, digest)
}

async fn uses(vault: &KeyVault, context: &TenantContext) -> Vec<(u16, u64)> {
    let uses = rotation::pepper_uses(vault, context, vault.clock().now()).await.unwrap();
    uses.into_iter().map(|used| (used.version, used.keys)).collect()
}

#[tokio::test]
async fn admin_keys_follow_the_pepper_as_agents_keys_do() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let platform: Inhabited = database.inhabit("platform").await;
    let keeper = keeper(&database, &[("1", KEY)]).await;
    let (_, of_ada) = key(&database, Some(ada.context.tenant_id())).await;
    let (used, old) = key(&database, None).await;
    key(&database, None).await;
    let first = of_ada.pepper_version;
    assert_eq!(uses(&keeper, &ada.context).await, [(first, 2)], "an agent's key and an admin's");
    assert_eq!(
        uses(&keeper, &platform.context).await,
        [(first, 3)],
        "an agent's and those of the installation"
    );

    let store = database.admin.store();
    let newer = ApiKeyDigest { pepper_version: first + 1, hmac: [7; 32] };
    assert!(store.repepper_admin_key(used.id(), &old, &newer).await.unwrap());
    assert!(!store.repepper_admin_key(used.id(), &old, &newer).await.unwrap(), "it is there already");
    assert!(!store.repepper_admin_key(used.id(), &newer, &old).await.unwrap(), "never under an older one");
    assert_eq!(store.find_admin_key(used.id()).await.unwrap().unwrap().digest, newer);
    let all = keeper.store().admin_key_peppers(keeper.clock().now()).await.unwrap();
    let all: Vec<_> = all.into_iter().map(|used| (used.version, used.keys)).collect();
    assert_eq!(all, [(first, 2), (first + 1, 1)]);

    let now = keeper.clock().now();
    let ended = rotation::revoke_keys_under(&keeper, &platform.context, first + 1, now).await.unwrap();
    assert_eq!(ended, KeysUnder { agents: 1, admins: 1 });
    assert_eq!(uses(&keeper, &platform.context).await, [(first + 1, 1)]);
    assert_eq!(uses(&keeper, &ada.context).await, [(first, 2)], "another tenant's are its own");
    let ended = rotation::revoke_keys_under(&keeper, &ada.context, first + 1, now).await.unwrap();
    assert_eq!(ended, KeysUnder { agents: 1, admins: 1 });
    let why = "SELECT DISTINCT revoked_reason FROM admin_keys WHERE revoked_at IS NOT NULL";
    assert_eq!(database.tamper(why).await, "pepper");
    assert!(store.find_admin_key(used.id()).await.unwrap().unwrap().is_valid_at(now));
}
