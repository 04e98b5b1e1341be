//! A tenant's rows as backups hold them: of one moment, table by table in the order of the primary key, each as the text
//! that `to_jsonb` renders. Streamed: no table is ever in memory.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use stagedoor_domain::TenantContext;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// The longest wait for the next row; the first one of a table may have to be sorted for.
const PATIENCE: Duration = Duration::from_mins(5);

/// One text for one row, whoever asks.
const RENDERING: &str = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'; \
    SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; \
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Days (UTC) of the audit trail, both included.
pub type DaySpan = (NaiveDate, NaiveDate);

/// What belongs to a snapshot besides rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Day, length and last hash of the newest chain of the audit trail.
    pub audit_head: Option<(NaiveDate, i64, [u8; 32])>,
    /// The first and the last day of the audit trail.
    pub audit_days: Option<DaySpan>,
    /// The key-encryption keys that wrap the tenant's keys.
    pub key_encryption_keys: Vec<Uuid>,
    /// The tenant's own keys that were not destroyed.
    pub tenant_keys: Vec<Uuid>,
    /// How many keys of people were not destroyed.
    pub subject_keys: u64,
}

/// That someone was erased, with what of the request's row a database without it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedPerson {
    /// SHA-256('stagedoor/subject/1' | tenant 16 | user 16).
    pub subject_digest: [u8; 32],
    /// The request.
    pub request_id: Uuid,
    /// When the person was erased.
    pub erased_at: DateTime<Utc>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// By when it had to be done.
    pub due_by: DateTime<Utc>,
    /// When it was done; none while the receipt is missing.
    pub completed_at: Option<DateTime<Utc>>,
    /// The signed receipt.
    pub receipt: Option<String>,
}

impl Store {
    /// A transaction of the context's tenant that sees one moment, writes nothing, and may take as long as it needs.
    pub async fn snapshot(&self, context: &TenantContext) -> Result<TenantTransaction, StoreError> {
        self.begin_reading(context).await
    }
}

macro_rules! each {
    ($transaction:ident, $push:ident, $from:literal $(, $day:expr)*) => {{
        let tenant = $transaction.tenant_id().0;
        let mut texts = sqlx::query_scalar!(
            r#"SELECT to_jsonb(t)::text AS "row!" FROM "# + $from,
            tenant
            $(, $day)*
        )
        .fetch($transaction.connection());
        let mut rows = 0;
        loop {
            let next = tokio::time::timeout(PATIENCE, texts.try_next());
            let next = next.await.map_err(|_| StoreError::TimedOut)?;
            let Some(text) = next.map_err(StoreError::from)? else { break rows };
            $push(text).await?;
            rows += 1;
        }
    }};
}

/// Calls `push` with the text of every row of `table`, of the days in `days` where the table is one of days, and says how
/// many there were.
///
/// # Errors
/// [`StoreError::NotUnderstood`] if no class of backups has the table, and those of `push`.
pub async fn each_row<E: From<StoreError>>(
    transaction: &mut TenantTransaction,
    table: &str,
    days: Option<DaySpan>,
    mut push: impl AsyncFnMut(String) -> Result<(), E>,
) -> Result<u64, E> {
    sqlx::raw_sql(RENDERING).execute(transaction.connection()).await.map_err(StoreError::from)?;
    // Without days there is no trail: nothing is between NULL and NULL.
    let (first, last): (Option<NaiveDate>, Option<NaiveDate>) = days.unzip();
    let rows: u64 = match table {
        "tenants" => each!(transaction, push, "tenants t WHERE t.tenant_id = $1"),
        "users" => each!(transaction, push, "users t WHERE t.tenant_id = $1 ORDER BY t.user_id"),
        "data_keys" => each!(transaction, push, "data_keys t WHERE t.tenant_id = $1 ORDER BY t.key_id"),
        "signing_keys" => each!(transaction, push, "signing_keys t WHERE t.tenant_id = $1 ORDER BY t.key_id"),
        "provider_apps" => {
            each!(transaction, push, "provider_apps t WHERE t.tenant_id = $1 ORDER BY t.app_id")
        }
        "issuers" => each!(transaction, push, "issuers t WHERE t.tenant_id = $1 ORDER BY t.issuer_id"),
        "api_keys" => {
            each!(transaction, push, r#"api_keys t WHERE t.tenant_id = $1 ORDER BY t.key_id COLLATE "C""#)
        }
        "linked_accounts" => {
            each!(transaction, push, "linked_accounts t WHERE t.tenant_id = $1 ORDER BY t.account_id")
        }
        "provider_sessions" => {
            each!(transaction, push, "provider_sessions t WHERE t.tenant_id = $1 ORDER BY t.session_id")
        }
        "session_quarantine" => {
            each!(transaction, push, "session_quarantine t WHERE t.tenant_id = $1 ORDER BY t.quarantine_id")
        }
        "session_devices" => each!(
            transaction,
            push,
            "session_devices t WHERE t.tenant_id = $1 ORDER BY t.account_id, t.fingerprint"
        ),
        "session_imports" => {
            each!(transaction, push, "session_imports t WHERE t.tenant_id = $1 ORDER BY t.source_digest")
        }
        "privacy_requests" => {
            each!(transaction, push, "privacy_requests t WHERE t.tenant_id = $1 ORDER BY t.request_id")
        }
        "erasure_tombstones" => {
            each!(transaction, push, "erasure_tombstones t WHERE t.tenant_id = $1 ORDER BY t.subject_digest")
        }
        "preferences" => each!(transaction, push, "preferences t WHERE t.tenant_id = $1 ORDER BY t.user_id"),
        "consents" => each!(transaction, push, "consents t WHERE t.tenant_id = $1 ORDER BY t.consent_id"),
        "playlist_chunks" => each!(
            transaction,
            push,
            r#"playlist_chunks t WHERE t.tenant_id = $1 ORDER BY t.account_id, t.playlist COLLATE "C", t.chunk_id"#
        ),
        "shared_queues" => {
            each!(transaction, push, "shared_queues t WHERE t.tenant_id = $1 ORDER BY t.queue_id")
        }
        "shared_queue_members" => each!(
            transaction,
            push,
            "shared_queue_members t WHERE t.tenant_id = $1 ORDER BY t.queue_id, t.user_id"
        ),
        "shared_queue_items" => each!(
            transaction,
            push,
            "shared_queue_items t WHERE t.tenant_id = $1 ORDER BY t.queue_id, t.item_id"
        ),
        "shared_queue_votes" => each!(
            transaction,
            push,
            "shared_queue_votes t WHERE t.tenant_id = $1 ORDER BY t.queue_id, t.item_id, t.user_id"
        ),
        "shared_queue_changes" => each!(
            transaction,
            push,
            "shared_queue_changes t WHERE t.tenant_id = $1 ORDER BY t.queue_id, t.version"
        ),
        "playlist_versions" => each!(
            transaction,
            push,
            r#"playlist_versions t WHERE t.tenant_id = $1 ORDER BY t.account_id, t.playlist COLLATE "C", t.number"#
        ),
        "listening_history" => each!(
            transaction,
            push,
            "listening_history t WHERE t.tenant_id = $1 ORDER BY t.account_id, t.played_at, t.track_digest"
        ),
        "listening_gaps" => {
            each!(
                transaction,
                push,
                "listening_gaps t WHERE t.tenant_id = $1 ORDER BY t.account_id, t.from_at"
            )
        }
        "audit_records" => each!(
            transaction,
            push,
            "audit_records t WHERE t.tenant_id = $1 AND t.day BETWEEN $2 AND $3 ORDER BY t.day, t.seq",
            first,
            last
        ),
        "audit_payloads" => each!(
            transaction,
            push,
            "audit_payloads t WHERE t.tenant_id = $1 AND t.day BETWEEN $2 AND $3 ORDER BY t.day, t.bundle_id",
            first,
            last
        ),
        "audit_chain_heads" => each!(
            transaction,
            push,
            "audit_chain_heads t WHERE t.tenant_id = $1 AND t.day BETWEEN $2 AND $3 ORDER BY t.day",
            first,
            last
        ),
        "audit_checkpoints" => each!(
            transaction,
            push,
            "audit_checkpoints t WHERE t.tenant_id = $1 AND t.day BETWEEN $2 AND $3 ORDER BY t.day, t.seq",
            first,
            last
        ),
        "audit_checkpoint_heads" => {
            each!(transaction, push, "audit_checkpoint_heads t WHERE t.tenant_id = $1")
        }
        other => return Err(StoreError::not_understood("a table of a backup", other).into()),
    };
    Ok(rows)
}

/// The columns of a table, in the order in which it has them.
pub async fn columns(transaction: &mut TenantTransaction, table: &str) -> Result<Vec<String>, StoreError> {
    let columns = sqlx::query_scalar!(
        r#"SELECT attname::text AS "column!" FROM pg_attribute
        WHERE attrelid = to_regclass('public.' || quote_ident($1)) AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum"#,
        table
    );
    Ok(columns.fetch_all(transaction.connection()).await?)
}

/// What belongs to the snapshot besides rows.
pub async fn surroundings(transaction: &mut TenantTransaction) -> Result<Surroundings, StoreError> {
    let tenant = transaction.tenant_id().0;
    let connection = transaction.connection();
    let head = sqlx::query!(
        "SELECT day, seq, hash FROM audit_chain_heads WHERE tenant_id = $1 ORDER BY day DESC LIMIT 1",
        tenant
    )
    .fetch_optional(&mut *connection)
    .await?;
    let days = sqlx::query!(
        "SELECT min(day) AS first, max(day) AS last FROM audit_chain_heads WHERE tenant_id = $1",
        tenant
    )
    .fetch_one(&mut *connection)
    .await?;
    let keys = sqlx::query!(
        "SELECT key_id, wrapped_by FROM data_keys WHERE tenant_id = $1 AND purpose = 1 AND state <> 'destroyed'
        ORDER BY key_id",
        tenant
    )
    .fetch_all(&mut *connection)
    .await?;
    let subject_keys = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM data_keys
        WHERE tenant_id = $1 AND purpose = 2 AND state <> 'destroyed'"#,
        tenant
    )
    .fetch_one(connection)
    .await?;
    let hash = |bytes: Vec<u8>| {
        <[u8; 32]>::try_from(bytes)
            .map_err(|_| StoreError::not_understood("audit_chain_heads.hash", "another length"))
    };
    let mut key_encryption_keys: Vec<_> = keys.iter().map(|key| key.wrapped_by).collect();
    key_encryption_keys.sort_unstable();
    key_encryption_keys.dedup();
    Ok(Surroundings {
        audit_head: head
            .map(|head| Ok::<_, StoreError>((head.day, head.seq, hash(head.hash)?)))
            .transpose()?,
        audit_days: days.first.zip(days.last),
        key_encryption_keys,
        tenant_keys: keys.into_iter().map(|key| key.key_id).collect(),
        subject_keys: subject_keys.unsigned_abs(),
    })
}

/// Everyone of the tenant who was erased.
pub async fn erased_people(transaction: &mut TenantTransaction) -> Result<Vec<ErasedPerson>, StoreError> {
    let rows = sqlx::query!(
        "SELECT t.subject_digest, t.request_id, t.erased_at, p.requested_at, p.due_by, p.completed_at, p.receipt
        FROM erasure_tombstones t
        JOIN privacy_requests p ON p.tenant_id = t.tenant_id AND p.request_id = t.request_id
        WHERE t.tenant_id = $1 ORDER BY t.subject_digest",
        transaction.tenant_id().0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let digest = row.subject_digest.try_into();
            let other = |_| StoreError::not_understood("erasure_tombstones.subject_digest", "another length");
            Ok(ErasedPerson {
                subject_digest: digest.map_err(other)?,
                request_id: row.request_id,
                erased_at: row.erased_at,
                requested_at: row.requested_at,
                due_by: row.due_by,
                completed_at: row.completed_at,
                receipt: row.receipt,
            })
        })
        .collect()
}
