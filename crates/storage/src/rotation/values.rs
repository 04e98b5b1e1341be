//! The SQL of sealed values: a page of a place's, and new seals in place of those that were read. A value that was written
//! meanwhile keeps what was written.

use uuid::Uuid;

use super::places::Place;
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// A sealed value as it is stored.
pub(super) struct Value {
    /// Where it is: the row's key as text.
    pub(super) at: Vec<String>,
    /// The row that it is bound to.
    pub(super) row: Uuid,
    /// The revision that it is bound to.
    pub(super) revision: i64,
    pub(super) sealed: Vec<u8>,
}

/// A value that is to be replaced if it is still the same.
pub(super) struct Change {
    pub(super) at: Vec<String>,
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
}

/// How long a change waits for whoever holds a row. Less than the time after which PostgreSQL looks for deadlocks, so that
/// of the two it is never the gateway's call that ends.
const PATIENCE: &str = "200ms";

/// Values of a place after those at `after`, in the order of their rows: under one of `keys`, or all of them.
pub(super) async fn read(
    transaction: &mut TenantTransaction,
    place: &Place,
    keys: Option<&[Uuid]>,
    after: Option<&[String]>,
) -> Result<Vec<Value>, StoreError> {
    let tenant = transaction.tenant_id().0;
    let connection = transaction.connection();
    let keys: Option<Vec<Vec<u8>>> =
        keys.map(|keys| keys.iter().map(|key| key.as_bytes().to_vec()).collect());
    let keys = keys.as_deref();
    let limit = place.page;
    macro_rules! read {
        ($table:tt, $column:tt, $at:tt, ($row:tt, $revision:tt), $after:tt) => {
            sqlx::query_as!(
                Value,
                "SELECT ARRAY["
                    + $at
                    + r#"] AS "at!", "#
                    + $row
                    + r#" AS "row!", "#
                    + $revision
                    + r#" AS "revision!", t."#
                    + $column
                    + r#" AS "sealed!" FROM "#
                    + $table
                    + " t WHERE t.tenant_id = $1 AND octet_length(t."
                    + $column
                    + ") > 0 AND ($2::bytea[] IS NULL OR substr(t."
                    + $column
                    + ", 3, 16) = ANY($2)) AND "
                    + $after
                    + " LIMIT $4",
                tenant,
                keys,
                after,
                limit
            )
            .fetch_all(connection)
            .await?
        };
        ($table:tt, $column:tt, $id:tt, $row:tt, $revision:tt) => {
            sqlx::query_as!(
                Value,
                "SELECT ARRAY[t."
                    + $id
                    + r#"::text] AS "at!", t."#
                    + $row
                    + r#" AS "row!", "#
                    + $revision
                    + r#" AS "revision!", t."#
                    + $column
                    + r#" AS "sealed!" FROM "#
                    + $table
                    + " t WHERE t.tenant_id = $1 AND octet_length(t."
                    + $column
                    + ") > 0 AND ($2::bytea[] IS NULL OR substr(t."
                    + $column
                    + ", 3, 16) = ANY($2)) AND t."
                    + $id
                    + " > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY t."
                    + $id
                    + " LIMIT $4",
                tenant,
                keys,
                after,
                limit
            )
            .fetch_all(connection)
            .await?
        };
    }
    let values = match (place.table, place.column) {
        ("provider_apps", "client_secret") => {
            read!("provider_apps", "client_secret", "app_id", "app_id", "t.revision")
        }
        ("signing_keys", "private_key") => {
            read!("signing_keys", "private_key", "key_id", "key_id", "t.revision")
        }
        ("provider_sessions", "access_token") => {
            read!("provider_sessions", "access_token", "session_id", "session_id", "t.revision")
        }
        ("provider_sessions", "refresh_token") => {
            read!("provider_sessions", "refresh_token", "session_id", "session_id", "t.revision")
        }
        ("session_quarantine", "access_token") => {
            read!("session_quarantine", "access_token", "quarantine_id", "session_id", "t.revision")
        }
        ("session_quarantine", "refresh_token") => {
            read!("session_quarantine", "refresh_token", "quarantine_id", "session_id", "t.revision")
        }
        ("link_attempts", "verifier") => {
            read!("link_attempts", "verifier", "attempt_id", "attempt_id", "t.revision")
        }
        ("preferences", "document") => read!("preferences", "document", "user_id", "user_id", "t.revision"),
        ("consents", "proof") => read!("consents", "proof", "consent_id", "consent_id", "1::bigint"),
        ("playlist_versions", "head") => read!(
            "playlist_versions",
            "head",
            "t.account_id::text, t.playlist, t.number::text",
            ("t.version_id", "t.number::bigint"),
            "(t.account_id, t.playlist, t.number)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2], ''), COALESCE(($3::text[])[3]::integer, 0))
            ORDER BY t.account_id, t.playlist, t.number"
        ),
        ("playlist_chunks", "entries") => read!(
            "playlist_chunks",
            "entries",
            "t.account_id::text, t.playlist, t.chunk_id::text",
            ("t.chunk_id", "1::bigint"),
            "(t.account_id, t.playlist, t.chunk_id)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2], ''),
                    COALESCE(($3::text[])[3]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.account_id, t.playlist, t.chunk_id"
        ),
        ("listening_history", "play") => read!(
            "listening_history",
            "play",
            "t.account_id::text, t.played_at::text, encode(t.track_digest, 'hex')",
            ("t.play_id", "1::bigint"),
            "(t.account_id, t.played_at, t.track_digest)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2]::timestamptz, '-infinity'), decode(COALESCE(($3::text[])[3], ''), 'hex'))
            ORDER BY t.account_id, t.played_at, t.track_digest"
        ),
        ("listening_rollups", "heard") => read!(
            "listening_rollups",
            "heard",
            "t.user_id::text, t.provider, t.month::text",
            ("t.rollup_id", "t.built"),
            "(t.user_id, t.provider, t.month)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2], ''), COALESCE(($3::text[])[3]::date, '-infinity'))
            ORDER BY t.user_id, t.provider, t.month"
        ),
        ("listening_rollups", "plays") => read!(
            "listening_rollups",
            "plays",
            "t.user_id::text, t.provider, t.month::text",
            ("t.rollup_id", "t.built"),
            "(t.user_id, t.provider, t.month)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2], ''), COALESCE(($3::text[])[3]::date, '-infinity'))
            ORDER BY t.user_id, t.provider, t.month"
        ),
        ("listening_rollups", "names") => read!(
            "listening_rollups",
            "names",
            "t.user_id::text, t.provider, t.month::text",
            ("t.rollup_id", "t.built"),
            "(t.user_id, t.provider, t.month)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2], ''), COALESCE(($3::text[])[3]::date, '-infinity'))
            ORDER BY t.user_id, t.provider, t.month"
        ),
        ("idempotency_keys", "note") => {
            read!("idempotency_keys", "note", "record_id", "record_id", "t.revision")
        }
        ("idempotency_keys", "answer") => {
            read!("idempotency_keys", "answer", "record_id", "record_id", "t.revision")
        }
        ("jobs", "message") => read!("jobs", "message", "job_id", "job_id", "t.revision"),
        ("jobs", "document") => read!("jobs", "document", "job_id", "job_id", "t.document_revision"),
        ("job_parts", "content") => read!(
            "job_parts",
            "content",
            "t.job_id::text, t.number::text",
            ("t.job_id", "t.revision"),
            "(t.job_id, t.number)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2]::bigint, -1))
            ORDER BY t.job_id, t.number"
        ),
        ("audit_payloads", "sealed") => read!(
            "audit_payloads",
            "sealed",
            "t.day::text, t.bundle_id::text",
            ("t.bundle_id", "0::bigint"),
            "t.day >= COALESCE(($3::text[])[1]::date, '-infinity')
            AND (t.day, t.bundle_id)
                > (COALESCE(($3::text[])[1]::date, '-infinity'),
                    COALESCE(($3::text[])[2]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.day, t.bundle_id"
        ),
        _ => return Err(unknown(place)),
    };
    Ok(values)
}

/// Replaces the values that are still the same; how many were.
pub(super) async fn write(
    transaction: &mut TenantTransaction,
    place: &Place,
    changes: &[Change],
) -> Result<u64, StoreError> {
    let tenant = transaction.tenant_id().0;
    let connection = transaction.connection();
    let patience = sqlx::query_scalar!("SELECT set_config('lock_timeout', $1, true)", PATIENCE);
    patience.fetch_one(&mut *connection).await?;
    let part = |number: usize| -> Vec<String> {
        changes.iter().map(|change| change.at.get(number).cloned().unwrap_or_default()).collect()
    };
    let (first, second, third) = (part(0), part(1), part(2));
    let old: Vec<Vec<u8>> = changes.iter().map(|change| change.old.clone()).collect();
    let new: Vec<Vec<u8>> = changes.iter().map(|change| change.new.clone()).collect();
    macro_rules! write {
        ($table:tt, $column:tt, $found:tt) => {
            sqlx::query!(
                "UPDATE "
                    + $table
                    + " t SET "
                    + $column
                    + " = n.new FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::bytea[])
                        AS n (a, b, c, old, new)
                    WHERE t.tenant_id = $1 AND "
                    + $found
                    + " AND t."
                    + $column
                    + " = n.old",
                tenant,
                &first,
                &second,
                &third,
                &old,
                &new
            )
            .execute(connection)
            .await?
        };
    }
    let done = match (place.table, place.column) {
        ("provider_apps", "client_secret") => {
            write!("provider_apps", "client_secret", "t.app_id = n.a::uuid")
        }
        ("signing_keys", "private_key") => write!("signing_keys", "private_key", "t.key_id = n.a::uuid"),
        ("provider_sessions", "access_token") => {
            write!("provider_sessions", "access_token", "t.session_id = n.a::uuid")
        }
        ("provider_sessions", "refresh_token") => {
            write!("provider_sessions", "refresh_token", "t.session_id = n.a::uuid")
        }
        ("session_quarantine", "access_token") => {
            write!("session_quarantine", "access_token", "t.quarantine_id = n.a::uuid")
        }
        ("session_quarantine", "refresh_token") => {
            write!("session_quarantine", "refresh_token", "t.quarantine_id = n.a::uuid")
        }
        ("link_attempts", "verifier") => write!("link_attempts", "verifier", "t.attempt_id = n.a::uuid"),
        ("preferences", "document") => write!("preferences", "document", "t.user_id = n.a::uuid"),
        ("consents", "proof") => write!("consents", "proof", "t.consent_id = n.a::uuid"),
        ("playlist_versions", "head") => write!(
            "playlist_versions",
            "head",
            "t.account_id = n.a::uuid AND t.playlist = n.b AND t.number = n.c::integer"
        ),
        ("playlist_chunks", "entries") => write!(
            "playlist_chunks",
            "entries",
            "t.account_id = n.a::uuid AND t.playlist = n.b AND t.chunk_id = n.c::uuid"
        ),
        ("listening_history", "play") => write!(
            "listening_history",
            "play",
            "t.account_id = n.a::uuid AND t.played_at = n.b::timestamptz AND t.track_digest = decode(n.c, 'hex')"
        ),
        ("listening_rollups", "heard") => write!(
            "listening_rollups",
            "heard",
            "t.user_id = n.a::uuid AND t.provider = n.b AND t.month = n.c::date"
        ),
        ("listening_rollups", "plays") => write!(
            "listening_rollups",
            "plays",
            "t.user_id = n.a::uuid AND t.provider = n.b AND t.month = n.c::date"
        ),
        ("listening_rollups", "names") => write!(
            "listening_rollups",
            "names",
            "t.user_id = n.a::uuid AND t.provider = n.b AND t.month = n.c::date"
        ),
        ("idempotency_keys", "note") => write!("idempotency_keys", "note", "t.record_id = n.a::uuid"),
        ("idempotency_keys", "answer") => write!("idempotency_keys", "answer", "t.record_id = n.a::uuid"),
        ("jobs", "message") => write!("jobs", "message", "t.job_id = n.a::uuid"),
        ("jobs", "document") => write!("jobs", "document", "t.job_id = n.a::uuid"),
        ("job_parts", "content") => {
            write!("job_parts", "content", "t.job_id = n.a::uuid AND t.number = n.b::bigint")
        }
        ("audit_payloads", "sealed") => {
            write!("audit_payloads", "sealed", "t.day = n.a::date AND t.bundle_id = n.b::uuid")
        }
        _ => return Err(unknown(place)),
    };
    Ok(done.rows_affected())
}

/// How many values of a place refer to each key.
pub(super) async fn references(
    transaction: &mut TenantTransaction,
    place: &Place,
) -> Result<Vec<(Uuid, u64)>, StoreError> {
    struct Row {
        key: Vec<u8>,
        values: i64,
    }
    let tenant = transaction.tenant_id().0;
    let connection = transaction.connection();
    macro_rules! count {
        ($table:tt, $column:tt) => {
            sqlx::query_as!(
                Row,
                "SELECT substr(t."
                    + $column
                    + r#", 3, 16) AS "key!", count(*) AS "values!" FROM "#
                    + $table
                    + " t WHERE t.tenant_id = $1 AND octet_length(t."
                    + $column
                    + ") > 0 GROUP BY 1",
                tenant
            )
            .fetch_all(connection)
            .await?
        };
    }
    let rows = match (place.table, place.column) {
        ("provider_apps", "client_secret") => count!("provider_apps", "client_secret"),
        ("signing_keys", "private_key") => count!("signing_keys", "private_key"),
        ("provider_sessions", "access_token") => count!("provider_sessions", "access_token"),
        ("provider_sessions", "refresh_token") => count!("provider_sessions", "refresh_token"),
        ("session_quarantine", "access_token") => count!("session_quarantine", "access_token"),
        ("session_quarantine", "refresh_token") => count!("session_quarantine", "refresh_token"),
        ("link_attempts", "verifier") => count!("link_attempts", "verifier"),
        ("preferences", "document") => count!("preferences", "document"),
        ("consents", "proof") => count!("consents", "proof"),
        ("playlist_versions", "head") => count!("playlist_versions", "head"),
        ("playlist_chunks", "entries") => count!("playlist_chunks", "entries"),
        ("listening_history", "play") => count!("listening_history", "play"),
        ("listening_rollups", "heard") => count!("listening_rollups", "heard"),
        ("listening_rollups", "plays") => count!("listening_rollups", "plays"),
        ("listening_rollups", "names") => count!("listening_rollups", "names"),
        ("idempotency_keys", "note") => count!("idempotency_keys", "note"),
        ("idempotency_keys", "answer") => count!("idempotency_keys", "answer"),
        ("jobs", "message") => count!("jobs", "message"),
        ("jobs", "document") => count!("jobs", "document"),
        ("job_parts", "content") => count!("job_parts", "content"),
        ("audit_payloads", "sealed") => count!("audit_payloads", "sealed"),
        _ => return Err(unknown(place)),
    };
    // What is too short for an envelope names no key.
    let key = |row: Row| Some((Uuid::from_slice(&row.key).ok()?, row.values.unsigned_abs()));
    Ok(rows.into_iter().filter_map(key).collect())
}

fn unknown(place: &Place) -> StoreError {
    StoreError::not_understood("the catalogue of sealed values", place.name())
}
