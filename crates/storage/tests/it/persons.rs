//! Someone of whom there is something in every table that is about people, and requests of theirs.

use stagedoor_crypto::digest::{commitment, sha256};
use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{CallId, Clock as _, PrivacyRequestId};
use stagedoor_storage::audit::{self, AuditBundle, NewAuditRecord};
use stagedoor_storage::privacy_requests::{
    self, Claim, Confirmed, Kind, NewRequest, PrivacyRequest, State, claim_due,
};
use stagedoor_storage::{StoreError, TenantTransaction, limit_violations};

use crate::attempts::in_tenant;
use crate::isolation::furnish;
use crate::support::{Database, Inhabited};
use crate::violations::violation;

/// What the token of a page is in these tests.
pub(crate) const TOKEN: &[u8] = b"the page's token";

/// Writes something into every table that is about people.
pub(crate) async fn settle(database: &Database, one: &Inhabited) {
    furnish(database, one).await;
    // Of one of the person's keys, although nobody noted whose it is.
    let key = format!("key:{}", one.key.id());
    let refused = violation(&key, "api-60", database.clock.now(), None);
    in_tenant(database, one, async |tx| limit_violations::add(tx, &[refused]).await).await;
    audited(database, one, br#"{"tool":"whoami","agent":"a private agent"}"#).await.unwrap();
    offer(database, one, Kind::Export, b"another token").await;
}

/// Appends one record of the person to today's chain.
pub(crate) async fn audited(database: &Database, one: &Inhabited, payload: &[u8]) -> Result<(), StoreError> {
    let (bundle, record) = record(database, one, payload).await;
    append(database, one, &bundle, &record).await
}

/// The same in two parts.
pub(crate) async fn record(
    database: &Database,
    one: &Inhabited,
    payload: &[u8],
) -> (AuditBundle, NewAuditRecord) {
    let (vault, context) = (&database.vault, &one.context);
    let (id, salt) = (uuid_v7(vault.clock(), vault.entropy()), [3; 32]);
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let place = SealContext {
        tenant: context.tenant_id(),
        table: "audit_payloads",
        column: "sealed",
        row: id,
        revision: 0,
    };
    let plaintext = [&length[..], &salt, payload].concat();
    let sealed = vault.seal(context, KeyOwner::Subject(one.user), &place, &plaintext).await.unwrap();
    let bundle = AuditBundle { id, user: Some(one.user), records: 1, sealed };
    let record = NewAuditRecord {
        kind: 3,
        at: database.clock.now(),
        commitment: commitment(&salt, payload),
        call: CallId::generate(vault.clock(), vault.entropy()),
        bundle: id,
        position: 0,
    };
    (bundle, record)
}

pub(crate) async fn append(
    database: &Database,
    one: &Inhabited,
    bundle: &AuditBundle,
    record: &NewAuditRecord,
) -> Result<(), StoreError> {
    let (store, day) = (database.vault.store(), database.clock.now().date_naive());
    store.ensure_audit_partitions(day, 1).await?;
    let write = async |tx: &mut TenantTransaction| {
        audit::append(tx, day, std::slice::from_ref(bundle), std::slice::from_ref(record)).await.map(drop)
    };
    store.with_tenant(&one.context, write).await
}

/// Asks for something, with a page whose token is `token`.
pub(crate) async fn offer(database: &Database, one: &Inhabited, kind: Kind, token: &[u8]) -> PrivacyRequest {
    let id = PrivacyRequestId::generate(&*database.clock, database.vault.entropy());
    let principal = format!("key:{}", one.key.id());
    let page_hash = sha256(&[token]);
    let request = NewRequest { id, kind, user: one.user, principal: &principal, page_hash };
    privacy_requests::offer(database.vault.store(), &one.context, &request).await.unwrap()
}

/// The request as it stands.
pub(crate) async fn read(database: &Database, one: &Inhabited, id: PrivacyRequestId) -> PrivacyRequest {
    privacy_requests::load(database.vault.store(), &one.context, id).await.unwrap().unwrap()
}

/// Asks for erasure and confirms it.
pub(crate) async fn confirmed(database: &Database, one: &Inhabited) -> PrivacyRequestId {
    let id = offer(database, one, Kind::Erasure, TOKEN).await.id;
    let verify = privacy_requests::verify(database.vault.store(), &one.context, id, TOKEN);
    assert_eq!(verify.await.unwrap(), Confirmed::Now);
    id
}

/// Claims the only request that is due.
pub(crate) async fn claimed(database: &Database) -> Claim {
    let mut claims = claim_due(database.vault.store(), 10).await.unwrap();
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.remove(0)
}

/// Goes on to the next state, with nothing to tell.
pub(crate) async fn advance(
    database: &Database,
    one: &Inhabited,
    claim: &Claim,
    from: State,
    to: State,
) -> bool {
    let none = serde_json::Map::new();
    privacy_requests::advance(database.vault.store(), &one.context, claim, (from, to), &none).await.unwrap()
}
