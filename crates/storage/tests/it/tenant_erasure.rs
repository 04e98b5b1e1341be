//! Erasing a tenant: each of its people, then what is its own, its keys and its name. The chain stays.

use stagedoor_domain::{Clock as _, PrivacyRequestId, TenantSettings, TenantStatus};
use stagedoor_storage::erasure::{
    Batch, Destroyed, Spread, destroy_person, destroy_tenant, erase_batch, erase_tenant_batch, spread,
};
use stagedoor_storage::privacy_requests::{
    self, Claim, Kind, State, children, claim_due, finish, request_tenant_erasure,
};
use stagedoor_storage::{StoreError, provision, signing_keys};

use crate::persons::{advance, confirmed, settle};
use crate::support::{Database, Inhabited};

async fn ours(database: &Database, one: &Inhabited, claim: &Claim) -> (u64, u64) {
    match spread(database.vault.store(), &one.context, claim, 2).await.unwrap() {
        Spread::Ours { begun, left } => (begun, left),
        Spread::Lost => panic!("nobody else is there"),
    }
}

/// All but the receipt.
async fn erase_person(database: &Database, one: &Inhabited, claim: &Claim) {
    let store = database.vault.store();
    assert!(advance(database, one, claim, State::Verified, State::Revoked).await);
    while erase_batch(store, &one.context, claim).await.unwrap() != Batch::Nothing {}
    assert!(advance(database, one, claim, State::Revoked, State::Erased).await);
    assert_eq!(destroy_person(store, &one.context, claim).await.unwrap(), Destroyed::Done);
}

#[tokio::test]
async fn a_tenant_goes_with_all_of_its_people_and_leaves_its_chain() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    settle(&database, &ada).await;
    settle(&database, &bob).await;
    for name in ["carol", "dave", "eve"] {
        provision::create_user(&database.admin, &ada.context, None, name).await.unwrap();
    }
    // Whose own erasure is under way is part of it.
    confirmed(&database, &ada).await;
    let (vault, store) = (&database.vault, database.vault.store());
    let id = PrivacyRequestId::generate(&*database.clock, vault.entropy());
    let denied = request_tenant_erasure(store, &ada.context, id).await;
    assert!(matches!(denied, Err(StoreError::Query(_))), "provisioning's alone: {denied:?}");
    let begun = request_tenant_erasure(database.admin.store(), &ada.context, id).await.unwrap();
    assert_eq!((begun.kind, begun.state, begun.user), (Kind::TenantErasure, State::Verified, None));
    let other = PrivacyRequestId::generate(&*database.clock, vault.entropy());
    let again = request_tenant_erasure(database.admin.store(), &ada.context, other).await.unwrap();
    assert_eq!(again.id, id);
    let tenant = store.tenant_by_id(ada.context.tenant_id()).await.unwrap().unwrap();
    assert_eq!(tenant.status, TenantStatus::Deleting);
    let late = provision::create_user(&database.admin, &ada.context, None, "frank").await;
    assert!(late.is_err(), "nobody comes any more");
    assert_eq!(database.tamper("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL").await, "1", "bob's");

    let claims = claim_due(store, 10).await.unwrap();
    let (mine, theirs): (Vec<_>, Vec<_>) = claims.into_iter().partition(|claim| claim.request == id);
    let [claim] = &mine[..] else { panic!("{mine:?}") };
    assert_eq!((claim.kind, theirs.len()), (Kind::TenantErasure, 1));
    assert_eq!(erase_tenant_batch(store, &ada.context, claim).await.unwrap(), Batch::Lost, "people first");
    assert_eq!(ours(&database, &ada, claim).await, (2, 4));
    // Nobody is begun while as many are worked on; whoever only waits to be settled does not count.
    let mut people = [theirs, claim_due(store, 10).await.unwrap()].concat();
    assert_eq!(people.len(), 3);
    for (person, begun) in people.iter().zip([0, 0, 1]) {
        assert_eq!(ours(&database, &ada, claim).await, (begun, 4));
        erase_person(&database, &ada, person).await;
    }
    people.extend(claim_due(store, 10).await.unwrap());
    erase_person(&database, &ada, &people[3]).await;
    assert_eq!(ours(&database, &ada, claim).await, (0, 4), "their receipts are missing");
    for person in &people {
        assert!(finish(store, &ada.context, person, "a person's receipt").await.unwrap());
    }
    assert_eq!(ours(&database, &ada, claim).await, (0, 0));
    let people = children(store, &ada.context, id).await.unwrap();
    assert_eq!((people.people, people.rows["users"], people.rows["linked_accounts"]), (4, 4, 1));

    let chain = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM audit_records t";
    let before = database.tamper(chain).await;
    let key = signing_keys::active(vault, &ada.context).await.unwrap();
    assert!(!destroy_tenant(store, &ada.context, claim, "early").await.unwrap());
    while erase_tenant_batch(store, &ada.context, claim).await.unwrap() != Batch::Nothing {}
    assert!(advance(&database, &ada, claim, State::Verified, State::Revoked).await);
    assert!(advance(&database, &ada, claim, State::Revoked, State::Erased).await);
    assert!(destroy_tenant(store, &ada.context, claim, "a tenant's receipt").await.unwrap());
    assert!(!destroy_tenant(store, &ada.context, claim, "another").await.unwrap());

    let gone = store.tenant_by_id(ada.context.tenant_id()).await.unwrap().unwrap();
    assert_eq!((gone.status, gone.settings), (TenantStatus::Deleted, TenantSettings::default()));
    assert!(store.find_tenant(&"ada".parse().unwrap()).await.unwrap().is_none());
    let done = privacy_requests::load(store, &ada.context, id).await.unwrap().unwrap();
    assert_eq!((done.state, done.receipt.as_deref()), (State::Done, Some("a tenant's receipt")));
    assert_eq!(database.tamper(chain).await, before);
    let public =
        store.with_tenant(&ada.context, async |tx| signing_keys::public_keys(tx).await).await.unwrap();
    assert_eq!(public.iter().map(|public| public.key).collect::<Vec<_>>(), [key.verifying_key()]);
    let left = format!(
        "SELECT (SELECT count(*) FROM data_keys WHERE tenant_id = '{0}' AND wrapped_key IS NOT NULL)
            + (SELECT count(*) FROM signing_keys WHERE tenant_id = '{0}' AND private_key IS NOT NULL)
            + (SELECT count(*) FROM users WHERE tenant_id = '{0}') + (SELECT count(*) FROM api_keys WHERE tenant_id = '{0}')
            + (SELECT count(*) FROM audit_payloads WHERE tenant_id = '{0}' AND sealed <> '')",
        ada.context.tenant_id()
    );
    assert_eq!(database.tamper(&left).await, "0");
    assert_eq!(
        database.tamper("SELECT count(*) FROM tenants WHERE (name, slug, settings)::text ~ 'ada'").await,
        "0"
    );

    // Whoever still works for it makes no key anew.
    database.clock.advance(std::time::Duration::from_mins(2));
    assert!(database.clock.elapsed() > std::time::Duration::from_mins(1));
    let sealed = vault.tenant_key(&ada.context).await;
    assert!(matches!(sealed, Err(StoreError::Missing(_))), "{sealed:?}");
    let over = request_tenant_erasure(database.admin.store(), &ada.context, other).await;
    assert!(matches!(over, Err(StoreError::Missing("tenant"))), "{over:?}");
    let bobs = store.find_api_key(&"bob".parse().unwrap(), bob.key.id()).await.unwrap();
    assert!(bobs.is_some(), "the other tenant is as it was");
}
