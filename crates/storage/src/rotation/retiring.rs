//! The end of keys that only open: destroyed once nothing refers to them, and once nobody can hold them or what they
//! sealed any more. All times are the database's.

use std::collections::HashMap;
use std::time::Duration;

use stagedoor_crypto::KeyOwner;
use stagedoor_domain::TenantContext;
use uuid::Uuid;

use super::places::PLACES;
use super::{DataLayer, values};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// How long what nobody sees is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the switch on, until no replica seals under the old key any more: the vaults' memory, and how long a call may
    /// take from sealing to storing. From the last look on, until nobody who read a value before it still opens it.
    pub settle: Duration,
    /// From the switch on, until nobody brings back what was sealed under a tenant's key and given away, such as a
    /// cursor.
    pub given_away: Duration,
    /// Whether backups that are kept are waited for, which hold values under the key but not the key.
    pub backups: bool,
}

/// What became of the keys that only open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    /// Keys that were destroyed.
    pub destroyed: u64,
    /// Keys that nothing refers to, to be destroyed at a later look.
    pub unreferenced: u64,
    /// Keys that are too young.
    pub young: u64,
    /// Keys that only backups refer to.
    pub in_backups: u64,
    /// Keys that values or other keys refer to, with how many do.
    pub held: Vec<(Uuid, u64)>,
}

/// How long ago the last key of the tenant ceased to seal; `None` if none ever did that still opens.
pub async fn last_switch(vault: &KeyVault, context: &TenantContext) -> Result<Option<Duration>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let age = sqlx::query_scalar!(
            r#"SELECT extract(epoch FROM clock_timestamp() - max(retired_at))::double precision AS "age?"
            FROM data_keys WHERE tenant_id = $1 AND state = 'decrypt_only'"#,
            tx.tenant_id().0
        );
        Ok::<_, StoreError>(age.fetch_one(tx.connection()).await?)
    };
    let age = vault.store().with_tenant(context, read).await?;
    Ok(age.map(|age| Duration::try_from_secs_f64(age).unwrap_or_default()))
}

/// How long it is until no replica seals under an old key any more; zero once none does.
pub async fn settled_in(
    vault: &KeyVault,
    context: &TenantContext,
    patience: Patience,
) -> Result<Duration, StoreError> {
    let age = last_switch(vault, context).await?;
    Ok(age.map_or(Duration::ZERO, |age| patience.settle.saturating_sub(age)))
}

/// Looks at the keys that only open, and destroys those that nothing refers to now and did not at a look before, at least
/// `settle` ago. To be called twice.
pub async fn retire(
    vault: &KeyVault,
    context: &TenantContext,
    patience: Patience,
) -> Result<Retired, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            r#"SELECT key_id, user_id, retired_at <= clock_timestamp() - make_interval(secs => $2)
                AND (purpose = 2 OR retired_at <= clock_timestamp() - make_interval(secs => $3)) AS "old?",
                $4 AND EXISTS (SELECT FROM backups b WHERE b.tenant_id = $1 AND b.ended_at IS NULL
                    AND b.class <> 'sessions' AND b.taken_at
                        <= COALESCE(k.unreferenced_at, clock_timestamp()) + make_interval(secs => $2)) AS "backed_up!"
            FROM data_keys k WHERE tenant_id = $1 AND state = 'decrypt_only' ORDER BY key_id"#,
            tx.tenant_id().0,
            patience.settle.as_secs_f64(),
            patience.given_away.as_secs_f64(),
            patience.backups
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let keys = vault.store().with_tenant(context, read).await?;
    let mut outcome = Retired::default();
    if keys.is_empty() {
        return Ok(outcome);
    }
    let references = references(vault, context).await?;
    let (mut free, mut ready, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for key in &keys {
        match references.get(&key.key_id).copied().unwrap_or(0) {
            0 if !key.old.unwrap_or(false) => outcome.young += 1,
            0 => {
                free.push(key.key_id);
                // Noted as free all the same: backups from after that hold nothing that is under it.
                if key.backed_up {
                    outcome.in_backups += 1;
                } else {
                    ready.push(key.key_id);
                }
            }
            count => {
                held.push(key.key_id);
                outcome.held.push((key.key_id, count));
            }
        }
    }
    let end = async |tx: &mut TenantTransaction| {
        let destroyed = destroy(tx, &ready, patience.settle).await?;
        mark(tx, &free, &held).await?;
        Ok::<_, StoreError>(destroyed)
    };
    outcome.destroyed = vault.store().with_tenant(context, end).await?;
    outcome.unreferenced = ready.len() as u64 - outcome.destroyed;
    for key in keys.iter().filter(|key| ready.contains(&key.key_id)) {
        vault.forget_owner(
            context,
            key.user_id.map_or(KeyOwner::Tenant, |user| KeyOwner::Subject(user.into())),
        );
    }
    Ok(outcome)
}

/// How many values and keys refer to each key, wherever they are.
async fn references(vault: &KeyVault, context: &TenantContext) -> Result<HashMap<Uuid, u64>, StoreError> {
    let mut all: HashMap<Uuid, u64> = HashMap::new();
    let wraps = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            r#"SELECT wrapped_by, count(*) AS "keys!" FROM data_keys
            WHERE tenant_id = $1 AND purpose = $2 AND state <> 'destroyed' GROUP BY wrapped_by"#,
            tx.tenant_id().0,
            DataLayer::Subjects.purpose()
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    for row in vault.store().with_tenant(context, wraps).await? {
        *all.entry(row.wrapped_by).or_default() += row.keys.unsigned_abs();
    }
    for place in PLACES {
        let count = async |tx: &mut TenantTransaction| values::references(tx, place).await;
        for (key, values) in vault.store().with_tenant(context, count).await? {
            *all.entry(key).or_default() += values;
        }
    }
    Ok(all)
}

async fn destroy(
    transaction: &mut TenantTransaction,
    ready: &[Uuid],
    settle: Duration,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL, indexes = NULL, revision = revision + 1,
            updated_at = clock_timestamp()
        WHERE tenant_id = $1 AND key_id = ANY($2) AND state = 'decrypt_only'
            AND unreferenced_at <= clock_timestamp() - make_interval(secs => $3)",
        transaction.tenant_id().0,
        ready,
        settle.as_secs_f64()
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected())
}

/// Notes since when nothing refers to a key.
async fn mark(transaction: &mut TenantTransaction, free: &[Uuid], held: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE data_keys SET unreferenced_at = CASE WHEN key_id = ANY($2) THEN clock_timestamp() END
        WHERE tenant_id = $1 AND state = 'decrypt_only'
            AND (key_id = ANY($2) AND unreferenced_at IS NULL OR key_id = ANY($3) AND unreferenced_at IS NOT NULL)",
        transaction.tenant_id().0,
        free,
        held
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Machines whose replica was not seen within `within` and has not said good-bye: it may be cut off or stand still, and
/// store what it sealed under an old key when it is back.
pub async fn silent_replicas(store: &Store, within: Duration) -> Result<Vec<String>, StoreError> {
    store
        .outside(async |connection| {
            let hosts = sqlx::query_scalar!(
                "SELECT host FROM replicas WHERE seen_at < clock_timestamp() - make_interval(secs => $1) ORDER BY host",
                within.as_secs_f64()
            );
            Ok(hosts.fetch_all(connection).await?)
        })
        .await
}
