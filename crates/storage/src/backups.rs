//! The catalogue of backups: one row for each that was begun. What is in them is for `archive`, the rows that go into
//! them for `backup_rows`.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::BackupClass;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// What became of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupState {
    /// Begun; without a manifest.
    Writing,
    /// Finished, and not yet read back.
    Written,
    /// Every chunk was read back and is sound.
    Verified,
    /// It was looked at, and is not what was written.
    Damaged,
    /// Never finished, and cleared away.
    Abandoned,
    /// Removed when its time was over.
    Expired,
}

impl BackupState {
    const ALL: [Self; 6] =
        [Self::Writing, Self::Written, Self::Verified, Self::Damaged, Self::Abandoned, Self::Expired];

    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Written => "written",
            Self::Verified => "verified",
            Self::Damaged => "damaged",
            Self::Abandoned => "abandoned",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing is left of it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Abandoned | Self::Expired)
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| StoreError::not_understood("backups.state", text))
    }
}

/// A backup of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Its id.
    pub id: Uuid,
    /// Of what.
    pub class: BackupClass,
    /// When it was begun.
    pub taken_at: DateTime<Utc>,
    /// What became of it.
    pub state: BackupState,
    /// Of the audit trail: the first and last day that it holds.
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// Rows in it.
    pub rows: u64,
    /// Its length as stored, in bytes.
    pub bytes: u64,
    /// What is wrong with a damaged one.
    pub detail: String,
}

/// What a finished backup holds.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The key-encryption keys that wrap the tenant's keys in it.
    pub key_encryption_keys: &'a [Uuid],
    /// Of the audit trail: the first and last day.
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// Rows.
    pub rows: u64,
    /// Chunks.
    pub chunks: u32,
    /// Bytes as stored.
    pub bytes: u64,
}

impl Written<'_> {
    /// Rows, chunks and bytes as the columns hold them.
    fn stored(&self) -> (i64, i32, i64) {
        (
            i64::try_from(self.rows).unwrap_or(i64::MAX),
            i32::try_from(self.chunks).unwrap_or(i32::MAX),
            i64::try_from(self.bytes).unwrap_or(i64::MAX),
        )
    }
}

/// How old the newest verified backups of a class are, over all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupAge {
    /// The class.
    pub class: BackupClass,
    /// Tenants that have one.
    pub tenants: u64,
    /// Tenants that have none.
    pub missing: u64,
    /// Of the tenant whose newest one is the oldest: when that was taken.
    pub oldest: Option<DateTime<Utc>>,
}

/// Notes that a backup is begun. One that is there already, because a database was rewound, is left as it is.
pub async fn begin(
    transaction: &mut TenantTransaction,
    (id, class, taken_at): (Uuid, BackupClass, DateTime<Utc>),
    wrapped_by: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO backups (tenant_id, backup_id, class, taken_at, wrapped_by) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING",
        transaction.tenant_id().0,
        id,
        class.as_str(),
        taken_at,
        wrapped_by
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Notes that its manifest is stored.
pub async fn written(
    transaction: &mut TenantTransaction,
    id: Uuid,
    written: Written<'_>,
) -> Result<(), StoreError> {
    let (first, last) = written.days.unzip();
    let (rows, chunks, bytes) = written.stored();
    let changed = sqlx::query!(
        "UPDATE backups SET state = 'written', key_encryption_keys = $3, first_day = $4, last_day = $5,
            row_count = $6, chunk_count = $7, byte_count = $8
        WHERE tenant_id = $1 AND backup_id = $2 AND state = 'writing'",
        transaction.tenant_id().0,
        id,
        written.key_encryption_keys,
        first,
        last,
        rows,
        chunks,
        bytes
    )
    .execute(transaction.connection())
    .await?;
    one(changed.rows_affected())
}

/// Notes a finished backup that the catalogue does not know as finished, because whoever wrote it was killed or the
/// database was rewound. One that has expired stays so: it is being removed.
pub async fn adopt(
    transaction: &mut TenantTransaction,
    (id, class, taken_at): (Uuid, BackupClass, DateTime<Utc>),
    wrapped_by: Uuid,
    written: Written<'_>,
) -> Result<(), StoreError> {
    let (first, last) = written.days.unzip();
    let (rows, chunks, bytes) = written.stored();
    sqlx::query!(
        "INSERT INTO backups (tenant_id, backup_id, class, taken_at, wrapped_by, state, key_encryption_keys, first_day,
            last_day, row_count, chunk_count, byte_count)
        VALUES ($1, $2, $3, $4, $5, 'written', $6, $7, $8, $9, $10, $11)
        ON CONFLICT (tenant_id, backup_id) DO UPDATE SET state = 'written', ended_at = NULL,
            key_encryption_keys = excluded.key_encryption_keys, first_day = excluded.first_day,
            last_day = excluded.last_day, row_count = excluded.row_count, chunk_count = excluded.chunk_count,
            byte_count = excluded.byte_count
        WHERE backups.state <> 'expired'",
        transaction.tenant_id().0,
        id,
        class.as_str(),
        taken_at,
        wrapped_by,
        written.key_encryption_keys,
        first,
        last,
        rows,
        chunks,
        bytes
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Notes what reading it back came to: verified without a complaint, else damaged.
pub async fn verified(
    transaction: &mut TenantTransaction,
    id: Uuid,
    at: DateTime<Utc>,
    complaint: Option<&str>,
) -> Result<(), StoreError> {
    let state = if complaint.is_none() { BackupState::Verified } else { BackupState::Damaged };
    let changed = sqlx::query!(
        "UPDATE backups SET state = $3, verified_at = $4, detail = $5
        WHERE tenant_id = $1 AND backup_id = $2 AND ended_at IS NULL",
        transaction.tenant_id().0,
        id,
        state.as_str(),
        at,
        complaint.unwrap_or_default()
    )
    .execute(transaction.connection())
    .await?;
    one(changed.rows_affected())
}

/// Notes that nothing is left of it: expired if it was finished once, else abandoned. Harmless for one that is not in the
/// catalogue, or was noted before.
pub async fn ended(
    transaction: &mut TenantTransaction,
    id: Uuid,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE backups SET ended_at = $3, state = CASE state WHEN 'writing' THEN 'abandoned' ELSE 'expired' END
        WHERE tenant_id = $1 AND backup_id = $2 AND ended_at IS NULL",
        transaction.tenant_id().0,
        id,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The tenant's backups of which something is left, oldest first.
pub async fn kept(transaction: &mut TenantTransaction) -> Result<Vec<CatalogueEntry>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT backup_id, class, taken_at, state, first_day, last_day, row_count, byte_count, detail FROM backups
        WHERE tenant_id = $1 AND ended_at IS NULL ORDER BY taken_at, backup_id",
        transaction.tenant_id().0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Row::into_entry).collect()
}

/// At most `limit` backups of the tenant, of one class or of all, the newest first, also those of which nothing is left:
/// those before the backup `before`, given by time and id.
pub async fn list(
    transaction: &mut TenantTransaction,
    class: Option<BackupClass>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<CatalogueEntry>, StoreError> {
    let (at, id) = before.unzip();
    let rows = sqlx::query_as!(
        Row,
        "SELECT backup_id, class, taken_at, state, first_day, last_day, row_count, byte_count, detail FROM backups
        WHERE tenant_id = $1 AND ($2::text IS NULL OR class = $2)
            AND ($3::timestamptz IS NULL OR (taken_at, backup_id) < ($3, $4::uuid))
        ORDER BY taken_at DESC, backup_id DESC LIMIT $5",
        transaction.tenant_id().0,
        class.map(BackupClass::as_str),
        at,
        id,
        limit
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Row::into_entry).collect()
}

/// When the oldest backup of a class was begun that is still kept. What only backups refer to, such as a key that seals
/// nothing any more, is of use as long as that is not after its last use.
pub async fn oldest_kept(
    transaction: &mut TenantTransaction,
    class: BackupClass,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let oldest = sqlx::query_scalar!(
        "SELECT min(taken_at) FROM backups WHERE tenant_id = $1 AND class = $2 AND ended_at IS NULL",
        transaction.tenant_id().0,
        class.as_str()
    );
    Ok(oldest.fetch_one(transaction.connection()).await?)
}

/// The key-encryption keys without which a backup of any tenant that is still kept could not be opened.
pub async fn key_encryption_keys_in_use(store: &Store) -> Result<BTreeSet<Uuid>, StoreError> {
    let query = sqlx::query_scalar!(r#"SELECT key_id AS "key_id!" FROM backup_keys_in_use()"#);
    let keys = store.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
    Ok(keys.into_iter().collect())
}

/// How old the newest verified backups are, by class.
pub async fn ages(store: &Store) -> Result<Vec<BackupAge>, StoreError> {
    let query = sqlx::query!(
        r#"SELECT class AS "class!", tenants AS "tenants!", missing AS "missing!", oldest FROM backup_ages()"#
    );
    let rows = store.outside(async |connection| Ok(query.fetch_all(connection).await?)).await?;
    let read = rows.into_iter().map(|row| {
        Ok(BackupAge {
            class: read_class(&row.class)?,
            tenants: row.tenants.unsigned_abs(),
            missing: row.missing.unsigned_abs(),
            oldest: row.oldest,
        })
    });
    let mut ages: Vec<_> = read.collect::<Result<_, StoreError>>()?;
    ages.sort_by_key(|age| age.class);
    Ok(ages)
}

#[expect(clippy::struct_field_names, reason = "they are the names of the columns")]
struct Row {
    backup_id: Uuid,
    class: String,
    taken_at: DateTime<Utc>,
    state: String,
    first_day: Option<NaiveDate>,
    last_day: Option<NaiveDate>,
    row_count: i64,
    byte_count: i64,
    detail: String,
}

impl Row {
    fn into_entry(self) -> Result<CatalogueEntry, StoreError> {
        Ok(CatalogueEntry {
            id: self.backup_id,
            class: read_class(&self.class)?,
            taken_at: self.taken_at,
            state: BackupState::read(&self.state)?,
            days: self.first_day.zip(self.last_day),
            rows: self.row_count.unsigned_abs(),
            bytes: self.byte_count.unsigned_abs(),
            detail: self.detail,
        })
    }
}

fn read_class(text: &str) -> Result<BackupClass, StoreError> {
    text.parse().map_err(|_| StoreError::not_understood("backups.class", text))
}

fn one(changed: u64) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Missing("backup")) }
}
