-- What playlists held, which calls with an idempotency key were begun, and work that outlives its call.
-- All of it comes from linked accounts and goes with them.

-- One version of a playlist. Numbers rise by one for each playlist of an account; the newest 200 are kept.
CREATE TABLE playlist_versions (
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    -- As references are written: spotify:playlist:ID.
    playlist text NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    version_id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- What the service calls it. Besides it, only what a version is put down to changes: cause and call_id.
    provider_version text,
    cause text NOT NULL,
    call_id uuid,
    recorded_at timestamptz NOT NULL,
    entries integer NOT NULL CHECK (entries >= 0),
    -- A keyed hash of all that it holds: equal contents are found without opening them.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- Sealed under the person's key: name, description, visibility, and a digest of the entries.
    head bytea NOT NULL,
    -- The pieces of its entries, in order.
    chunks uuid[] NOT NULL,
    PRIMARY KEY (tenant_id, account_id, playlist, number),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE
);
CREATE INDEX playlist_versions_by_user ON playlist_versions (tenant_id, user_id);
ALTER TABLE playlist_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE playlist_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON playlist_versions
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE (provider_version, cause, call_id), DELETE ON playlist_versions TO stagedoor_app;
GRANT SELECT, DELETE ON playlist_versions TO stagedoor_admin;
GRANT SELECT ON playlist_versions TO stagedoor_backup;

-- A piece of the entries of one or more versions of one playlist, stored once. Its id is a keyed hash of what it holds,
-- so that equal contents of two people or playlists cannot be recognised.
CREATE TABLE playlist_chunks (
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    playlist text NOT NULL,
    chunk_id uuid NOT NULL,
    -- Compressed, then sealed under the person's key.
    entries bytea NOT NULL,
    PRIMARY KEY (tenant_id, account_id, playlist, chunk_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE
);
ALTER TABLE playlist_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE playlist_chunks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON playlist_chunks
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- Never changed: no UPDATE for anyone.
GRANT SELECT, INSERT, DELETE ON playlist_chunks TO stagedoor_app;
GRANT SELECT, DELETE ON playlist_chunks TO stagedoor_admin;
GRANT SELECT ON playlist_chunks TO stagedoor_backup;

-- Calls with an idempotency key, for a day. All times are the database's: replicas whose clocks differ must agree.
CREATE TABLE idempotency_keys (
    tenant_id uuid NOT NULL,
    -- Who called, as the audit trail names it: another's equal key is another key.
    principal text NOT NULL,
    -- SHA-256 of the key.
    key_digest bytea NOT NULL CHECK (octet_length(key_digest) = 32),
    record_id uuid NOT NULL,
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    tool text NOT NULL,
    -- A digest of the arguments, bound to the key.
    request_digest bytea NOT NULL CHECK (octet_length(request_digest) = 32),
    -- Whose turn it is: new for each call that takes it, so that one which was thought dead writes nothing any more.
    claim uuid NOT NULL,
    claimed_until timestamptz NOT NULL,
    -- Raised by each write of note or answer, which are sealed under the person's key and bound to it.
    revision bigint NOT NULL DEFAULT 0,
    note bytea,
    answer bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, principal, key_digest),
    UNIQUE (tenant_id, record_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    CHECK (note IS NULL OR answer IS NULL)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (tenant_id, expires_at);
CREATE INDEX idempotency_keys_by_user ON idempotency_keys (tenant_id, user_id);
CREATE INDEX idempotency_keys_by_account ON idempotency_keys (tenant_id, account_id);
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON idempotency_keys
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO stagedoor_app;
GRANT SELECT, DELETE ON idempotency_keys TO stagedoor_admin;
GRANT SELECT ON idempotency_keys TO stagedoor_backup;

-- Work that outlives its call, done by whichever replica claims it. All times are the database's.
CREATE TABLE jobs (
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,32}$'),
    user_id uuid NOT NULL,
    -- Who began it, as the audit trail names it, and with which rights.
    principal text NOT NULL,
    api_key text,
    scopes text[] NOT NULL,
    toolsets text[] NOT NULL,
    read_only boolean NOT NULL,
    principal_expires_at timestamptz,
    -- The accounts that it works on.
    first_account uuid,
    second_account uuid,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'done', 'failed', 'cancelled')),
    -- When a worker may take it: for a running one, when the claim ends; NULL if it waits for someone or is over.
    due_at timestamptz,
    -- Raised by each claim, so that a worker whose claim ran out writes nothing any more.
    fence bigint NOT NULL DEFAULT 0,
    cancel_requested boolean NOT NULL DEFAULT false,
    -- Raised by each step; the message is bound to it.
    revision bigint NOT NULL DEFAULT 1,
    done bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    total bigint CHECK (total >= 0),
    -- Sealed under the person's key, as the document is, which is bound to its own revision.
    message bytea,
    document bytea NOT NULL,
    document_revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, job_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, api_key) REFERENCES api_keys (tenant_id, key_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, first_account) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, second_account) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    CHECK (state NOT IN ('queued', 'running') OR due_at IS NOT NULL),
    CHECK (state NOT IN ('done', 'failed', 'cancelled') OR due_at IS NULL)
);
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_by_expiry ON jobs (tenant_id, expires_at);
CREATE INDEX jobs_by_user ON jobs (tenant_id, user_id);
CREATE INDEX jobs_by_key ON jobs (tenant_id, api_key);
CREATE INDEX jobs_by_first_account ON jobs (tenant_id, first_account);
CREATE INDEX jobs_by_second_account ON jobs (tenant_id, second_account);
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON jobs
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- Which jobs of all tenants are at work or due, for the function below.
CREATE POLICY look_up_due ON jobs FOR SELECT TO stagedoor_owner USING (due_at IS NOT NULL);
GRANT SELECT, INSERT, UPDATE, DELETE ON jobs TO stagedoor_app;
GRANT SELECT, DELETE ON jobs TO stagedoor_admin;
GRANT SELECT ON jobs TO stagedoor_backup;

-- What is too big to be rewritten at each step of a job.
CREATE TABLE job_parts (
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    number bigint NOT NULL CHECK (number >= 0),
    revision bigint NOT NULL,
    -- Compressed, then sealed under the person's key.
    content bytea NOT NULL,
    PRIMARY KEY (tenant_id, job_id, number),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, job_id) ON DELETE CASCADE
);
ALTER TABLE job_parts ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_parts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON job_parts
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON job_parts TO stagedoor_app;
GRANT SELECT, DELETE ON job_parts TO stagedoor_admin;
GRANT SELECT ON job_parts TO stagedoor_backup;

-- Claims due jobs of active tenants, which take turns; none has more than `per_tenant` at work. Steps into each job's
-- tenant to claim it and puts the caller's tenant back, as api_key_for_sign_in does.
CREATE FUNCTION claim_due_jobs(most integer, per_tenant integer, lease_seconds double precision)
RETURNS TABLE (tenant_id uuid, job_id uuid, user_id uuid, fence bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
    present timestamptz := clock_timestamp();
    candidate record;
    claimed integer := 0;
BEGIN
    FOR candidate IN
        SELECT due.tenant_id, due.job_id
        FROM (
            SELECT j.tenant_id, j.job_id, j.due_at,
                row_number() OVER (PARTITION BY j.tenant_id ORDER BY j.due_at, j.job_id) + COALESCE(w.jobs, 0) AS turn
            FROM public.jobs j
            JOIN public.tenants t ON t.tenant_id = j.tenant_id AND t.status = 'active'
            LEFT JOIN (
                SELECT r.tenant_id, count(*) AS jobs FROM public.jobs r
                WHERE r.state = 'running' AND r.due_at > present GROUP BY r.tenant_id
            ) w ON w.tenant_id = j.tenant_id
            WHERE j.due_at <= present AND j.expires_at > present
        ) due
        WHERE due.turn <= per_tenant
        ORDER BY due.turn, due.due_at
        -- Some of them may be another replica's by the time they are looked at.
        LIMIT most * 4
    LOOP
        EXIT WHEN claimed >= most;
        PERFORM set_config('stagedoor.tenant_id', candidate.tenant_id::text, true);
        RETURN QUERY
            UPDATE public.jobs j
            SET state = 'running', fence = j.fence + 1, due_at = clock_timestamp() + make_interval(secs => lease_seconds)
            FROM (
                SELECT f.job_id FROM public.jobs f
                WHERE f.tenant_id = candidate.tenant_id AND f.job_id = candidate.job_id AND f.due_at <= present
                FOR UPDATE SKIP LOCKED
            ) free
            WHERE j.tenant_id = candidate.tenant_id AND j.job_id = free.job_id
            RETURNING j.tenant_id, j.job_id, j.user_id, j.fence;
        IF FOUND THEN
            claimed := claimed + 1;
        END IF;
    END LOOP;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION claim_due_jobs(integer, integer, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_due_jobs(integer, integer, double precision) TO stagedoor_app;
