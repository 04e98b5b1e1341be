-- What agents' calls came to (SEED-T §6): counts and a sketch of how long they took. By the minute as each replica saw it,
-- rolled up into hours and these into days. Both tables are partitioned by day (UTC), so that retention drops days:
-- minutes after two, the rest when no tenant keeps it any more.

CREATE TABLE usage_minutes (
    tenant_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    -- The person that the calls acted for, if they let that be counted; else 00000000-…, because it is part of the key.
    user_id uuid NOT NULL,
    -- Who called, as the audit trail names it; 'withheld' for people who do not let their use be counted, 'other' for what
    -- was one series too many for a replica, 'unauthenticated' for refused credentials.
    principal text NOT NULL,
    -- The tool, or 'none' and 'other' as above.
    tool text NOT NULL,
    -- What the calls were about: a kind of item, 'several' or 'none'.
    content text NOT NULL,
    -- The replica, and which of its batches: one that is sent twice counts once.
    replica_id uuid NOT NULL,
    batch bigint NOT NULL,
    -- Whether the hour has it.
    rolled boolean NOT NULL DEFAULT false,
    -- Calls that were let in, and of these those that failed.
    calls bigint NOT NULL CHECK (calls >= 0),
    errors bigint NOT NULL CHECK (errors BETWEEN 0 AND calls),
    -- Calls refused for a limit, a scope or a policy; and refused credentials, of which nobody knows what they wanted.
    denied_limit bigint NOT NULL CHECK (denied_limit >= 0),
    denied_scope bigint NOT NULL CHECK (denied_scope >= 0),
    denied_policy bigint NOT NULL CHECK (denied_policy >= 0),
    denied_credentials bigint NOT NULL CHECK (denied_credentials >= 0),
    cache_hits bigint NOT NULL CHECK (cache_hits >= 0),
    cache_misses bigint NOT NULL CHECK (cache_misses >= 0),
    provider_calls bigint NOT NULL CHECK (provider_calls >= 0),
    -- Words in all search queries: how long queries are, never what they say.
    search_words bigint NOT NULL CHECK (search_words >= 0),
    -- How long the calls took: a version byte and a DDSketch; empty if there was none.
    latency bytea NOT NULL,
    PRIMARY KEY (tenant_id, starts_at, user_id, principal, tool, content, replica_id, batch)
) PARTITION BY RANGE (starts_at);
CREATE INDEX usage_minutes_by_user ON usage_minutes (tenant_id, user_id, starts_at)
    WHERE user_id <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX usage_minutes_by_principal ON usage_minutes (tenant_id, principal, starts_at);
CREATE INDEX usage_minutes_not_rolled ON usage_minutes (tenant_id, starts_at) WHERE NOT rolled;
ALTER TABLE usage_minutes ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_minutes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON usage_minutes
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- How much each tenant used, for the function below.
CREATE POLICY look_up_figures ON usage_minutes FOR SELECT TO stagedoor_owner USING (true);
GRANT SELECT ON usage_minutes TO stagedoor_app, stagedoor_admin, stagedoor_backup;
GRANT SELECT, UPDATE (rolled), DELETE ON usage_minutes TO stagedoor_keeper;

-- The same of hours, which have what of their minutes is marked as rolled, and of days, which have what of their hours is.
CREATE TABLE usage_rollups (
    tenant_id uuid NOT NULL,
    period text NOT NULL CHECK (period IN ('hour', 'day')),
    starts_at timestamptz NOT NULL,
    user_id uuid NOT NULL,
    principal text NOT NULL,
    tool text NOT NULL,
    content text NOT NULL,
    -- Of an hour: whether the day has it.
    rolled boolean NOT NULL DEFAULT false,
    calls bigint NOT NULL CHECK (calls >= 0),
    errors bigint NOT NULL CHECK (errors BETWEEN 0 AND calls),
    denied_limit bigint NOT NULL CHECK (denied_limit >= 0),
    denied_scope bigint NOT NULL CHECK (denied_scope >= 0),
    denied_policy bigint NOT NULL CHECK (denied_policy >= 0),
    denied_credentials bigint NOT NULL CHECK (denied_credentials >= 0),
    cache_hits bigint NOT NULL CHECK (cache_hits >= 0),
    cache_misses bigint NOT NULL CHECK (cache_misses >= 0),
    provider_calls bigint NOT NULL CHECK (provider_calls >= 0),
    search_words bigint NOT NULL CHECK (search_words >= 0),
    latency bytea NOT NULL,
    PRIMARY KEY (tenant_id, starts_at, period, user_id, principal, tool, content)
) PARTITION BY RANGE (starts_at);
CREATE INDEX usage_rollups_by_user ON usage_rollups (tenant_id, user_id, starts_at)
    WHERE user_id <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX usage_rollups_by_principal ON usage_rollups (tenant_id, principal, starts_at);
CREATE INDEX usage_rollups_not_rolled ON usage_rollups (tenant_id, starts_at) WHERE NOT rolled AND period = 'hour';
ALTER TABLE usage_rollups ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_rollups FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON usage_rollups
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
CREATE POLICY look_up_figures ON usage_rollups FOR SELECT TO stagedoor_owner USING (true);
GRANT SELECT ON usage_rollups TO stagedoor_app, stagedoor_admin, stagedoor_backup;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_rollups TO stagedoor_keeper;

-- Makes the partitions of `days` days from `first_day` on, as ensure_audit_partitions does, and for the same days.
CREATE FUNCTION ensure_usage_partitions(first_day date, days integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET TimeZone = 'UTC'
AS $$
DECLARE
    parent text;
    name text;
    day date;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF (days BETWEEN 1 AND 31) IS NOT TRUE THEN
        RAISE EXCEPTION 'days must be 1 to 31' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (first_day BETWEEN today - 7 AND today + 32 - days) IS NOT TRUE THEN
        RAISE EXCEPTION 'partitions are made for days from a week ago to 31 days ahead'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR offset_days IN 0 .. days - 1 LOOP
        day := first_day + offset_days;
        FOREACH parent IN ARRAY ARRAY['usage_minutes', 'usage_rollups'] LOOP
            name := parent || to_char(day, '"_p"YYYYMMDD');
            CONTINUE WHEN EXISTS (SELECT FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relname = name);
            PERFORM pg_advisory_xact_lock(hashtextextended('stagedoor.ensure_usage_partitions', 0));
            CONTINUE WHEN EXISTS (SELECT FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relname = name);
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', name, parent);
            EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
            EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
            EXECUTE format(
                'CREATE POLICY tenant_isolation ON public.%I '
                'USING (tenant_id = NULLIF(current_setting(''stagedoor.tenant_id'', true), '''')::uuid) '
                'WITH CHECK (tenant_id = NULLIF(current_setting(''stagedoor.tenant_id'', true), '''')::uuid)',
                name);
            EXECUTE format(
                'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                parent, name, day::timestamptz, (day + 1)::timestamptz);
        END LOOP;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION ensure_usage_partitions(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_usage_partitions(date, integer)
    TO stagedoor_app, stagedoor_admin, stagedoor_keeper;

-- Appends minutes of one replica to the current tenant's figures; `counts` has ten numbers for each row, in the order of
-- the table. What is there already came by an earlier try whose answer got lost, and stays. Of people who were or are
-- being erased nothing is kept. Answers how many rows are new; -1 for a tenant that is being deleted, which has figures
-- no more.
CREATE FUNCTION usage_append(
    replica uuid, batches bigint[], starts timestamptz[], users uuid[], principals text[], tools text[],
    contents text[], counts bigint[], latencies bytea[]
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    nobody CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    tenant uuid := public.privacy_tenant();
    living uuid[];
    appended bigint;
BEGIN
    PERFORM t.tenant_id FROM public.tenants t
        WHERE t.tenant_id = tenant AND t.status NOT IN ('deleting', 'deleted') FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN -1;
    END IF;
    -- As a foreign key would: whoever erases a person waits for this, or is waited for.
    SELECT COALESCE(array_agg(there.user_id), '{}') INTO living FROM (
        SELECT u.user_id FROM public.users u
        WHERE u.tenant_id = tenant AND u.user_id = ANY (users) AND u.erasing_at IS NULL
        ORDER BY u.user_id FOR KEY SHARE
    ) there;
    INSERT INTO public.usage_minutes (tenant_id, starts_at, user_id, principal, tool, content, replica_id, batch,
            calls, errors, denied_limit, denied_scope, denied_policy, denied_credentials, cache_hits, cache_misses,
            provider_calls, search_words, latency)
        SELECT tenant, starts[i], users[i], principals[i], tools[i], contents[i], replica, batches[i],
            counts[i * 10 - 9], counts[i * 10 - 8], counts[i * 10 - 7], counts[i * 10 - 6], counts[i * 10 - 5],
            counts[i * 10 - 4], counts[i * 10 - 3], counts[i * 10 - 2], counts[i * 10 - 1], counts[i * 10],
            latencies[i]
        FROM generate_series(1, cardinality(starts)) i
        WHERE users[i] = nobody OR users[i] = ANY (living)
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS appended = ROW_COUNT;
    RETURN appended;
END
$$;
REVOKE ALL ON FUNCTION usage_append(uuid, bigint[], timestamptz[], uuid[], text[], text[], text[], bigint[], bytea[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_append(uuid, bigint[], timestamptz[], uuid[], text[], text[], text[], bigint[], bytea[])
    TO stagedoor_app;

-- How much tenants used in minutes that began from `first` on and before `last`, both at the beginning of an hour, of which
-- the days from `first_day` on and before `last_day` are whole: of those with the most calls, `most` after the first
-- `skipped`. One row for each stored one, by the place of its tenant, because sketches are merged elsewhere. Operators'
-- alone.
CREATE FUNCTION usage_of_tenants(
    first timestamptz, last timestamptz, first_day timestamptz, last_day timestamptz, skipped bigint, most integer
)
RETURNS TABLE (
    place bigint, tenant_id uuid, slug text, calls bigint, errors bigint, denied_limit bigint, denied_scope bigint,
    denied_policy bigint, denied_credentials bigint, cache_hits bigint, cache_misses bigint, provider_calls bigint,
    search_words bigint, latency bytea
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH figures AS NOT MATERIALIZED (
        SELECT m.tenant_id, m.calls, m.errors, m.denied_limit, m.denied_scope, m.denied_policy, m.denied_credentials,
            m.cache_hits, m.cache_misses, m.provider_calls, m.search_words, m.latency
        FROM public.usage_minutes m WHERE NOT m.rolled AND m.starts_at >= first AND m.starts_at < last
        UNION ALL
        SELECT h.tenant_id, h.calls, h.errors, h.denied_limit, h.denied_scope, h.denied_policy, h.denied_credentials,
            h.cache_hits, h.cache_misses, h.provider_calls, h.search_words, h.latency
        FROM public.usage_rollups h WHERE h.period = 'hour' AND h.starts_at >= first AND h.starts_at < last
            AND (NOT h.rolled OR h.starts_at < first_day OR h.starts_at >= last_day)
        UNION ALL
        SELECT d.tenant_id, d.calls, d.errors, d.denied_limit, d.denied_scope, d.denied_policy, d.denied_credentials,
            d.cache_hits, d.cache_misses, d.provider_calls, d.search_words, d.latency
        FROM public.usage_rollups d WHERE d.period = 'day' AND d.starts_at >= first_day AND d.starts_at < last_day
    ), page AS MATERIALIZED (
        SELECT f.tenant_id, row_number() OVER (ORDER BY sum(f.calls) DESC, f.tenant_id) AS place
        FROM figures f GROUP BY f.tenant_id ORDER BY place LIMIT most OFFSET skipped
    )
    SELECT p.place, t.tenant_id, t.slug, f.calls, f.errors, f.denied_limit, f.denied_scope, f.denied_policy,
        f.denied_credentials, f.cache_hits, f.cache_misses, f.provider_calls, f.search_words, f.latency
    FROM page p JOIN public.tenants t ON t.tenant_id = p.tenant_id JOIN figures f ON f.tenant_id = p.tenant_id
$$;
REVOKE ALL ON FUNCTION usage_of_tenants(timestamptz, timestamptz, timestamptz, timestamptz, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_of_tenants(timestamptz, timestamptz, timestamptz, timestamptz, bigint, integer) TO stagedoor_admin;

-- Drops the partitions of one of the two tables of the days before `before`, at most `most` of them, the oldest first,
-- and answers how many it dropped. The last 2 days of minutes and the last 7 of the rest stay, by the database's own
-- clock, whatever the caller's says; so do minutes that are not rolled up, for a month. An append waits for no longer than
-- a moment.
CREATE FUNCTION retention_drop_usage_days(place text, before date, most integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET TimeZone = 'UTC'
SET lock_timeout = '300ms'
AS $$
DECLARE
    kept integer := CASE place WHEN 'usage_minutes' THEN 2 WHEN 'usage_rollups' THEN 7 END;
    day date;
    dropped integer := 0;
BEGIN
    IF kept IS NULL THEN
        RAISE EXCEPTION 'no days are dropped from %', place USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR day IN
        SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS of_day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = format('public.%I', place)::regclass AND c.relname ~ (place || '_p[0-9]{8}$')
        ORDER BY of_day
    LOOP
        EXIT WHEN day >= LEAST(before, (now() AT TIME ZONE 'UTC')::date - kept) OR dropped >= most;
        -- What hours do not have yet is kept for another month.
        EXIT WHEN place = 'usage_minutes' AND day >= (now() AT TIME ZONE 'UTC')::date - 30 AND EXISTS (
            SELECT FROM public.usage_minutes m WHERE NOT m.rolled
                AND m.starts_at >= day::timestamptz AND m.starts_at < (day + 1)::timestamptz);
        EXECUTE format('DROP TABLE IF EXISTS public.%I', place || to_char(day, '"_p"YYYYMMDD'));
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION retention_drop_usage_days(text, date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_drop_usage_days(text, date, integer) TO stagedoor_keeper;

-- Deletes up to `most` rows of one of the two tables: of a person, or with no person of the tenant; day by day, so that
-- only one partition is looked at. For the functions below; nobody else may execute it.
CREATE FUNCTION privacy_delete_usage(tenant uuid, person uuid, place text, most integer)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET TimeZone = 'UTC'
AS $$
DECLARE
    left_over bigint := most;
    whose CONSTANT text := CASE WHEN person IS NULL THEN '' ELSE
        'AND u.user_id = $2 AND u.user_id <> ''00000000-0000-0000-0000-000000000000''' END;
    next_day timestamptz;
    deleted bigint;
BEGIN
    WHILE left_over > 0 LOOP
        EXECUTE format('SELECT date_trunc(''day'', u.starts_at) FROM public.%I u
            WHERE u.tenant_id = $1 %s ORDER BY u.starts_at LIMIT 1', place, whose) INTO next_day USING tenant, person;
        EXIT WHEN next_day IS NULL;
        EXECUTE format('DELETE FROM public.%4$I d WHERE d.tenant_id = $1
            AND d.starts_at >= %1$L::timestamptz AND d.starts_at < %2$L::timestamptz AND d.ctid = ANY (ARRAY(
                SELECT u.ctid FROM public.%4$I u WHERE u.tenant_id = $1 %3$s
                    AND u.starts_at >= %1$L::timestamptz AND u.starts_at < %2$L::timestamptz LIMIT $3))',
            next_day, next_day + interval '1 day', whose, place) USING tenant, person, left_over;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        left_over := left_over - deleted;
    END LOOP;
    RETURN most - left_over;
END
$$;
REVOKE ALL ON FUNCTION privacy_delete_usage(uuid, uuid, text, integer) FROM PUBLIC;

-- As before, with usage: what goes with a person.
CREATE OR REPLACE FUNCTION privacy_delete_rows(tenant uuid, person uuid, place text, most integer)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    whose text;
    or_else text;
    places text;
    deleted bigint := 0;
BEGIN
    CASE
        WHEN place = 'audit_payloads' THEN
            RETURN public.privacy_empty_payloads(tenant, person, most);
        WHEN place IN ('usage_minutes', 'usage_rollups') THEN
            RETURN public.privacy_delete_usage(tenant, person, place, most);
        WHEN place IN ('playlist_versions', 'idempotency_keys', 'jobs', 'link_attempts', 'session_imports',
            'preferences', 'consents', 'linked_accounts', 'api_keys') THEN
            whose := 'r.user_id = $2';
        WHEN place IN ('playlist_chunks', 'provider_sessions', 'session_quarantine', 'session_devices') THEN
            whose := 'r.account_id IN
                (SELECT a.account_id FROM public.linked_accounts a WHERE a.tenant_id = $1 AND a.user_id = $2)';
        WHEN place = 'job_parts' THEN
            whose := 'r.job_id IN (SELECT j.job_id FROM public.jobs j WHERE j.tenant_id = $1 AND j.user_id = $2)';
        WHEN place = 'limit_violations' THEN
            -- Each way by an index of its own, key by key.
            whose := 'r.user_id = $2';
            or_else := 'SELECT v.place FROM public.api_keys k CROSS JOIN LATERAL (
                    SELECT r.ctid AS place FROM public.limit_violations r
                    WHERE r.tenant_id = $1 AND r.principal = ''key:'' || k.key_id OFFSET 0) v
                WHERE k.tenant_id = $1 AND k.user_id = $2 LIMIT $3';
        WHEN place = 'privacy_requests' THEN
            -- The erasure itself stays.
            whose := 'r.user_id = $2 AND (r.kind <> ''erasure'' OR r.completed_at IS NOT NULL)';
        ELSE
            RAISE EXCEPTION 'nothing is erased from %', place USING ERRCODE = 'invalid_parameter_value';
    END CASE;
    places := format('SELECT r.ctid FROM public.%I r WHERE r.tenant_id = $1 AND %s LIMIT $3', place, whose);
    WHILE deleted = 0 AND places IS NOT NULL LOOP
        EXECUTE format('DELETE FROM public.%I d WHERE d.tenant_id = $1 AND d.ctid = ANY (ARRAY(%s))', place, places)
            USING tenant, person, most;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        places := or_else;
        or_else := NULL;
    END LOOP;
    RETURN deleted;
END
$$;

CREATE OR REPLACE FUNCTION privacy_places()
RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT ARRAY['playlist_chunks', 'playlist_versions', 'job_parts', 'jobs', 'idempotency_keys', 'limit_violations',
        'usage_minutes', 'usage_rollups', 'provider_sessions', 'session_quarantine', 'session_devices',
        'session_imports', 'link_attempts', 'preferences', 'consents', 'linked_accounts', 'api_keys', 'audit_payloads',
        'privacy_requests']
$$;

-- And with a tenant, whose administrators' keys and what they made lately go too.
CREATE OR REPLACE FUNCTION privacy_erase_tenant(wanted uuid, held bigint, place text, most integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    deleted bigint;
BEGIN
    IF (most BETWEEN 1 AND 10000) IS NOT TRUE THEN
        RAISE EXCEPTION 'at most 10000 rows at a time' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM r.request_id FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.request_id = wanted AND r.fence = held AND r.kind = 'tenant_erasure'
            AND r.state IN ('verified', 'revoked') FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM public.users u WHERE u.tenant_id = tenant) THEN
        RETURN -1;
    END IF;
    IF place IN ('usage_minutes', 'usage_rollups') THEN
        deleted := public.privacy_delete_usage(tenant, NULL, place, most);
    ELSIF place IN ('api_keys', 'provider_apps', 'limit_violations', 'admin_creates') THEN
        EXECUTE format('DELETE FROM public.%1$I d WHERE d.tenant_id = $1 AND d.ctid = ANY (ARRAY(
            SELECT r.ctid FROM public.%1$I r WHERE r.tenant_id = $1 LIMIT $2))', place)
            USING tenant, most;
        GET DIAGNOSTICS deleted = ROW_COUNT;
    ELSE
        RAISE EXCEPTION 'nothing is erased from %', place USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF deleted > 0 THEN
        PERFORM public.privacy_count_rows(tenant, wanted, place, deleted);
    END IF;
    RETURN deleted;
END
$$;

CREATE OR REPLACE FUNCTION privacy_destroy_tenant(wanted uuid, held bigint, final_receipt text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz;
BEGIN
    PERFORM t.tenant_id FROM public.tenants t WHERE t.tenant_id = tenant FOR UPDATE;
    present := clock_timestamp();
    PERFORM r.request_id FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.request_id = wanted AND r.fence = held AND r.kind = 'tenant_erasure'
            AND r.state = 'erased' FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM public.users u WHERE u.tenant_id = tenant)
        OR EXISTS (SELECT FROM public.api_keys k WHERE k.tenant_id = tenant)
        OR EXISTS (SELECT FROM public.provider_apps a WHERE a.tenant_id = tenant) THEN
        RETURN false;
    END IF;
    UPDATE public.data_keys k SET state = 'destroyed', wrapped_key = NULL, revision = k.revision + 1,
            updated_at = present
        WHERE k.tenant_id = tenant AND k.state <> 'destroyed';
    UPDATE public.signing_keys k SET state = 'destroyed', private_key = NULL, revision = k.revision + 1
        WHERE k.tenant_id = tenant AND k.state <> 'destroyed';
    DELETE FROM public.limit_violations v WHERE v.tenant_id = tenant;
    DELETE FROM public.admin_creates a WHERE a.tenant_id = tenant;
    DELETE FROM public.admin_keys k WHERE k.bound_to = tenant;
    DELETE FROM public.usage_minutes v WHERE v.tenant_id = tenant;
    DELETE FROM public.usage_rollups v WHERE v.tenant_id = tenant;
    UPDATE public.tenants t SET status = 'deleted', name = '', settings = '{}',
            slug = 'deleted-' || replace(tenant::text, '-', '')
        WHERE t.tenant_id = tenant;
    UPDATE public.privacy_requests r SET state = 'done', completed_at = present, due_at = NULL,
            receipt = final_receipt
        WHERE r.tenant_id = tenant AND r.request_id = wanted;
    RETURN true;
END
$$;
