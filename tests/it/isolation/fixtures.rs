//! Rows of the tables that no call of a tool fills, for both tenants of an isolation test.

/// Tables that a run like this does not fill, with a row for the tenant `$1`.
pub(super) const FIXTURES: &[(&str, &str)] = &[
    (
        "backups",
        "INSERT INTO backups (tenant_id, backup_id, class, taken_at, wrapped_by) \
         VALUES ('$1', gen_random_uuid(), 'sessions', now(), gen_random_uuid())",
    ),
    (
        "key_rotations",
        "INSERT INTO key_rotations (tenant_id, layer, state, compromised, made_before) \
         VALUES ('$1', 'tenant', 'resealing', false, now())",
    ),
    (
        "admin_creates",
        "INSERT INTO admin_creates (tenant_id, request_digest, body_digest) VALUES ('$1', sha256('x'), sha256('y'))",
    ),
    (
        "usage_minutes",
        "SELECT ensure_usage_partitions(current_date - 1, 3); INSERT INTO usage_minutes VALUES ('$1', now(), \
         '00000000-0000-0000-0000-000000000000', 'key:x', 'search', 'none', gen_random_uuid(), 1, false, \
         0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x')",
    ),
    (
        "usage_rollups",
        "INSERT INTO usage_rollups VALUES ('$1', 'day', now(), '00000000-0000-0000-0000-000000000000', 'key:x', \
         'search', 'none', false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x')",
    ),
    (
        "listening_rollups",
        "INSERT INTO listening_rollups (tenant_id, user_id, provider, month, rollup_id) \
         SELECT tenant_id, user_id, provider, '2020-01-01', gen_random_uuid() \
         FROM linked_accounts WHERE tenant_id = '$1' LIMIT 1",
    ),
    (
        "listening_history",
        "SELECT ensure_listening_partitions(2020, 2020); \
         INSERT INTO listening_history (tenant_id, user_id, account_id, provider, played_at, track_digest, names_digest, \
         play_id, source, play) \
         SELECT tenant_id, user_id, account_id, provider, '2020-02-02T12:00:00Z', sha256('x'), sha256('y'), \
         gen_random_uuid(), 'poll', 'x' FROM linked_accounts WHERE tenant_id = '$1' LIMIT 1",
    ),
    (
        "listening_cursors",
        "INSERT INTO listening_cursors (tenant_id, user_id, account_id, provider, next_poll_at) \
         SELECT tenant_id, user_id, account_id, provider, now() \
         FROM linked_accounts WHERE tenant_id = '$1' LIMIT 1",
    ),
    (
        "listening_gaps",
        "INSERT INTO listening_gaps (tenant_id, user_id, account_id, provider, from_at, to_at, reason, found_at) \
         SELECT tenant_id, user_id, account_id, provider, now() - interval '1 hour', now(), 'missed', now() \
         FROM linked_accounts WHERE tenant_id = '$1' LIMIT 1",
    ),
    (
        "listening_imports",
        "INSERT INTO listening_imports (tenant_id, user_id, account_id, provider, import_id, source_digest, state, started_at, changed_at) \
         SELECT tenant_id, user_id, account_id, provider, gen_random_uuid(), sha256('x'), 'running', now(), now() \
         FROM linked_accounts WHERE tenant_id = '$1' LIMIT 1",
    ),
    (
        "issuers",
        "INSERT INTO issuers (tenant_id, issuer_id, issuer, algorithms) \
         VALUES ('$1', gen_random_uuid(), 'https://login.example.com', '{RS256}')",
    ),
    ("metric_rollups", "INSERT INTO metric_rollups VALUES ('$1', 'day', current_date, 'calls', false, 1)"),
    (
        "audit_checkpoints",
        "INSERT INTO audit_checkpoints VALUES ('$1', current_date, 1, sha256('x'), now(), gen_random_uuid(), 'x')",
    ),
    (
        "audit_checkpoint_heads",
        "INSERT INTO audit_checkpoint_heads VALUES ('$1', 0, sha256('x')) ON CONFLICT DO NOTHING",
    ),
    (
        "signing_keys",
        "INSERT INTO signing_keys (tenant_id, key_id, state, public_key, private_key, created_at) \
         VALUES ('$1', gen_random_uuid(), 'retired', sha256('x'), 'x', now())",
    ),
    (
        "session_quarantine",
        "INSERT INTO session_quarantine SELECT tenant_id, gen_random_uuid(), account_id, 'damaged', now(), \
         session_id, schema_version, access_token, refresh_token, scopes, token_expires_at, authorized_at, revision \
         FROM provider_sessions WHERE tenant_id = '$1'",
    ),
    (
        "session_imports",
        "INSERT INTO session_imports SELECT tenant_id, sha256(account_id::text::bytea), user_id, account_id, 'linked', \
         now() FROM linked_accounts WHERE tenant_id = '$1'",
    ),
    (
        "limit_violations",
        "INSERT INTO limit_violations VALUES ('$1', 'key:AAAAAAAAAAAA', 'search-60', now(), NULL, 1, 0, now(), now())",
    ),
    (
        "erasure_tombstones",
        "INSERT INTO erasure_tombstones SELECT tenant_id, sha256(request_id::text::bytea), request_id, now() \
         FROM privacy_requests WHERE tenant_id = '$1'",
    ),
    // What unlinking takes along.
    (
        "playlist_versions",
        "INSERT INTO playlist_versions SELECT tenant_id, account_id, 'spotify:playlist:x', 1, gen_random_uuid(), \
         user_id, NULL, 'before', NULL, now(), 0, sha256('x'), 'x', '{}' FROM linked_accounts WHERE tenant_id = '$1'",
    ),
    (
        "playlist_chunks",
        "INSERT INTO playlist_chunks SELECT tenant_id, account_id, 'spotify:playlist:x', gen_random_uuid(), 'x' \
         FROM linked_accounts WHERE tenant_id = '$1'",
    ),
    (
        "idempotency_keys",
        "INSERT INTO idempotency_keys SELECT tenant_id, 'key:AAAAAAAAAAAA', sha256(account_id::text::bytea), \
         gen_random_uuid(), user_id, account_id, 'playlist_add', sha256('x'), gen_random_uuid(), now(), 0, NULL, NULL, \
         now() + interval '1 day' FROM linked_accounts WHERE tenant_id = '$1'",
    ),
    (
        "shared_queue_commits",
        "INSERT INTO shared_queue_commits SELECT a.tenant_id, gen_random_uuid(), m.queue_id, m.user_id, a.account_id, \
         sha256(a.account_id::text::bytea), sha256('x'), '{}', gen_random_uuid(), now(), now() + interval '1 day' \
         FROM linked_accounts a JOIN shared_queue_members m USING (tenant_id, user_id) WHERE a.tenant_id = '$1' LIMIT 1",
    ),
    (
        "jobs",
        "INSERT INTO jobs (tenant_id, job_id, kind, user_id, principal, scopes, toolsets, read_only, state, document, \
         expires_at) SELECT tenant_id, gen_random_uuid(), 'transfer', user_id, 'key:AAAAAAAAAAAA', '{}', '{}', false, \
         'waiting', 'x', now() + interval '1 day' FROM linked_accounts WHERE tenant_id = '$1'",
    ),
    (
        "job_parts",
        "INSERT INTO job_parts SELECT tenant_id, job_id, 1000000, 1, 'x' FROM jobs WHERE tenant_id = '$1'",
    ),
];
