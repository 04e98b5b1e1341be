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
    // Rows as they are but for what is withheld, and beside them what is sealed.
    macro_rules! read {
        ($sql:tt) => {
            sqlx::query_as!(Raw, $sql, tenant, user.0, after, limit).fetch_all(connection).await?
        };
    }
    let rows = match table {
        "preferences" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['document'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.user_id::text] AS "cursor!",
                t.user_id AS "place?", t.document AS "first?", t.revision AS "first_revision?",
                NULL::bytea AS "second?", NULL::bigint AS "second_revision?"
            FROM preferences t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.user_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.user_id LIMIT $4"#
        ),
        "consents" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['proof'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.consent_id::text] AS "cursor!",
                t.consent_id AS "place?", t.proof AS "first?", 1::bigint AS "first_revision?",
                NULL::bytea AS "second?", NULL::bigint AS "second_revision?"
            FROM consents t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.consent_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.consent_id LIMIT $4"#
        ),
        "playlist_versions" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['fingerprint', 'head'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.account_id::text, t.playlist, t.number::text] AS "cursor!",
                t.version_id AS "place?", t.head AS "first?", t.number::bigint AS "first_revision?",
                NULL::bytea AS "second?", NULL::bigint AS "second_revision?"
            FROM playlist_versions t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND (t.account_id, t.playlist, t.number)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2]::text, ''), COALESCE(($3::text[])[3]::integer, 0))
            ORDER BY t.account_id, t.playlist, t.number LIMIT $4"#
        ),
        "playlist_chunks" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['entries'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.account_id::text, t.playlist, t.chunk_id::text] AS "cursor!",
                t.chunk_id AS "place?", t.entries AS "first?", 1::bigint AS "first_revision?",
                NULL::bytea AS "second?", NULL::bigint AS "second_revision?"
            FROM playlist_chunks t
            WHERE t.tenant_id = $1 AND t.account_id IN (SELECT a.account_id FROM linked_accounts a WHERE a.tenant_id = $1 AND a.user_id = $2)
            AND (t.account_id, t.playlist, t.chunk_id)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[2]::text, ''),
                    COALESCE(($3::text[])[3]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.account_id, t.playlist, t.chunk_id LIMIT $4"#
        ),
        "idempotency_keys" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['key_digest', 'request_digest', 'note', 'answer'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.record_id::text] AS "cursor!",
                t.record_id AS "place?", t.note AS "first?", t.revision AS "first_revision?",
                t.answer AS "second?", t.revision AS "second_revision?"
            FROM idempotency_keys t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.record_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.record_id LIMIT $4"#
        ),
        "jobs" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['message', 'document'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.job_id::text] AS "cursor!",
                t.job_id AS "place?", t.message AS "first?", t.revision AS "first_revision?",
                t.document AS "second?", t.document_revision AS "second_revision?"
            FROM jobs t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.job_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.job_id LIMIT $4"#
        ),
        "job_parts" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['content'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.job_id::text, t.number::text] AS "cursor!",
                t.job_id AS "place?", t.content AS "first?", t.revision AS "first_revision?",
                NULL::bytea AS "second?", NULL::bigint AS "second_revision?"
            FROM job_parts t
            WHERE t.tenant_id = $1 AND t.job_id IN (SELECT j.job_id FROM jobs j WHERE j.tenant_id = $1 AND j.user_id = $2)
            AND (t.job_id, t.number) > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'), COALESCE(($3::text[])[2]::bigint, -1))
            ORDER BY t.job_id, t.number LIMIT $4"#
        ),
        "audit_payloads" => read!(
            r#"SELECT to_jsonb(t) - ARRAY['sealed'] AS "row!: Json<Map<String, Value>>",
                ARRAY[t.day::text, t.bundle_id::text] AS "cursor!",
                t.bundle_id AS "place?", t.sealed AS "first?", 0::bigint AS "first_revision?",
                NULL::bytea AS "second?", NULL::bigint AS "second_revision?"
            FROM audit_payloads t
            WHERE t.tenant_id = $1 AND t.user_id = $2 AND t.sealed <> ''::bytea
            AND t.day >= COALESCE(($3::text[])[1]::date, '-infinity')
            AND (t.day, t.bundle_id) > (COALESCE(($3::text[])[1]::date, '-infinity'),
                COALESCE(($3::text[])[2]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.day, t.bundle_id LIMIT $4"#
        ),
        _ => return Ok(None),
    };
    Ok(Some(rows))
}
