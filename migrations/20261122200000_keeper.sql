-- The keeper: its runs, which tenants it sees, and what it may do inside one.

-- What the keeper did, is doing, or was doing when it was killed. About no tenant: a job goes over all of them.
CREATE TABLE keeper_runs (
    run_id uuid PRIMARY KEY,
    job text NOT NULL,
    dry_run boolean NOT NULL,
    outcome text NOT NULL DEFAULT 'running'
        CHECK (outcome IN ('running', 'succeeded', 'partly', 'failed', 'interrupted', 'abandoned')),
    host text NOT NULL,
    -- By the keeper's clock.
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- What was done how often, by name.
    counts jsonb NOT NULL DEFAULT '{}',
    detail text NOT NULL DEFAULT '',
    CHECK ((outcome = 'running') = (ended_at IS NULL))
);
CREATE INDEX keeper_runs_by_job ON keeper_runs (job, started_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON keeper_runs TO stagedoor_keeper;
GRANT SELECT ON keeper_runs TO stagedoor_backup;

-- Jobs go from tenant to tenant; all else that they see is one tenant's at a time.
CREATE POLICY every_tenant_for_keeper ON tenants FOR SELECT TO stagedoor_keeper USING (true);
GRANT SELECT ON tenants TO stagedoor_keeper;

-- What it takes to open what is sealed, and to be on record.
GRANT SELECT ON users, audit_records, audit_payloads, audit_chain_heads, audit_checkpoints, audit_checkpoint_heads
    TO stagedoor_keeper;
GRANT SELECT, INSERT ON data_keys, signing_keys TO stagedoor_keeper;
GRANT EXECUTE ON FUNCTION audit_append_sized(date, uuid[], uuid[], integer[], bytea[], smallint[], timestamptz[],
    bytea[], uuid[], uuid[], integer[]) TO stagedoor_keeper;
GRANT EXECUTE ON FUNCTION audit_checkpoint_append(date, bigint, bytea, bigint, bytea, timestamptz, uuid, bytea)
    TO stagedoor_keeper;
GRANT EXECUTE ON FUNCTION audit_checkpoints_archived(bigint) TO stagedoor_keeper;
GRANT EXECUTE ON FUNCTION audit_unsealed_chains(date, uuid, integer) TO stagedoor_keeper;
GRANT EXECUTE ON FUNCTION audit_unarchived_checkpoints(uuid, integer) TO stagedoor_keeper;

-- Retention (SEED-T §7): the keeper deletes in one tenant at a time what is over. Chains lose whole days only.
GRANT SELECT, DELETE ON provider_sessions, session_quarantine, limit_violations, link_attempts, idempotency_keys, jobs,
    job_parts TO stagedoor_keeper;
GRANT SELECT, UPDATE (status, updated_at) ON linked_accounts TO stagedoor_keeper;
GRANT SELECT ON privacy_requests, playlist_versions TO stagedoor_keeper;

-- Drops the audit trail's partitions of the days before `before`, at most `most` of them, the oldest first, and answers
-- how many days it dropped. A day that is younger than 30 days by the database's own clock is refused, whatever the
-- caller's says. Each takes the parents' lock for a moment, and is not waited for as long as an append would wait behind
-- it.
CREATE FUNCTION retention_drop_audit_days(before date, most integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '300ms'
AS $$
DECLARE
    day date;
    dropped integer := 0;
BEGIN
    IF (before <= (now() AT TIME ZONE 'UTC')::date - 30) IS NOT TRUE THEN
        RAISE EXCEPTION 'the last 30 days of the audit trail are never dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR day IN
        SELECT DISTINCT to_date(right(c.relname, 8), 'YYYYMMDD') AS of_day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('public.audit_records'::regclass, 'public.audit_payloads'::regclass)
            AND c.relname ~ '^audit_(records|payloads)_p[0-9]{8}$'
        ORDER BY of_day
    LOOP
        EXIT WHEN day >= before OR dropped >= most;
        EXECUTE format('DROP TABLE IF EXISTS public.%I, public.%I',
            'audit_payloads' || to_char(day, '"_p"YYYYMMDD'), 'audit_records' || to_char(day, '"_p"YYYYMMDD'));
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION retention_drop_audit_days(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_drop_audit_days(date, integer) TO stagedoor_keeper;

-- Whether retention has emptied every payload of the day, so that it is not looked at again. A day comes back from a
-- backup whole: with the payloads that it had when this was written.
ALTER TABLE audit_chain_heads ADD COLUMN payloads_emptied boolean NOT NULL DEFAULT false;

-- Empties payloads of one day of the current tenant, at most `most`, as an erasure does: the chain stays. For a tenant
-- that keeps its trail for less than the others, whose days are in the same partitions. Notes when none is left.
CREATE FUNCTION retention_empty_audit_payloads(of_day date, most integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    emptied bigint;
BEGIN
    IF (of_day < (now() AT TIME ZONE 'UTC')::date - 30) IS NOT TRUE THEN
        RAISE EXCEPTION 'the last 30 days of the audit trail are never emptied' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE public.audit_payloads p SET sealed = '', user_id = NULL
        FROM (
            SELECT f.bundle_id FROM public.audit_payloads f
            WHERE f.tenant_id = tenant AND f.day = of_day AND f.sealed <> '' LIMIT most
        ) found
        WHERE p.tenant_id = tenant AND p.day = of_day AND p.bundle_id = found.bundle_id;
    GET DIAGNOSTICS emptied = ROW_COUNT;
    IF emptied < most THEN
        UPDATE public.audit_chain_heads h SET payloads_emptied = true WHERE h.tenant_id = tenant AND h.day = of_day;
    END IF;
    RETURN emptied;
END
$$;
REVOKE ALL ON FUNCTION retention_empty_audit_payloads(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_empty_audit_payloads(date, integer) TO stagedoor_keeper;

-- What is left of the current tenant's days whose partitions are gone: of each, the last checkpoint stays, which says how
-- the day ended; the others go, and the heads. At most `most` checkpoints. Answers how many.
CREATE FUNCTION retention_thin_checkpoints(before date, most integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    thinned bigint;
    first_kept date;
BEGIN
    SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) INTO first_kept
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.audit_records'::regclass AND c.relname ~ '^audit_records_p[0-9]{8}$';
    IF (before <= (now() AT TIME ZONE 'UTC')::date - 30) IS NOT TRUE THEN
        RAISE EXCEPTION 'the last 30 days of the audit trail are never dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    first_kept := LEAST(first_kept, before);
    DELETE FROM public.audit_checkpoints c
        USING (
            SELECT f.day, f.seq FROM public.audit_checkpoints f
            WHERE f.tenant_id = tenant AND f.day < first_kept AND EXISTS (
                SELECT FROM public.audit_checkpoints later
                WHERE later.tenant_id = tenant AND later.day = f.day AND later.seq > f.seq)
            ORDER BY f.day, f.seq LIMIT most
        ) found
        WHERE c.tenant_id = tenant AND c.day = found.day AND c.seq = found.seq;
    GET DIAGNOSTICS thinned = ROW_COUNT;
    DELETE FROM public.audit_chain_heads WHERE tenant_id = tenant AND day < first_kept;
    RETURN thinned;
END
$$;
REVOKE ALL ON FUNCTION retention_thin_checkpoints(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_thin_checkpoints(date, integer) TO stagedoor_keeper;

-- Removes answered requests of the current tenant that are older than `before`, at most `most`: copies, and what came to
-- nothing. A request that erased someone stays, as the proof of it, and so does what others are part of.
CREATE FUNCTION retention_forget_requests(before timestamptz, most integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    forgotten bigint;
BEGIN
    DELETE FROM public.privacy_requests r
        USING (
            SELECT f.request_id FROM public.privacy_requests f
            WHERE f.tenant_id = tenant AND f.completed_at < before AND f.kind <> 'tenant_erasure'
                AND (f.kind = 'export' OR f.state <> 'done')
                AND NOT EXISTS (SELECT FROM public.erasure_tombstones t
                    WHERE t.tenant_id = tenant AND t.request_id = f.request_id)
            ORDER BY f.completed_at LIMIT most
        ) found
        WHERE r.tenant_id = tenant AND r.request_id = found.request_id;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
REVOKE ALL ON FUNCTION retention_forget_requests(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_forget_requests(timestamptz, integer) TO stagedoor_keeper;

-- A tenant's figures of a day, later of a month. Nothing about a person: how much there was of what.
CREATE TABLE metric_rollups (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    period text NOT NULL CHECK (period IN ('day', 'month')),
    -- The day, or the first of the month (UTC).
    starts_on date NOT NULL,
    metric text NOT NULL CHECK (metric ~ '^[a-z_]{1,48}$'),
    -- Whether a month has the greatest of its days, rather than their sum.
    is_level boolean NOT NULL DEFAULT false,
    value bigint NOT NULL CHECK (value >= 0),
    PRIMARY KEY (tenant_id, period, starts_on, metric)
);
ALTER TABLE metric_rollups ENABLE ROW LEVEL SECURITY;
ALTER TABLE metric_rollups FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON metric_rollups
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON metric_rollups TO stagedoor_keeper;
GRANT SELECT ON metric_rollups TO stagedoor_admin, stagedoor_backup;
