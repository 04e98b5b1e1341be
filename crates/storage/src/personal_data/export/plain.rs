//! The rows of the tables in which nothing is sealed that a copy contains.

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
    // Rows as they are but for what is withheld, where they are in the order, and nothing that is sealed.
    macro_rules! read {
        ($row:tt, $place:tt, $from:tt) => {
            sqlx::query_as!(
                Raw,
                "SELECT "
                    + $row
                    + r#" AS "row!: Json<Map<String, Value>>",
                ARRAY["#
                    + $place
                    + r#"] AS "cursor!",
                NULL::uuid AS "place?", NULL::bytea AS "first?", NULL::bigint AS "first_revision?",
                NULL::bytea AS "second?", NULL::bigint AS "second_revision?"
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
        "users" => read!(
            "to_jsonb(t)",
            "t.user_id::text",
            "FROM users t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.user_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.user_id LIMIT $4"
        ),
        "listening_gaps" => read!(
            "to_jsonb(t)",
            "t.account_id::text, t.from_at::text",
            "FROM listening_gaps t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND (t.account_id, t.from_at) > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'),
                COALESCE(($3::text[])[2]::timestamptz, '-infinity'))
            ORDER BY t.account_id, t.from_at LIMIT $4"
        ),
        "listening_cursors" => read!(
            "to_jsonb(t)",
            "t.account_id::text",
            "FROM listening_cursors t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.account_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.account_id LIMIT $4"
        ),
        "listening_imports" => read!(
            "to_jsonb(t) - ARRAY['source_digest']",
            "t.import_id::text",
            "FROM listening_imports t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.import_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.import_id LIMIT $4"
        ),
        "listening_rollups" => read!(
            "to_jsonb(t) - ARRAY['heard', 'plays', 'names']",
            "t.provider, t.month::text",
            "FROM listening_rollups t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND (t.provider, t.month) > (COALESCE(($3::text[])[1], ''), COALESCE(($3::text[])[2]::date, '-infinity'))
            ORDER BY t.provider, t.month LIMIT $4"
        ),
        "data_keys" => read!(
            "to_jsonb(t) - ARRAY['wrapped_key', 'indexes']",
            "t.key_id::text",
            "FROM data_keys t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.key_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.key_id LIMIT $4"
        ),
        "api_keys" => read!(
            "jsonb_build_object('tenant_id', t.tenant_id, 'key_id', t.key_id, 'name', t.name, 'mode', t.mode,
                'scopes', t.scopes, 'toolsets', t.toolsets, 'read_only', t.read_only, 'user_id', t.user_id,
                'allowed_networks', t.allowed_networks, 'expires_at', t.expires_at, 'revoked_at', t.revoked_at,
                'last_used_at', t.last_used_at, 'created_at', t.created_at, 'revision', t.revision,
                'revoked_reason', t.revoked_reason, 'replaced_by', t.replaced_by)",
            "t.key_id",
            "FROM api_keys t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.key_id > COALESCE(($3::text[])[1]::text, '')
            ORDER BY t.key_id LIMIT $4"
        ),
        "linked_accounts" => read!(
            "to_jsonb(t)",
            "t.account_id::text",
            "FROM linked_accounts t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.account_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.account_id LIMIT $4"
        ),
        "provider_sessions" => read!(
            "to_jsonb(t) - ARRAY['access_token', 'refresh_token']",
            "t.session_id::text",
            "FROM provider_sessions t
            WHERE t.tenant_id = $1 AND t.account_id IN (SELECT a.account_id FROM linked_accounts a WHERE a.tenant_id = $1 AND a.user_id = $2)
            AND t.session_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.session_id LIMIT $4"
        ),
        "session_quarantine" => read!(
            "to_jsonb(t) - ARRAY['access_token', 'refresh_token']",
            "t.quarantine_id::text",
            "FROM session_quarantine t
            WHERE t.tenant_id = $1 AND t.account_id IN (SELECT a.account_id FROM linked_accounts a WHERE a.tenant_id = $1 AND a.user_id = $2)
            AND t.quarantine_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.quarantine_id LIMIT $4"
        ),
        "session_devices" => read!(
            "to_jsonb(t) - ARRAY['fingerprint']",
            "t.account_id::text, encode(t.fingerprint, 'hex')",
            "FROM session_devices t
            WHERE t.tenant_id = $1 AND t.account_id IN (SELECT a.account_id FROM linked_accounts a WHERE a.tenant_id = $1 AND a.user_id = $2)
            AND (t.account_id, t.fingerprint) > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'), decode(COALESCE(($3::text[])[2]::text, ''), 'hex'))
            ORDER BY t.account_id, t.fingerprint LIMIT $4"
        ),
        "session_imports" => read!(
            "to_jsonb(t) - ARRAY['source_digest']",
            "encode(t.source_digest, 'hex')",
            "FROM session_imports t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.source_digest > decode(COALESCE(($3::text[])[1]::text, ''), 'hex')
            ORDER BY t.source_digest LIMIT $4"
        ),
        "link_attempts" => read!(
            "to_jsonb(t) - ARRAY['page_hash', 'state_hash', 'browser_hash', 'verifier', 'device']",
            "t.attempt_id::text",
            "FROM link_attempts t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.attempt_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.attempt_id LIMIT $4"
        ),
        "limit_violations" => read!(
            "to_jsonb(t)",
            "t.principal, t.limit_name, t.minute::text",
            "FROM (
                SELECT v.* FROM limit_violations v WHERE v.tenant_id = $1 AND v.user_id = $2
                UNION ALL
                SELECT v.* FROM api_keys k CROSS JOIN LATERAL (
                    SELECT i.* FROM limit_violations i
                    WHERE i.tenant_id = $1 AND i.principal = 'key:' || k.key_id AND i.user_id IS DISTINCT FROM $2
                    OFFSET 0) v
                WHERE k.tenant_id = $1 AND k.user_id = $2
            ) t
            WHERE t.tenant_id = $1
            AND (t.principal, t.limit_name, t.minute)
                > (COALESCE(($3::text[])[1]::text, ''), COALESCE(($3::text[])[2]::text, ''),
                    COALESCE(($3::text[])[3]::timestamptz, '-infinity'))
            ORDER BY t.principal, t.limit_name, t.minute LIMIT $4"
        ),
        "usage_minutes" => read!(
            "to_jsonb(t) - ARRAY['latency']",
            "t.starts_at::text, t.principal, t.tool, t.content, t.replica_id::text, t.batch::text",
            "FROM usage_minutes t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.starts_at >= COALESCE(($3::text[])[1]::timestamptz, '-infinity')
            AND (t.starts_at, t.principal, t.tool, t.content, t.replica_id, t.batch)
                > (COALESCE(($3::text[])[1]::timestamptz, '-infinity'), COALESCE(($3::text[])[2]::text, ''),
                    COALESCE(($3::text[])[3]::text, ''), COALESCE(($3::text[])[4]::text, ''),
                    COALESCE(($3::text[])[5]::uuid, '00000000-0000-0000-0000-000000000000'),
                    COALESCE(($3::text[])[6]::bigint, -1))
            ORDER BY t.starts_at, t.principal, t.tool, t.content, t.replica_id, t.batch LIMIT $4"
        ),
        "usage_rollups" => read!(
            "to_jsonb(t) - ARRAY['latency']",
            "t.starts_at::text, t.period, t.principal, t.tool, t.content",
            "FROM usage_rollups t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.starts_at >= COALESCE(($3::text[])[1]::timestamptz, '-infinity')
            AND (t.starts_at, t.period, t.principal, t.tool, t.content)
                > (COALESCE(($3::text[])[1]::timestamptz, '-infinity'), COALESCE(($3::text[])[2]::text, ''),
                    COALESCE(($3::text[])[3]::text, ''), COALESCE(($3::text[])[4]::text, ''),
                    COALESCE(($3::text[])[5]::text, ''))
            ORDER BY t.starts_at, t.period, t.principal, t.tool, t.content LIMIT $4"
        ),
        "shared_queue_commits" => read!(
            "to_jsonb(t) - ARRAY['key_digest', 'request_digest']",
            "t.commit_id::text",
            "FROM shared_queue_commits t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.commit_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.commit_id LIMIT $4"
        ),
        "shared_queue_votes" => read!(
            "to_jsonb(t)",
            "t.queue_id::text, t.item_id::text",
            "FROM shared_queue_votes t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND (t.queue_id, t.item_id)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'), COALESCE(($3::text[])[2]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.queue_id, t.item_id LIMIT $4"
        ),
        "shared_queue_items" => read!(
            "to_jsonb(t)",
            "t.queue_id::text, t.item_id::text",
            "FROM shared_queue_items t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND (t.queue_id, t.item_id)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'), COALESCE(($3::text[])[2]::uuid, '00000000-0000-0000-0000-000000000000'))
            ORDER BY t.queue_id, t.item_id LIMIT $4"
        ),
        "shared_queue_changes" => read!(
            "to_jsonb(t) - ARRAY['key_digest', 'request_digest']",
            "t.queue_id::text, t.version::text",
            "FROM shared_queue_changes t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND (t.queue_id, t.version)
                > (COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000'), COALESCE(($3::text[])[2]::bigint, 0))
            ORDER BY t.queue_id, t.version LIMIT $4"
        ),
        "shared_queue_members" => read!(
            "to_jsonb(t)",
            "t.queue_id::text",
            "FROM shared_queue_members t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.queue_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.queue_id LIMIT $4"
        ),
        "privacy_requests" => read!(
            "to_jsonb(t) - ARRAY['page_hash', 'subject_digest']",
            "t.request_id::text",
            "FROM privacy_requests t
            WHERE t.tenant_id = $1 AND t.user_id = $2
            AND t.request_id > COALESCE(($3::text[])[1]::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY t.request_id LIMIT $4"
        ),
        _ => return Ok(None),
    };
    Ok(Some(rows))
}
