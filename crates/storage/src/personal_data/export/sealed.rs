//! The rows of the tables with sealed columns that a copy contains opened.

use serde_json::{Map, Value};
use sqlx::types::Json;
use stagedoor_domain::UserId;

use super::Raw;
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// Up to `limit` rows after those that the cursor `after` names; `None` for another table.
pub(super) async fn read(
    transaction: &mut TenantTransaction,
    user: UserId,
    table: &str,
    after: Option<&[String]>,
    limit: i64,
) -> Result<Option<Vec<Raw>>, StoreError> {
    let tenant = transaction.tenant_id().0;
    let connection = transaction.connection();
    // Rows as they are but for what is withheld, where they are in the order, and beside them what is sealed: the row that
    // it is bound to, and one or two columns, each with its revision.
    macro_rules! read {
        ($row:tt, $place:tt, ($of:tt, $first:tt, $first_revision:tt), $from:tt) => {
            read!($row, $place, ($of, $first, $first_revision, "NULL::bytea", "NULL::bigint"), $from)
        };
        ($row:tt, $place:tt, ($of:tt, $first:tt, $first_revision:tt, $second:tt, $second_revision:tt), $from:tt) => {
            sqlx::query_as!(
                Raw,
                "SELECT "
                    + $row
                    + r#" AS "row!: Json<Map<String, Value>>",
                ARRAY["#
                    + $place
                    + r#"] AS "cursor!",
                "#
                    + $of
                    + r#" AS "place?", "#
                    + $first
                    + r#" AS "first?", "#
                    + $first_revision
                    + r#" AS "first_revision?",
                "#
                    + $second
                    + r#" AS "second?", "#
                    + $second_revision
                    + r#" AS "second_revision?"
            "#
                    + $from,
                tenant,
                user.0,
                after,
                limit
            )
            .fetch_all(connection)
            .await?
        };
    }
    let rows = match table {
        "listening_history" => read!(
            "to_jsonb(t) - ARRAY['play', 'track_digest', 'names_digest']",
            "t.played_at::text, t.play_id::text",
            ("t.play_id", "t.play", "1::bigint"),
            "FROM listening_history t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.played_at >= COALESCE(($3::text[])[1]::timestamptz, '-infinity')
            AND (t.played_at, t.play_id) > (COALESCE(($3::text[])[1]::timestamptz, '-infinity'),
                COALESCE(($3::text[])[2]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.played_at, t.play_id LIMIT $4"
        ),
        "preferences" => read!(
            "to_jsonb(t) - ARRAY['document']",
            "t.user_id::text",
            ("t.user_id", "t.document", "t.revision"),
            "FROM preferences t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.user_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.user_id LIMIT $4"
        ),
        "consents" => read!(
            "to_jsonb(t) - ARRAY['proof']",
            "t.consent_id::text",
            ("t.consent_id", "t.proof", "1::bigint"),
            "FROM consents t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.consent_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.consent_id LIMIT $4"
        ),
        "playlist_versions" => read!(
            "to_jsonb(t) - ARRAY['fingerprint', 'head']",
            "t.account_id::text, t.playlist, t.number::text",
            ("t.version_id", "t.head", "t.number::bigint"),
            "FROM playlist_versions t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND (t.account_id, t.playlist, t.number)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2]::text, ''), COALESCE(($3::text[])[3]::integer, 0))
            ORDER BY t.account_id, t.playlist, t.number LIMIT $4"
        ),
        "playlist_chunks" => read!(
            "to_jsonb(t) - ARRAY['entries']",
            "t.account_id::text, t.playlist, t.chunk_id::text",
            ("t.chunk_id", "t.entries", "1::bigint"),
            "FROM playlist_chunks t
            WHERE t.tenant_id = $1 AND t.account_id IN (SELECT a.account_id FROM linked_accounts a WHERE a.tenant_id = $1 AND a.user_id = $2)
            AND (t.account_id, t.playlist, t.chunk_id)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2]::text, ''),
                    COALESCE(($3::text[])[3]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.account_id, t.playlist, t.chunk_id LIMIT $4"
        ),
        "idempotency_keys" => read!(
            "to_jsonb(t) - ARRAY['key_digest', 'request_digest', 'note', 'answer']",
            "t.record_id::text",
            ("t.record_id", "t.note", "t.revision", "t.answer", "t.revision"),
            "FROM idempotency_keys t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.record_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.record_id LIMIT $4"
        ),
        "jobs" => read!(
            "to_jsonb(t) - ARRAY['message', 'document']",
            "t.job_id::text",
            ("t.job_id", "t.message", "t.revision", "t.document", "t.document_revision"),
            "FROM jobs t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.job_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.job_id LIMIT $4"
        ),
        "job_parts" => read!(
            "to_jsonb(t) - ARRAY['content']",
            "t.job_id::text, t.number::text",
            ("t.job_id", "t.content", "t.revision"),
            "FROM job_parts t
            WHERE t.tenant_id = $1 AND t.job_id IN (SELECT j.job_id FROM jobs j WHERE j.tenant_id = $1 AND j.user_id = $2)
            AND (t.job_id, t.number) > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'), COALESCE(($3::text[])[2]::bigint, -1))
            ORDER BY t.job_id, t.number LIMIT $4"
        ),
        "audit_payloads" => read!(
            "to_jsonb(t) - ARRAY['sealed']",
            "t.day::text, t.bundle_id::text",
            ("t.bundle_id", "t.sealed", "0::bigint"),
            "FROM audit_payloads t
            WHERE t.tenant_id = $1 AND t.user_id = $2 AND t.sealed <> ''::bytea
            AND t.day >= COALESCE(($3::text[])[1]::date, '-infinity')
            AND (t.day, t.bundle_id) > (COALESCE(($3::text[])[1]::date, '-infinity'),
                COALESCE(($3::text[])[2]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.day, t.bundle_id LIMIT $4"
        ),
        _ => return Ok(None),
    };
    Ok(Some(rows))
}
