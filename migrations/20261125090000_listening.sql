-- What people listened to: play by play, from polling a service's list of what was played recently and from the data
-- downloads that people hand in; how far that is, what is missing, and roll-ups of months, made of the plays.

-- One play. Partitioned by year (UTC): data downloads reach back to the services' beginnings, and a query of all of it
-- takes the locks of two dozen partitions, not of hundreds.
CREATE TABLE listening_history (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider ~ '^[a-z]{2,16}$'),
    -- When it ended or was left, to the millisecond: as the service's list tells, else as the data download does.
    played_at timestamptz NOT NULL,
    -- Keyed hashes, by which equal plays are found without opening them: of the track's reference (of its names, where
    -- it has none), and of title and first artist.
    track_digest bytea NOT NULL CHECK (octet_length(track_digest) = 32),
    names_digest bytea NOT NULL CHECK (octet_length(names_digest) = 32),
    play_id uuid NOT NULL,
    source text NOT NULL CHECK (source IN ('poll', 'import', 'both')),
    -- When the data download says that it ended, and how exactly it says so: to the second or to the minute.
    imported_at timestamptz,
    imported_grain smallint CHECK (imported_grain IN (1, 60)),
    -- Sealed under the person's key: what was played, for how long, and whether it was skipped.
    play bytea NOT NULL,
    PRIMARY KEY (tenant_id, account_id, played_at, track_digest),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    CHECK ((source = 'poll') = (imported_at IS NULL)),
    CHECK ((imported_at IS NULL) = (imported_grain IS NULL))
) PARTITION BY RANGE (played_at);
-- An account ends no two plays at once: what a service lists twice is kept once.
CREATE UNIQUE INDEX listening_history_polled_once ON listening_history (tenant_id, account_id, played_at)
    WHERE source <> 'import';
CREATE INDEX listening_history_by_user ON listening_history (tenant_id, user_id, provider, played_at);

-- Where polling of an account is.
CREATE TABLE listening_cursors (
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL,
    -- The newest play that was polled; plays until then are known or in a gap. NULL before the first poll.
    polled_to timestamptz,
    next_poll_at timestamptz NOT NULL,
    last_poll_at timestamptz,
    -- The first and the last poll that succeeded: plays in between are known, or in a gap.
    first_success_at timestamptz,
    last_success_at timestamptz CHECK ((last_success_at IS NULL) = (first_success_at IS NULL)),
    last_outcome text CHECK (last_outcome ~ '^[a-z_]{1,32}$'),
    -- Polls that failed since one succeeded.
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    PRIMARY KEY (tenant_id, account_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE
);
CREATE INDEX listening_cursors_by_user ON listening_cursors (tenant_id, user_id);
CREATE INDEX listening_cursors_due ON listening_cursors (tenant_id, next_poll_at);

-- Times of which plays of an account may be missing.
CREATE TABLE listening_gaps (
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    -- More was played between two polls than the service lists; or the person had not consented.
    reason text NOT NULL CHECK (reason IN ('missed', 'no_consent')),
    found_at timestamptz NOT NULL,
    -- When a data download covered all of it.
    filled_at timestamptz,
    PRIMARY KEY (tenant_id, account_id, from_at),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    CHECK (from_at < to_at)
);
CREATE INDEX listening_gaps_by_user ON listening_gaps (tenant_id, user_id, provider, from_at);

-- Data downloads that were handed in, each file once for an account.
CREATE TABLE listening_imports (
    tenant_id uuid NOT NULL,
    import_id uuid NOT NULL,
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    provider text NOT NULL,
    -- A keyed hash of the file.
    source_digest bytea NOT NULL CHECK (octet_length(source_digest) = 32),
    state text NOT NULL CHECK (state IN ('running', 'done')),
    -- Where it goes on: so many files of it are done, and so many entries of the next one.
    files_done integer NOT NULL DEFAULT 0 CHECK (files_done >= 0),
    entries_done bigint NOT NULL DEFAULT 0 CHECK (entries_done >= 0),
    added bigint NOT NULL DEFAULT 0 CHECK (added >= 0),
    -- Plays that were known already, by polling or an earlier import.
    known bigint NOT NULL DEFAULT 0 CHECK (known >= 0),
    -- Entries that are not of a track, such as episodes.
    other bigint NOT NULL DEFAULT 0 CHECK (other >= 0),
    malformed bigint NOT NULL DEFAULT 0 CHECK (malformed >= 0),
    first_at timestamptz,
    last_at timestamptz,
    started_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, import_id),
    UNIQUE (tenant_id, account_id, source_digest),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    CHECK ((state = 'done') = (finished_at IS NOT NULL))
);
CREATE INDEX listening_imports_by_user ON listening_imports (tenant_id, user_id);

-- What the plays of a month (UTC) come to, of one person at one service.
CREATE TABLE listening_rollups (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL,
    month date NOT NULL CHECK (date_part('day', month) = 1),
    rollup_id uuid NOT NULL,
    -- Rises with every change of the month's plays; the contents are of the plays as of `built`.
    wanted bigint NOT NULL DEFAULT 1 CHECK (wanted > 0),
    built bigint NOT NULL DEFAULT 0 CHECK (built BETWEEN 0 AND wanted),
    -- Sealed under the person's key, each by itself because most questions need few of them. NULL until it is built.
    heard bytea,
    plays bytea,
    names bytea,
    PRIMARY KEY (tenant_id, user_id, provider, month),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    CHECK ((heard IS NULL) = (plays IS NULL) AND (heard IS NULL) = (names IS NULL))
);
CREATE INDEX listening_rollups_stale ON listening_rollups (tenant_id) WHERE built < wanted;

-- Whoever adds or deletes plays, and be it by unlinking an account: their months are to be rolled up again. Of what is
-- deleted, nothing stays in a roll-up. Runs as the owner; the policies hold.
CREATE FUNCTION mark_listening_rollups()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET TimeZone = 'UTC'
AS $$
BEGIN
    INSERT INTO public.listening_rollups AS r (tenant_id, user_id, provider, month, rollup_id)
        SELECT months.*, gen_random_uuid() FROM (
            SELECT DISTINCT c.tenant_id, c.user_id, c.provider, date_trunc('month', c.played_at)::date AS month
            FROM changed c
            JOIN public.users u ON u.tenant_id = c.tenant_id AND u.user_id = c.user_id
        ) months
        ORDER BY 1, 2, 3, 4
        ON CONFLICT (tenant_id, user_id, provider, month) DO UPDATE SET wanted = r.wanted + 1,
            heard = CASE WHEN TG_OP = 'INSERT' THEN r.heard END,
            plays = CASE WHEN TG_OP = 'INSERT' THEN r.plays END,
            names = CASE WHEN TG_OP = 'INSERT' THEN r.names END;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION mark_listening_rollups() FROM PUBLIC;
CREATE TRIGGER mark_added AFTER INSERT ON listening_history REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_listening_rollups();
CREATE TRIGGER mark_deleted AFTER DELETE ON listening_history REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_listening_rollups();

ALTER TABLE listening_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE listening_history FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON listening_history
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE listening_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE listening_cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON listening_cursors
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE listening_gaps ENABLE ROW LEVEL SECURITY;
ALTER TABLE listening_gaps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON listening_gaps
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE listening_imports ENABLE ROW LEVEL SECURITY;
ALTER TABLE listening_imports FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON listening_imports
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE listening_rollups ENABLE ROW LEVEL SECURITY;
ALTER TABLE listening_rollups FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON listening_rollups
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);

-- The gateway imports and rolls up; the keeper polls and rolls up; unlinking deletes.
GRANT SELECT, INSERT, UPDATE, DELETE ON listening_history, listening_cursors, listening_gaps, listening_imports,
    listening_rollups TO stagedoor_app, stagedoor_keeper;
-- It asks services with people's sessions: what it refreshes it stores, what does not open it sets aside.
GRANT UPDATE ON provider_sessions TO stagedoor_keeper;
GRANT INSERT ON session_quarantine TO stagedoor_keeper;
GRANT SELECT, DELETE ON listening_history, listening_cursors, listening_gaps, listening_imports, listening_rollups
    TO stagedoor_admin;
GRANT SELECT ON listening_history, listening_cursors, listening_gaps, listening_imports, listening_rollups
    TO stagedoor_backup;

-- Makes the partitions of the years from `first_year` to `last_year`: 2006, when the first of these services began, to the
-- next one. Attaching waits for whoever changes people or accounts, and no longer than a moment.
CREATE FUNCTION ensure_listening_partitions(first_year integer, last_year integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET TimeZone = 'UTC'
SET lock_timeout = '2s'
AS $$
DECLARE
    name text;
BEGIN
    IF (first_year >= 2006 AND last_year >= first_year
        AND last_year <= date_part('year', now() AT TIME ZONE 'UTC') + 1) IS NOT TRUE THEN
        RAISE EXCEPTION 'partitions are made for years from 2006 to the next one'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR of_year IN first_year .. last_year LOOP
        name := 'listening_history_p' || of_year;
        CONTINUE WHEN EXISTS (SELECT FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname = name);
        PERFORM pg_advisory_xact_lock(hashtextextended('stagedoor.ensure_listening_partitions', 0));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname = name);
        EXECUTE format('CREATE TABLE public.%I (LIKE public.listening_history INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant_isolation ON public.%I '
            'USING (tenant_id = NULLIF(current_setting(''stagedoor.tenant_id'', true), '''')::uuid) '
            'WITH CHECK (tenant_id = NULLIF(current_setting(''stagedoor.tenant_id'', true), '''')::uuid)',
            name);
        EXECUTE format(
            'ALTER TABLE public.listening_history ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            name, make_timestamptz(of_year, 1, 1, 0, 0, 0), make_timestamptz(of_year + 1, 1, 1, 0, 0, 0));
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION ensure_listening_partitions(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_listening_partitions(integer, integer)
    TO stagedoor_app, stagedoor_admin, stagedoor_keeper;

-- Drops the years before `before`, at most `most` of them, the oldest first, and answers how many. The last ten stay, by
-- the database's own clock, whatever the caller's says.
CREATE FUNCTION retention_drop_listening_years(before integer, most integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET TimeZone = 'UTC'
SET lock_timeout = '300ms'
AS $$
DECLARE
    of_year integer;
    dropped integer := 0;
BEGIN
    FOR of_year IN
        SELECT right(c.relname, 4)::integer AS y
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.listening_history'::regclass AND c.relname ~ '^listening_history_p[0-9]{4}$'
        ORDER BY y
    LOOP
        EXIT WHEN of_year >= LEAST(before, date_part('year', now() AT TIME ZONE 'UTC')::integer - 10)
            OR dropped >= most;
        EXECUTE format('DROP TABLE public.%I', 'listening_history_p' || of_year);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION retention_drop_listening_years(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_drop_listening_years(integer, integer) TO stagedoor_keeper;

-- As before, with listening: what goes with a person, and in which order.
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
        WHEN place IN ('shared_queue_commits', 'shared_queue_votes', 'shared_queue_items', 'shared_queue_changes',
            'shared_queue_members') THEN
            RETURN public.privacy_leave_queues(tenant, person, place, most);
        WHEN place IN ('usage_minutes', 'usage_rollups') THEN
            RETURN public.privacy_delete_usage(tenant, person, place, most);
        WHEN place = 'listening_history' THEN
            -- Rows of several partitions: named by their keys.
            DELETE FROM public.listening_history d USING (
                SELECT h.account_id, h.played_at, h.track_digest FROM public.listening_history h
                WHERE h.tenant_id = tenant AND h.user_id = person LIMIT most
            ) found
            WHERE d.tenant_id = tenant AND d.account_id = found.account_id AND d.played_at = found.played_at
                AND d.track_digest = found.track_digest;
            GET DIAGNOSTICS deleted = ROW_COUNT;
            RETURN deleted;
        WHEN place IN ('playlist_versions', 'idempotency_keys', 'jobs', 'link_attempts', 'session_imports',
            'preferences', 'consents', 'listening_gaps', 'listening_cursors', 'listening_imports', 'listening_rollups',
            'linked_accounts', 'api_keys') THEN
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
    SELECT ARRAY['listening_history', 'listening_gaps', 'listening_cursors', 'listening_imports', 'listening_rollups',
        'playlist_chunks', 'playlist_versions', 'job_parts', 'jobs', 'idempotency_keys', 'shared_queue_commits',
        'shared_queue_votes', 'shared_queue_items', 'shared_queue_changes', 'shared_queue_members', 'limit_violations',
        'usage_minutes', 'usage_rollups', 'provider_sessions', 'session_quarantine', 'session_devices',
        'session_imports', 'link_attempts', 'preferences', 'consents', 'linked_accounts', 'api_keys', 'audit_payloads',
        'privacy_requests']
$$;

-- And what comes back from a backup.
CREATE OR REPLACE FUNCTION restore_places()
RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT ARRAY['tenants', 'users', 'data_keys', 'signing_keys', 'provider_apps', 'issuers', 'api_keys',
        'linked_accounts', 'provider_sessions', 'session_quarantine', 'session_devices', 'session_imports',
        'preferences', 'consents', 'playlist_chunks', 'playlist_versions', 'shared_queues', 'shared_queue_members',
        'shared_queue_items', 'shared_queue_votes', 'shared_queue_changes', 'listening_history', 'listening_gaps',
        'privacy_requests', 'erasure_tombstones', 'audit_chain_heads', 'audit_records', 'audit_payloads', 'audit_checkpoint_heads', 'audit_checkpoints']
$$;

CREATE OR REPLACE FUNCTION restore_rows(place text, given text[], replacing boolean)
RETURNS TABLE (ordinal bigint, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET TimeZone = 'UTC' SET DateStyle = 'ISO, MDY' SET IntervalStyle = 'postgres' SET bytea_output = 'hex'
SET lock_timeout = '10s'
AS $$
#variable_conflict use_column
DECLARE
    tenant uuid := public.privacy_tenant();
    present text[];
    columns text[];
    keys text[];
    replaceable text[];
    found_place regclass;
    unknown text;
    erased_if text := 'false';
    orphan_if text := 'false';
    typed text;
    same_key text;
    replaced bigint[] := '{}';
BEGIN
    IF NOT place = ANY (public.restore_places()) THEN
        RAISE EXCEPTION 'nothing is restored to %', place USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cardinality(given) = 0 THEN
        RETURN;
    END IF;
    found_place := format('public.%I', place)::regclass;
    SELECT array_agg(a.attname::text ORDER BY a.attnum) INTO present FROM pg_attribute a
        WHERE a.attrelid = found_place AND a.attnum > 0 AND NOT a.attisdropped;
    SELECT array_agg(k ORDER BY k) INTO columns FROM jsonb_object_keys(given[1]::jsonb) AS k;
    SELECT min(c) INTO unknown FROM unnest(columns) AS c WHERE NOT c = ANY (present);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'table % has no column %', place, unknown USING ERRCODE = 'undefined_column';
    END IF;
    IF EXISTS (SELECT FROM unnest(given) AS g WHERE (g::jsonb ->> 'tenant_id')::uuid IS DISTINCT FROM tenant) THEN
        RAISE EXCEPTION 'a row of another tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (SELECT FROM unnest(given) AS g WHERE columns IS DISTINCT FROM
        (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(g::jsonb) AS k)) THEN
        RAISE EXCEPTION 'rows of % have different columns', place USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::smallint[], a.attnum)) INTO keys
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = found_place AND i.indisprimary;
    IF NOT keys <@ columns THEN
        RAISE EXCEPTION 'rows of % lack their key', place USING ERRCODE = 'invalid_parameter_value';
    END IF;

    IF 'user_id' = ANY (columns) THEN
        erased_if := '(g.stored).user_id IS NOT NULL AND EXISTS (SELECT FROM public.erasure_tombstones e
            WHERE e.tenant_id = $2 AND e.subject_digest = public.privacy_subject_digest($2, (g.stored).user_id))';
    END IF;
    IF place IN ('data_keys', 'api_keys', 'linked_accounts', 'session_imports', 'preferences', 'consents',
        'playlist_versions', 'shared_queue_members', 'shared_queue_items', 'shared_queue_changes', 'listening_history',
        'listening_gaps') THEN
        orphan_if := '(g.stored).user_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.users u
            WHERE u.tenant_id = $2 AND u.user_id = (g.stored).user_id)';
    END IF;
    IF place IN ('provider_sessions', 'session_quarantine', 'session_devices', 'session_imports', 'playlist_chunks',
        'playlist_versions', 'listening_history', 'listening_gaps') THEN
        orphan_if := orphan_if || ' OR (g.stored).account_id IS NOT NULL AND NOT EXISTS
            (SELECT FROM public.linked_accounts a
            WHERE a.tenant_id = $2 AND a.account_id = (g.stored).account_id)';
    END IF;
    IF place IN ('shared_queue_members', 'shared_queue_items', 'shared_queue_changes') THEN
        orphan_if := orphan_if || ' OR NOT EXISTS (SELECT FROM public.shared_queues q
            WHERE q.tenant_id = $2 AND q.queue_id = (g.stored).queue_id)';
    END IF;
    IF place = 'shared_queue_votes' THEN
        orphan_if := 'NOT EXISTS (SELECT FROM public.shared_queue_items i WHERE i.tenant_id = $2
                AND i.queue_id = (g.stored).queue_id AND i.item_id = (g.stored).item_id)
            OR NOT EXISTS (SELECT FROM public.shared_queue_members m WHERE m.tenant_id = $2
                AND m.queue_id = (g.stored).queue_id AND m.user_id = (g.stored).user_id)';
    END IF;
    IF place = 'privacy_requests' THEN
        orphan_if := '(g.stored).parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.privacy_requests r
            WHERE r.tenant_id = $2 AND r.request_id = (g.stored).parent_id)';
    END IF;
    IF place = 'erasure_tombstones' THEN
        orphan_if := 'NOT EXISTS (SELECT FROM public.privacy_requests r
            WHERE r.tenant_id = $2 AND r.request_id = (g.stored).request_id)';
    END IF;
    IF place = 'listening_history' THEN
        -- Of years that were dropped since, too: what retention drops, it drops again.
        PERFORM public.ensure_listening_partitions(years.first, years.last) FROM (
            SELECT min(date_part('year', (g::jsonb ->> 'played_at')::timestamptz))::integer AS first,
                max(date_part('year', (g::jsonb ->> 'played_at')::timestamptz))::integer AS last
            FROM unnest(given) AS g) years;
    END IF;
    typed := format('WITH given AS MATERIALIZED (
            SELECT e.n, e.line::jsonb AS line, stored
            FROM unnest($1) WITH ORDINALITY AS e (line, n),
                LATERAL jsonb_populate_record(NULL::public.%I, e.line::jsonb) AS stored)', place);
    SELECT string_agg(format('o.%1$I = (g.stored).%1$I', k), ' AND ') INTO same_key FROM unnest(keys) AS k;

    -- Only what people and tenants may change by themselves; never a key, a decision, a version or the trail. A key that
    -- was revoked and a person whose erasure was confirmed stay so, and a tenant keeps its name in addresses.
    replaceable := CASE place
        WHEN 'tenants' THEN ARRAY['name', 'plan', 'cell', 'settings']
        WHEN 'users' THEN ARRAY['external_subject', 'label']
        -- What a key may do was perhaps narrowed since.
        WHEN 'api_keys' THEN ARRAY['name']
        WHEN 'linked_accounts' THEN ARRAY['label', 'country_code']
        WHEN 'provider_apps' THEN columns
        WHEN 'preferences' THEN columns
    END;
    IF replacing THEN
        SELECT array_agg(c) INTO replaceable FROM unnest(replaceable) AS c WHERE c = ANY (columns) AND NOT c = ANY (keys);
        IF replaceable IS NULL THEN
            RAISE EXCEPTION 'nothing is replaced in %', place USING ERRCODE = 'invalid_parameter_value';
        END IF;
        EXECUTE format('%s, changed AS (
                UPDATE public.%I AS o SET (%s) = ROW (%s) FROM given g
                WHERE o.tenant_id = $2 AND %s AND NOT (%s) AND ROW (%s) IS DISTINCT FROM ROW (%s)
                RETURNING g.n)
            SELECT COALESCE(array_agg(n), ''{}'') FROM changed',
            typed, place,
            (SELECT string_agg(format('%I', c), ', ') FROM unnest(replaceable) AS c),
            (SELECT string_agg(format('(g.stored).%I', c), ', ') FROM unnest(replaceable) AS c),
            same_key, erased_if,
            (SELECT string_agg(format('o.%I', c), ', ') FROM unnest(replaceable) AS c),
            (SELECT string_agg(format('(g.stored).%I', c), ', ') FROM unnest(replaceable) AS c))
            INTO replaced USING given, tenant;
    END IF;

    -- The rows that were there are those from before this statement.
    RETURN QUERY EXECUTE format('%1$s, put AS (
            INSERT INTO public.%2$I AS t (%3$s)
            SELECT %4$s FROM given g WHERE NOT (%5$s) AND NOT (%6$s) ORDER BY g.n
            ON CONFLICT DO NOTHING RETURNING %7$s, to_jsonb(t.*) AS written)
        SELECT g.n, CASE
            WHEN %5$s THEN ''erased''
            WHEN p.written IS NOT NULL THEN
                CASE WHEN p.written = p.written || g.line THEN ''inserted'' ELSE ''altered'' END
            WHEN o.tenant_id IS NULL THEN CASE WHEN %6$s THEN ''orphan'' ELSE ''clash'' END
            WHEN g.n = ANY ($3) THEN ''replaced''
            WHEN to_jsonb(o.*) = to_jsonb(o.*) || g.line THEN ''same''
            ELSE ''kept'' END
        FROM given g LEFT JOIN put p ON %8$s LEFT JOIN public.%2$I o ON o.tenant_id = $2 AND %9$s
        ORDER BY g.n',
        typed, place,
        (SELECT string_agg(format('%I', c), ', ') FROM unnest(columns) AS c),
        (SELECT string_agg(format('(g.stored).%I', c), ', ') FROM unnest(columns) AS c),
        erased_if, orphan_if,
        (SELECT string_agg(format('t.%1$I AS %1$I', k), ', ') FROM unnest(keys) AS k),
        (SELECT string_agg(format('p.%1$I = (g.stored).%1$I', k), ' AND ') FROM unnest(keys) AS k),
        same_key)
        USING given, tenant, replaced;
END
$$;
