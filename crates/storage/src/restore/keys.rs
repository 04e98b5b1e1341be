//! The keys that what comes back is sealed under: those of the database, and where one of them is not there any more,
//! that of the backup, which then comes back too and seals nothing. Nothing here is remembered beyond the restore.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use serde_json::Value;
use stagedoor_crypto::{DataKey, KekError, KekProvider, KeyOwner, SealContext, envelope};
use stagedoor_domain::{TenantId, UserId};
use uuid::Uuid;

use super::error::RestoreError;
use super::rows::{self, RowOutcome};
use super::tables::{bytes, uuid};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

const DATA_KEYS: &str = "data_keys";
/// How long the key-encryption keys may take.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct KeyChain<'a> {
    tenant: TenantId,
    provider: &'a dyn KekProvider,
    present: HashMap<Uuid, KeyRow>,
    archived: HashMap<Uuid, Archived>,
    opened: HashMap<Uuid, Arc<DataKey>>,
}

#[derive(Clone)]
struct KeyRow {
    owner: KeyOwner,
    revision: i64,
    /// `None` once it was destroyed.
    wrapped: Option<Vec<u8>>,
    wrapped_by: Uuid,
    role: Role,
}

/// What a key does for its owner; of each but the last there is one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Seals,
    WillSeal,
    Opens,
}

struct Archived {
    key: KeyRow,
    row: Value,
}

impl<'a> KeyChain<'a> {
    /// With the keys that the database has now. Those that only open are held: a rotation that would destroy one waits, and
    /// then has to look again at what refers to it.
    pub(super) async fn load(
        transaction: &mut TenantTransaction,
        provider: &'a dyn KekProvider,
    ) -> Result<Self, StoreError> {
        let tenant = transaction.tenant_id();
        sqlx::query!(
            "UPDATE data_keys SET unreferenced_at = NULL WHERE tenant_id = $1 AND state = 'decrypt_only'",
            tenant.0
        )
        .execute(transaction.connection())
        .await?;
        let rows = sqlx::query!(
            "SELECT key_id, purpose, user_id, revision, wrapped_key, wrapped_by, state FROM data_keys
            WHERE tenant_id = $1",
            tenant.0
        )
        .fetch_all(transaction.connection())
        .await?;
        let mut present = HashMap::with_capacity(rows.len());
        for row in rows {
            let owner = owner(i64::from(row.purpose), row.user_id)
                .ok_or_else(|| StoreError::not_understood("data_keys.purpose", row.purpose.to_string()))?;
            let key = KeyRow {
                owner,
                revision: row.revision,
                wrapped: row.wrapped_key,
                wrapped_by: row.wrapped_by,
                role: role(&row.state),
            };
            present.insert(row.key_id, key);
        }
        Ok(Self { tenant, provider, present, archived: HashMap::new(), opened: HashMap::new() })
    }

    /// Takes note of a key of the backup, before it is put back or where it is not.
    pub(super) fn offer(&mut self, row: &Value) -> Result<(), RestoreError> {
        let (id, key) = read(row).ok_or(RestoreError::Row { table: DATA_KEYS })?;
        self.archived.entry(id).or_insert_with(|| Archived { key, row: row.clone() });
        Ok(())
    }

    /// Puts a key back as the database can have it: where its owner has another that seals, it only opens. Whether it is
    /// not what it was in the backup.
    pub(super) fn adapt(&self, row: &mut Value) -> bool {
        let Some((id, key)) = read(row) else { return false };
        let taken = |(other, present): (&Uuid, &KeyRow)| {
            present.role == key.role && present.owner == key.owner && *other != id
        };
        let taken = key.role != Role::Opens && self.present.iter().any(taken);
        if taken {
            row["state"] = "decrypt_only".into();
        }
        taken
    }

    /// Takes note of what became of keys that were put back.
    pub(super) fn note(&mut self, row: &Value, outcome: RowOutcome) {
        let Some((id, key)) = read(row) else { return };
        match outcome {
            RowOutcome::Inserted => drop(self.present.insert(id, key)),
            RowOutcome::Erased | RowOutcome::Orphan => drop(self.archived.remove(&id)),
            _ => {}
        }
        if self.present.get(&id).is_some_and(|key| key.wrapped.is_some()) {
            self.archived.remove(&id);
        }
    }

    /// Opens what was sealed for that place.
    pub(super) async fn open(
        &mut self,
        transaction: &mut TenantTransaction,
        place: &SealContext,
        sealed: &[u8],
        what: &'static str,
    ) -> Result<Zeroizing<Vec<u8>>, RestoreError> {
        let id = envelope::key_id(sealed).map_err(StoreError::unreadable(what))?;
        let key = self.key(transaction, id).await?;
        Ok(key.open(place, sealed).map_err(StoreError::unreadable(what))?)
    }

    /// The key of that id, opened.
    pub(super) async fn key(
        &mut self,
        transaction: &mut TenantTransaction,
        id: Uuid,
    ) -> Result<Arc<DataKey>, RestoreError> {
        if let Some(key) = self.opened.get(&id) {
            return Ok(Arc::clone(key));
        }
        let row = self.live(transaction, id).await?;
        let key = match row.owner {
            KeyOwner::Tenant => self.unwrap_tenants(id, &row).await?,
            KeyOwner::Subject(user) => {
                let outer = if let Some(outer) = self.opened.get(&row.wrapped_by) {
                    Arc::clone(outer)
                } else {
                    let outer = self.live(transaction, row.wrapped_by).await?;
                    self.unwrap_tenants(row.wrapped_by, &outer).await?
                };
                let wrapped = row.wrapped.ok_or(StoreError::Missing("data key"))?;
                let key = outer.unwrap(self.tenant, id, user, row.revision, &wrapped);
                let altered = |_| StoreError::key_unavailable("a person's key")(KekError::Altered);
                Arc::new(key.map_err(altered)?)
            }
        };
        self.opened.insert(id, Arc::clone(&key));
        Ok(key)
    }

    /// The key that seals for `owner` now.
    pub(super) async fn active(
        &mut self,
        transaction: &mut TenantTransaction,
        owner: KeyOwner,
    ) -> Result<Arc<DataKey>, RestoreError> {
        let found = self.present.iter().find(|(_, key)| key.role == Role::Seals && key.owner == owner);
        let id = *found.ok_or(StoreError::Missing("data key"))?.0;
        self.key(transaction, id).await
    }

    /// A key that is in the database and was not destroyed; brought back from the backup where it was.
    async fn live(&mut self, transaction: &mut TenantTransaction, id: Uuid) -> Result<KeyRow, RestoreError> {
        let present = self.present.get(&id);
        if let Some(key) = present.filter(|key| key.wrapped.is_some()) {
            return Ok(key.clone());
        }
        let was_there = present.is_some();
        let archived = self.archived.get(&id).filter(|archived| archived.key.wrapped.is_some());
        let archived = archived.ok_or(StoreError::Missing("data key"))?;
        let (mut key, mut row) = (archived.key.clone(), archived.row.clone());
        let back = if was_there {
            key.role = Role::Opens;
            revive(transaction, &row).await?
        } else {
            if self.adapt(&mut row) {
                key.role = Role::Opens;
            }
            let outcomes = rows::put(transaction, DATA_KEYS, &[row.to_string()], false).await?;
            outcomes == [RowOutcome::Inserted]
        };
        if !back {
            return Err(StoreError::Missing("data key").into());
        }
        self.present.insert(id, key.clone());
        Ok(key)
    }

    async fn unwrap_tenants(&mut self, id: Uuid, row: &KeyRow) -> Result<Arc<DataKey>, StoreError> {
        let wrapped = row.wrapped.as_ref().ok_or(StoreError::Missing("data key"))?;
        let unwrap = self.provider.unwrap(self.tenant, id, row.revision, wrapped);
        let key = tokio::time::timeout(PROVIDER_TIMEOUT, unwrap)
            .await
            .unwrap_or_else(|_| Err(KekError::unreachable("the key-encryption keys did not answer in time")))
            .map_err(StoreError::key_unavailable("a tenant's key"))?;
        let key = Arc::new(key);
        self.opened.insert(id, Arc::clone(&key));
        Ok(key)
    }
}

async fn revive(transaction: &mut TenantTransaction, row: &Value) -> Result<bool, StoreError> {
    let revive = sqlx::query_scalar!(r#"SELECT restore_key($1) AS "back!""#, row.to_string());
    Ok(revive.fetch_one(transaction.connection()).await?)
}

fn read(row: &Value) -> Option<(Uuid, KeyRow)> {
    let wrapped = match &row["wrapped_key"] {
        Value::Null => None,
        sealed => Some(bytes(sealed)?),
    };
    let key = KeyRow {
        owner: owner(row["purpose"].as_i64()?, uuid(row, "user_id"))?,
        revision: row["revision"].as_i64()?,
        wrapped,
        wrapped_by: uuid(row, "wrapped_by")?,
        role: role(row["state"].as_str()?),
    };
    Some((uuid(row, "key_id")?, key))
}

fn role(state: &str) -> Role {
    match state {
        "active" => Role::Seals,
        "pending" => Role::WillSeal,
        _ => Role::Opens,
    }
}

fn owner(purpose: i64, user: Option<Uuid>) -> Option<KeyOwner> {
    match (purpose, user) {
        (1, None) => Some(KeyOwner::Tenant),
        (2, Some(user)) => Some(KeyOwner::Subject(UserId(user))),
        _ => None,
    }
}
