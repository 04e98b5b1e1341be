//! New seals for what old keys sealed, a page at a time, and the proof that everything opens.

use stagedoor_crypto::{OpenError, SealContext, envelope};
use stagedoor_domain::{TenantContext, TenantId};
use uuid::Uuid;

use super::DataLayer;
use super::places::Place;
use super::values::{self, Change, Value};
use crate::data_keys;
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<String>);

/// What became of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values under a new seal.
    pub resealed: u64,
    /// Values that someone wrote or held meanwhile: looked at again.
    pub written_meanwhile: u64,
    /// Values that do not open under the key that they name, and stay as they are.
    pub unreadable: u64,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Cursor>,
}

/// What a look at a page found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proved {
    /// Values that opened.
    pub opened: u64,
    /// Values that do not open under the key that they name.
    pub unreadable: u64,
    /// Values whose key is destroyed, or never was.
    pub without_key: u64,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Cursor>,
}

/// The keys of a layer that seal no more, but open.
pub async fn stale_keys(
    vault: &KeyVault,
    context: &TenantContext,
    layer: DataLayer,
) -> Result<Vec<Uuid>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let keys = sqlx::query_scalar!(
            "SELECT key_id FROM data_keys WHERE tenant_id = $1 AND purpose = $2 AND state = 'decrypt_only'
            ORDER BY key_id",
            tx.tenant_id().0,
            layer.purpose()
        );
        Ok::<_, StoreError>(keys.fetch_all(tx.connection()).await?)
    };
    vault.store().with_tenant(context, read).await
}

/// Seals the next values of a place that are under one of the `stale` keys under the key that its owner has now. Bound to
/// the same row and revision as before, so that whoever is about to write one of them is not disturbed.
pub async fn reseal_page(
    vault: &KeyVault,
    context: &TenantContext,
    place: &'static Place,
    stale: &[Uuid],
    after: Option<&Cursor>,
) -> Result<Resealed, StoreError> {
    let values = page(vault, context, place, Some(stale), after).await?;
    let mut outcome = Resealed { next: next(place, &values), ..Resealed::default() };
    let mut changes = Vec::with_capacity(values.len());
    for value in values {
        match reseal(vault, context, place, &value).await {
            Ok(Some(new)) => changes.push(Change { at: value.at, old: value.sealed, new }),
            // Its person is gone, and it will be.
            Ok(None) | Err(StoreError::Missing(_)) => outcome.written_meanwhile += 1,
            Err(StoreError::Unreadable { .. }) => outcome.unreadable += 1,
            Err(error) => return Err(error),
        }
    }
    if changes.is_empty() {
        return Ok(outcome);
    }
    let all = changes.len() as u64;
    let write = async |tx: &mut TenantTransaction| values::write(tx, place, &changes).await;
    match vault.store().with_tenant(context, write).await {
        Ok(done) => outcome.resealed = done,
        // Someone holds one of the rows; nothing of the page was written.
        Err(StoreError::Unavailable(error)) if is_held(&error) => {}
        Err(error) => return Err(error),
    }
    outcome.written_meanwhile += all - outcome.resealed;
    Ok(outcome)
}

/// Opens the next values of a place.
pub async fn prove_page(
    vault: &KeyVault,
    context: &TenantContext,
    place: &'static Place,
    after: Option<&Cursor>,
) -> Result<Proved, StoreError> {
    let values = page(vault, context, place, None, after).await?;
    let mut outcome = Proved { next: next(place, &values), ..Proved::default() };
    for value in values {
        match open(vault, context, place, &value).await {
            Ok(_) => outcome.opened += 1,
            Err(StoreError::Unreadable { .. }) => outcome.unreadable += 1,
            Err(StoreError::Missing(_)) => outcome.without_key += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

/// Opens every data key that was not destroyed.
pub async fn prove_keys(vault: &KeyVault, context: &TenantContext) -> Result<Proved, StoreError> {
    let mut outcome = Proved::default();
    let mut after = Uuid::nil();
    loop {
        let read = async |tx: &mut TenantTransaction| {
            let rows = sqlx::query_as!(
                data_keys::Row,
                "SELECT key_id, purpose, user_id, revision, wrapped_key, wrapped_by, indexes FROM data_keys
                WHERE tenant_id = $1 AND state <> 'destroyed' AND key_id > $2 ORDER BY key_id LIMIT 100",
                tx.tenant_id().0,
                after
            );
            Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
        };
        let rows = vault.store().with_tenant(context, read).await?;
        let Some(last) = rows.last() else { return Ok(outcome) };
        after = last.key_id;
        for row in rows {
            match vault.unwrap_row(context, &row.into_key()?).await {
                Ok(_) => outcome.opened += 1,
                Err(StoreError::Missing(_)) => outcome.without_key += 1,
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => outcome.unreadable += 1,
            }
        }
    }
}

async fn page(
    vault: &KeyVault,
    context: &TenantContext,
    place: &'static Place,
    keys: Option<&[Uuid]>,
    after: Option<&Cursor>,
) -> Result<Vec<Value>, StoreError> {
    let after = after.map(|cursor| &cursor.0[..]);
    let read = async |tx: &mut TenantTransaction| values::read(tx, place, keys, after).await;
    vault.store().with_tenant(context, read).await
}

fn next(place: &Place, values: &[Value]) -> Option<Cursor> {
    let full = i64::try_from(values.len()).is_ok_and(|count| count == place.page);
    if full { values.last().map(|last| Cursor(last.at.clone())) } else { None }
}

/// The value under its owner's present key; `None` if that is the one that it is under.
async fn reseal(
    vault: &KeyVault,
    context: &TenantContext,
    place: &'static Place,
    value: &Value,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (old, opened) = open(vault, context, place, value).await?;
    let new = vault.active_key(context, old.owner()).await?;
    if new.id() == old.id() {
        vault.forget_owner(context, old.owner());
        return Ok(None);
    }
    Ok(Some(new.seal(&bound(place, context.tenant_id(), value), &opened, vault.entropy())))
}

type Opened = (std::sync::Arc<stagedoor_crypto::DataKey>, secrecy::zeroize::Zeroizing<Vec<u8>>);

async fn open(
    vault: &KeyVault,
    context: &TenantContext,
    place: &'static Place,
    value: &Value,
) -> Result<Opened, StoreError> {
    let unreadable = |error: OpenError| StoreError::unreadable("a sealed value")(error);
    let id = envelope::key_id(&value.sealed).map_err(unreadable)?;
    let key = vault.key_by_id(context, id).await?;
    let opened = key.open(&bound(place, context.tenant_id(), value), &value.sealed).map_err(unreadable)?;
    Ok((key, opened))
}

fn bound(place: &'static Place, tenant: TenantId, value: &Value) -> SealContext {
    let (row, revision) = (value.row, value.revision);
    SealContext { tenant, table: place.bound_to, column: place.column, row, revision }
}

/// `lock_not_available` and `deadlock_detected`.
fn is_held(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03" || code == "40P01")
}
