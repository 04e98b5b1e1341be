//! Requests under the law: asked once, answered by whoever brings the page's token, expired, and seen by operators.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stagedoor_crypto::digest::sha256;
use stagedoor_domain::{PrivacyRequestId, UserId};
use stagedoor_storage::erasure::spread;
use stagedoor_storage::privacy_requests::{
    self, CLAIMED, Confirmed, Kind, NewRequest, RequestCounts, State, Taken, claim_due, count_open,
    open_requests,
};
use stagedoor_storage::{StoreError, provision};

use crate::persons::{TOKEN, advance, claimed, confirmed, offer, read};
use crate::support::{Database, Inhabited};

async fn found(database: &Database, slug: &str, token: &[u8]) -> Option<PrivacyRequestId> {
    let store = database.vault.store();
    let page = store.find_privacy_page(&slug.parse().unwrap(), &sha256(&[token])).await.unwrap();
    page.map(|page| page.request)
}

async fn take(database: &Database, one: &Inhabited, id: PrivacyRequestId, token: &[u8]) -> Taken {
    privacy_requests::take_export(database.vault.store(), &one.context, id, token).await.unwrap()
}

async fn verify(database: &Database, one: &Inhabited, id: PrivacyRequestId, token: &[u8]) -> Confirmed {
    privacy_requests::verify(database.vault.store(), &one.context, id, token).await.unwrap()
}

async fn age_page(database: &Database) {
    let past = "clock_timestamp() - interval '1 second'";
    let sql = format!(
        "UPDATE privacy_requests SET page_expires_at = {past}, due_at = {past} WHERE completed_at IS NULL"
    );
    database.tamper(&sql).await;
}

#[tokio::test]
async fn a_copy_is_asked_for_with_one_page_at_a_time_and_taken_once() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let first = offer(&database, &ada, Kind::Export, b"one").await;
    assert_eq!((first.state, first.user, first.kind), (State::Requested, Some(ada.user), Kind::Export));
    assert_eq!(first.due_by - first.requested_at, chrono::TimeDelta::days(30));
    assert_eq!(first.page_expires_at.unwrap() - first.requested_at, chrono::TimeDelta::minutes(15));
    let again = offer(&database, &ada, Kind::Export, b"two").await;
    assert_eq!((again.id, again.requested_at), (first.id, first.requested_at));
    assert_eq!(found(&database, "ada", b"one").await, None, "its page was replaced");
    assert_eq!(found(&database, "ada", b"two").await, Some(first.id));
    assert_eq!(found(&database, "bob", b"two").await, None, "another tenant's page");

    assert_eq!(take(&database, &ada, first.id, b"one").await, Taken::Unknown);
    assert_eq!(take(&database, &bob, first.id, b"two").await, Taken::Unknown);
    assert_eq!(verify(&database, &ada, first.id, b"two").await, Confirmed::Unknown, "it is no erasure");
    assert_eq!(take(&database, &ada, first.id, b"two").await, Taken::Ready);
    assert_eq!(take(&database, &ada, first.id, b"two").await, Taken::Used);
    let store = database.vault.store();
    let rows = [("users", 1), ("jobs", 0)];
    assert!(privacy_requests::finish_export(store, &ada.context, first.id, &rows).await.unwrap());
    assert!(!privacy_requests::finish_export(store, &ada.context, first.id, &rows).await.unwrap());
    let done = read(&database, &ada, first.id).await;
    assert_eq!((done.state, done.rows().collect::<Vec<_>>()), (State::Done, vec![("jobs", 0), ("users", 1)]));
    assert_eq!(take(&database, &ada, first.id, b"two").await, Taken::Used);

    let second = offer(&database, &ada, Kind::Export, b"three").await;
    assert_ne!(second.id, first.id, "another copy is another request");
    age_page(&database).await;
    assert_eq!(take(&database, &ada, second.id, b"three").await, Taken::Expired);
    assert_eq!(read(&database, &ada, second.id).await.state, State::Expired);
    let listed = privacy_requests::list_of(store, &ada.context, ada.user, 10).await.unwrap();
    assert_eq!(listed.iter().map(|request| request.id).collect::<Vec<_>>(), [second.id, first.id]);
    assert_eq!(privacy_requests::list(store, &bob.context, 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_erasure_is_confirmed_with_the_pages_token_and_in_time() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let store = database.vault.store();
    let late = offer(&database, &ada, Kind::Erasure, b"one").await;
    assert_eq!(verify(&database, &ada, late.id, b"a guess").await, Confirmed::Unknown);
    let hash = sha256(&[b"one"]);
    assert_eq!(verify(&database, &ada, late.id, &hash).await, Confirmed::Unknown, "the hash is no token");
    age_page(&database).await;
    assert_eq!(verify(&database, &ada, late.id, b"one").await, Confirmed::TooLate);
    assert_eq!(claim_due(store, 10).await.unwrap(), [], "nobody confirmed it");
    assert_eq!(verify(&database, &ada, late.id, b"one").await, Confirmed::Over);

    let taken_back = offer(&database, &ada, Kind::Erasure, b"two").await;
    assert!(!privacy_requests::cancel(store, &ada.context, taken_back.id, b"one").await.unwrap());
    assert!(privacy_requests::cancel(store, &ada.context, taken_back.id, b"two").await.unwrap());
    assert_eq!(verify(&database, &ada, taken_back.id, b"two").await, Confirmed::Over);
    assert!(
        database.vault.store().find_api_key(&"ada".parse().unwrap(), ada.key.id()).await.unwrap().is_some()
    );

    assert_eq!(read(&database, &ada, late.id).await.since_verified, None);
    let id = confirmed(&database, &ada).await;
    assert_eq!(verify(&database, &ada, id, TOKEN).await, Confirmed::Before);
    database.tamper("UPDATE privacy_requests SET verified_at = verified_at - interval '1 hour'").await;
    let since = read(&database, &ada, id).await.since_verified.unwrap();
    assert!(since >= Duration::from_hours(1), "by the database's clock: {since:?}");
    database.tamper("UPDATE privacy_requests SET verified_at = verified_at + interval '2 hours'").await;
    assert_eq!(read(&database, &ada, id).await.since_verified, Some(Duration::ZERO));
    assert!(!privacy_requests::cancel(store, &ada.context, id, TOKEN).await.unwrap(), "it has begun");
    let again = offer(&database, &ada, Kind::Erasure, b"another").await;
    assert_eq!((again.id, again.state), (id, State::Verified), "the same request");
    assert_eq!(found(&database, "ada", b"another").await, None, "nobody takes the person's page away");
    assert_eq!(found(&database, "ada", TOKEN).await, Some(id));

    let stranger = NewRequest {
        id: PrivacyRequestId::generate(&*database.clock, database.vault.entropy()),
        kind: Kind::Erasure,
        user: UserId::generate(&*database.clock, database.vault.entropy()),
        principal: "key:x",
        page_hash: [1; 32],
    };
    let nobody = privacy_requests::offer(store, &ada.context, &stranger).await;
    assert!(matches!(nobody, Err(StoreError::Missing("person"))), "{nobody:?}");
}

#[tokio::test]
async fn one_worker_has_a_request_at_a_time() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let store = database.vault.store();
    let id = confirmed(&database, &ada).await;
    let first = claimed(&database).await;
    assert_eq!((first.request, first.user, first.state), (id, Some(ada.user), State::Verified));
    assert_eq!(claim_due(store, 10).await.unwrap(), [], "it is taken");
    let note = async |claim, at, member: &str| {
        let additions: Map<String, Value> = [(member.to_owned(), json!(1))].into_iter().collect();
        privacy_requests::note(store, &ada.context, claim, at, &additions).await.unwrap()
    };
    assert!(note(&first, State::Verified, "accounts").await);
    assert!(note(&first, State::Verified, "rows").await, "what it says of rows is left out");
    assert!(!note(&first, State::Revoked, "early").await, "it is not there yet");

    assert!(privacy_requests::hold(store, &ada.context, &first, Duration::ZERO).await.unwrap());
    let second = claimed(&database).await;
    assert!(!privacy_requests::hold(store, &ada.context, &first, CLAIMED).await.unwrap());
    assert!(!note(&first, State::Verified, "late").await);
    assert!(!advance(&database, &ada, &first, State::Verified, State::Revoked).await);
    assert!(advance(&database, &ada, &second, State::Verified, State::Revoked).await);
    assert!(!advance(&database, &ada, &second, State::Verified, State::Revoked).await, "it went on");
    let leap = (State::Revoked, State::KeyDestroyed);
    let leap = privacy_requests::advance(store, &ada.context, &second, leap, &Map::new()).await;
    assert!(leap.is_err(), "only what was done leads there");
    assert!(!privacy_requests::finish(store, &ada.context, &second, "a receipt").await.unwrap());
    let now = read(&database, &ada, id).await;
    assert_eq!((now.state, now.claims), (State::Revoked, 2));
    assert_eq!(Value::Object(now.progress), json!({"accounts": 1}));
}

#[tokio::test]
async fn tenants_take_turns() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    for name in ["carol", "dave", "eve"] {
        provision::create_user(&database.admin, &ada.context, None, name).await.unwrap();
    }
    let id = PrivacyRequestId::generate(&*database.clock, database.vault.entropy());
    privacy_requests::request_tenant_erasure(database.admin.store(), &ada.context, id).await.unwrap();
    let claim = claimed(&database).await;
    spread(database.vault.store(), &ada.context, &claim, 10).await.unwrap();
    confirmed(&database, &bob).await;
    let claims = claim_due(database.vault.store(), 2).await.unwrap();
    let of = |one: &Inhabited| claims.iter().filter(|claim| claim.tenant == one.context.tenant_id()).count();
    assert_eq!((of(&ada), of(&bob)), (1, 1));
}

#[tokio::test]
async fn operators_see_what_is_open_and_what_is_late_in_all_tenants() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let [copy, erasure] =
        [offer(&database, &ada, Kind::Export, b"one").await.id, confirmed(&database, &bob).await];
    for store in [database.vault.store(), database.admin.store()] {
        assert_eq!(count_open(store).await.unwrap(), RequestCounts { open: 2, late: 0 });
        assert_eq!(open_requests(store, true, None, 10).await.unwrap(), []);
        let open = open_requests(store, false, None, 10).await.unwrap();
        let told: Vec<_> =
            open.iter().map(|open| (&*open.slug, open.request, open.kind, open.state)).collect();
        assert_eq!(
            told,
            [("ada", copy, Kind::Export, State::Requested), ("bob", erasure, Kind::Erasure, State::Verified)]
        );
        let first = open_requests(store, false, None, 1).await.unwrap();
        let behind = Some((first[0].due_by, first[0].request));
        assert_eq!([first, open_requests(store, false, behind, 1).await.unwrap()].concat(), open);
    }
    let late = format!("UPDATE privacy_requests SET due_by = now() WHERE request_id = '{erasure}'");
    database.tamper(&late).await;
    let store = database.vault.store();
    assert_eq!(count_open(store).await.unwrap(), RequestCounts { open: 2, late: 1 });
    let late = open_requests(store, true, None, 10).await.unwrap();
    assert_eq!(late.iter().map(|late| late.request).collect::<Vec<_>>(), [erasure]);
}
