//! How many rows each table holds about a person.

use stagedoor_domain::{TenantContext, UserId};

use super::people;
use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::TenantTransaction;

/// The tables about people with the number of rows about this one, in the order of [`people`]; those without any too.
pub async fn counts(
    store: &Store,
    context: &TenantContext,
    user: UserId,
) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            r#"WITH accounts AS (SELECT account_id FROM linked_accounts WHERE tenant_id = $1 AND user_id = $2)
            SELECT 'playlist_chunks' AS "name!", count(*) AS "rows!" FROM playlist_chunks
                WHERE tenant_id = $1 AND account_id IN (SELECT account_id FROM accounts)
            UNION ALL SELECT 'listening_history', count(*) FROM listening_history WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'listening_gaps', count(*) FROM listening_gaps WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'listening_cursors', count(*) FROM listening_cursors WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'listening_imports', count(*) FROM listening_imports WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'listening_rollups', count(*) FROM listening_rollups WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'playlist_versions', count(*) FROM playlist_versions WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'job_parts', count(*) FROM job_parts WHERE tenant_id = $1
                AND job_id IN (SELECT job_id FROM jobs WHERE tenant_id = $1 AND user_id = $2)
            UNION ALL SELECT 'jobs', count(*) FROM jobs WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'idempotency_keys', count(*) FROM idempotency_keys WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'shared_queue_commits', count(*) FROM shared_queue_commits
                WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'shared_queue_votes', count(*) FROM shared_queue_votes WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'shared_queue_items', count(*) FROM shared_queue_items WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'shared_queue_changes', count(*) FROM shared_queue_changes
                WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'shared_queue_members', count(*) FROM shared_queue_members
                WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'limit_violations',
                (SELECT count(*) FROM limit_violations WHERE tenant_id = $1 AND user_id = $2)
                + (SELECT count(*) FROM api_keys k CROSS JOIN LATERAL (
                    SELECT FROM limit_violations v
                    WHERE v.tenant_id = $1 AND v.principal = 'key:' || k.key_id AND v.user_id IS DISTINCT FROM $2
                    OFFSET 0) v WHERE k.tenant_id = $1 AND k.user_id = $2)
            UNION ALL SELECT 'usage_minutes', count(*) FROM usage_minutes WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'usage_rollups', count(*) FROM usage_rollups WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'provider_sessions', count(*) FROM provider_sessions
                WHERE tenant_id = $1 AND account_id IN (SELECT account_id FROM accounts)
            UNION ALL SELECT 'session_quarantine', count(*) FROM session_quarantine
                WHERE tenant_id = $1 AND account_id IN (SELECT account_id FROM accounts)
            UNION ALL SELECT 'session_devices', count(*) FROM session_devices
                WHERE tenant_id = $1 AND account_id IN (SELECT account_id FROM accounts)
            UNION ALL SELECT 'session_imports', count(*) FROM session_imports WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'link_attempts', count(*) FROM link_attempts WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'preferences', count(*) FROM preferences WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'consents', count(*) FROM consents WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'linked_accounts', count(*) FROM accounts
            UNION ALL SELECT 'api_keys', count(*) FROM api_keys WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'audit_payloads', count(*) FROM audit_payloads WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'privacy_requests', count(*) FROM privacy_requests WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'data_keys', count(*) FROM data_keys WHERE tenant_id = $1 AND user_id = $2
            UNION ALL SELECT 'users', count(*) FROM users WHERE tenant_id = $1 AND user_id = $2"#,
            tx.tenant_id().0,
            user.0
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = store.with_tenant(context, read).await?;
    people()
        .map(|(table, _)| {
            let found = rows.iter().find(|row| row.name == table.name);
            let found = found.ok_or(StoreError::Missing("count of a table of people's data"))?;
            Ok((table.name, found.rows.unsigned_abs()))
        })
        .collect()
}
