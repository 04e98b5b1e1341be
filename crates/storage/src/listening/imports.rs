//! Data downloads that were handed in: how far each is, so that one that was cut off goes on, and one that is done is not
//! done again.

use chrono::{DateTime, Utc};
use stagedoor_domain::{LinkedAccountId, TenantContext, UserId};
use uuid::Uuid;

use super::{Owner, lock_account};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// What an import came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Plays that nobody had told of.
    pub added: u64,
    /// Plays that were known.
    pub known: u64,
    /// Entries that are not of a track.
    pub other: u64,
    /// Entries that are not what the service writes.
    pub malformed: u64,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its id.
    pub id: Uuid,
    /// The account that its plays are of.
    pub account: LinkedAccountId,
    /// Whether all of the file is recorded.
    pub done: bool,
    /// How many of the file's parts are done.
    pub files_done: u32,
    /// How many entries of the next part are.
    pub entries_done: u64,
    /// What it came to so far.
    pub counts: Counts,
    /// The first and the last end of a play in it.
    pub plays: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// When it was begun.
    pub started_at: DateTime<Utc>,
    /// When it went on last.
    pub changed_at: DateTime<Utc>,
}

/// What a file is to this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportBegun {
    /// The import.
    pub import: Import,
    /// Whether it was begun before.
    pub resumed: bool,
}

struct Row {
    import_id: Uuid,
    account_id: Uuid,
    state: String,
    files_done: i32,
    entries_done: i64,
    added: i64,
    known: i64,
    other: i64,
    malformed: i64,
    first_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl From<Row> for Import {
    fn from(row: Row) -> Self {
        Self {
            id: row.import_id,
            account: row.account_id.into(),
            done: row.state == "done",
            files_done: row.files_done.unsigned_abs(),
            entries_done: row.entries_done.unsigned_abs(),
            counts: Counts {
                added: row.added.unsigned_abs(),
                known: row.known.unsigned_abs(),
                other: row.other.unsigned_abs(),
                malformed: row.malformed.unsigned_abs(),
            },
            plays: row.first_at.zip(row.last_at),
            started_at: row.started_at,
            changed_at: row.changed_at,
        }
    }
}

/// The import of a file whose SHA-256 is `file`, begun if there is none. [`StoreError::Missing`] if the account is not
/// linked to that person.
pub async fn begin_import(
    vault: &KeyVault,
    context: &TenantContext,
    owner: &Owner,
    file: &[u8; 32],
) -> Result<ImportBegun, StoreError> {
    let key = vault.subject_key(context, owner.user).await?;
    let digest = key.blind_index("listening_imports.source_digest", file);
    let id = stagedoor_domain::ids::uuid_v7(vault.clock(), vault.entropy());
    let now = vault.clock().now();
    let begin = async |tx: &mut TenantTransaction| {
        lock_account(tx, owner).await?;
        let begun = sqlx::query!(
            "INSERT INTO listening_imports
                (tenant_id, import_id, user_id, account_id, provider, source_digest, state, started_at, changed_at)
            VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, $7)
            ON CONFLICT (tenant_id, account_id, source_digest) DO NOTHING",
            tx.tenant_id().0,
            id,
            owner.user.0,
            owner.account.0,
            owner.provider.as_str(),
            &digest[..],
            now
        )
        .execute(tx.connection())
        .await?;
        let row = sqlx::query_as!(
            Row,
            "SELECT import_id, account_id, state, files_done, entries_done, added, known, other, malformed, first_at,
                last_at, started_at, changed_at
            FROM listening_imports WHERE tenant_id = $1 AND account_id = $2 AND source_digest = $3",
            tx.tenant_id().0,
            owner.account.0,
            &digest[..]
        )
        .fetch_one(tx.connection())
        .await?;
        Ok::<_, StoreError>(ImportBegun { import: row.into(), resumed: begun.rows_affected() == 0 })
    };
    vault.store().with_tenant(context, begin).await
}

/// Notes how far an import is. [`StoreError::Missing`] if its account was unlinked meanwhile.
pub async fn note_import(
    transaction: &mut TenantTransaction,
    import: &Import,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let (first, last) = import.plays.unzip();
    let noted = sqlx::query!(
        "UPDATE listening_imports SET files_done = $3, entries_done = $4, added = $5, known = $6, other = $7,
            malformed = $8, first_at = $9, last_at = $10, changed_at = $11
        WHERE tenant_id = $1 AND import_id = $2 AND state = 'running'",
        transaction.tenant_id().0,
        import.id,
        i32::try_from(import.files_done).unwrap_or(i32::MAX),
        count(import.entries_done),
        count(import.counts.added),
        count(import.counts.known),
        count(import.counts.other),
        count(import.counts.malformed),
        first,
        last,
        now
    )
    .execute(transaction.connection())
    .await?;
    if noted.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing("import under way")) }
}

/// Notes that all of a file is recorded, and that the gaps that it covers are filled.
pub async fn finish_import(
    transaction: &mut TenantTransaction,
    import: &Import,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    note_import(transaction, import, now).await?;
    let (first, last) = import.plays.unzip();
    sqlx::query!(
        "WITH finished AS (
            UPDATE listening_imports SET state = 'done', finished_at = $3 WHERE tenant_id = $1 AND import_id = $2
        )
        UPDATE listening_gaps SET filled_at = $3 WHERE tenant_id = $1 AND account_id = $4 AND filled_at IS NULL
            AND from_at >= $5 AND to_at <= $6",
        transaction.tenant_id().0,
        import.id,
        now,
        import.account.0,
        first,
        last
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The imports of a person, the newest first.
pub async fn imports(transaction: &mut TenantTransaction, user: UserId) -> Result<Vec<Import>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT import_id, account_id, state, files_done, entries_done, added, known, other, malformed, first_at,
            last_at, started_at, changed_at
        FROM listening_imports WHERE tenant_id = $1 AND user_id = $2 ORDER BY started_at DESC, import_id DESC",
        transaction.tenant_id().0,
        user.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(Import::from).collect())
}
