-- Putting rows of a backup back: one tenant at a time, parents before what refers to them, and nobody who was erased.
-- The keeper's role writes by the functions below alone; each works for the tenant of the transaction.

-- What was put back is read again before it is committed.
GRANT SELECT ON tenants, users, data_keys, signing_keys, provider_apps, api_keys, linked_accounts, provider_sessions,
    session_quarantine, session_devices, session_imports, preferences, consents, playlist_chunks, playlist_versions,
    privacy_requests, erasure_tombstones, audit_records, audit_payloads, audit_chain_heads, audit_checkpoint_heads,
    audit_checkpoints TO stagedoor_keeper;

-- The tables whose rows come back, parents first.
CREATE FUNCTION restore_places()
RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT ARRAY['tenants', 'users', 'data_keys', 'signing_keys', 'provider_apps', 'api_keys', 'linked_accounts',
        'provider_sessions', 'session_quarantine', 'session_devices', 'session_imports', 'preferences', 'consents',
        'playlist_chunks', 'playlist_versions', 'privacy_requests', 'erasure_tombstones', 'audit_chain_heads',
        'audit_records', 'audit_payloads', 'audit_checkpoint_heads', 'audit_checkpoints']
$$;
REVOKE ALL ON FUNCTION restore_places() FROM PUBLIC;

-- Puts rows back, each as a backup holds it: the text of to_jsonb(row) with times in UTC. Answers what became of each:
-- inserted; same (it is there already); kept (another with its key is there, which stays); replaced (that one was, where
-- it was asked for and the table allows it); clash (another row has what must be unique); orphan (what it refers to is
-- not there); erased (it is about someone who was erased); altered (what was inserted is not what was given: whoever
-- asked must undo it). A column that the table lacks is refused; one that a row lacks gets its default.
CREATE FUNCTION restore_rows(place text, given text[], replacing boolean)
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
        'playlist_versions') THEN
        orphan_if := '(g.stored).user_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.users u
            WHERE u.tenant_id = $2 AND u.user_id = (g.stored).user_id)';
    END IF;
    IF place IN ('provider_sessions', 'session_quarantine', 'session_devices', 'session_imports', 'playlist_chunks',
        'playlist_versions') THEN
        orphan_if := orphan_if || ' OR (g.stored).account_id IS NOT NULL AND NOT EXISTS
            (SELECT FROM public.linked_accounts a
            WHERE a.tenant_id = $2 AND a.account_id = (g.stored).account_id)';
    END IF;
    IF place = 'privacy_requests' THEN
        orphan_if := '(g.stored).parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.privacy_requests r
            WHERE r.tenant_id = $2 AND r.request_id = (g.stored).parent_id)';
    END IF;
    IF place = 'erasure_tombstones' THEN
        orphan_if := 'NOT EXISTS (SELECT FROM public.privacy_requests r
            WHERE r.tenant_id = $2 AND r.request_id = (g.stored).request_id)';
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
REVOKE ALL ON FUNCTION restore_rows(text, text[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_rows(text, text[], boolean) TO stagedoor_keeper;

-- Notes who was erased, from outside of the database, before any row comes back. A receipt that is not known says so.
-- Answers how many were not known here.
CREATE FUNCTION restore_tombstones(
    digests bytea[], requests uuid[], erased timestamptz[], asked timestamptz[], due timestamptz[], receipts text[]
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    added bigint;
BEGIN
    INSERT INTO public.privacy_requests (tenant_id, request_id, kind, subject_digest, state, requested_at, verified_at,
            completed_at, due_by, progress, receipt)
        SELECT tenant, t.request, 'erasure', t.digest, 'done', t.asked, t.asked, t.erased, t.due,
            '{"restored": true}', COALESCE(t.receipt, 'the receipt was lost with the database that held it')
        FROM unnest(digests, requests, erased, asked, due, receipts) AS t (digest, request, erased, asked, due, receipt)
        WHERE NOT EXISTS (SELECT FROM public.erasure_tombstones e
            WHERE e.tenant_id = tenant AND e.subject_digest = t.digest)
        ON CONFLICT DO NOTHING;
    INSERT INTO public.erasure_tombstones (tenant_id, subject_digest, request_id, erased_at)
        SELECT tenant, t.digest, t.request, t.erased
        FROM unnest(digests, requests, erased) AS t (digest, request, erased)
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;
REVOKE ALL ON FUNCTION restore_tombstones(bytea[], uuid[], timestamptz[], timestamptz[], timestamptz[], text[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_tombstones(bytea[], uuid[], timestamptz[], timestamptz[], timestamptz[], text[])
    TO stagedoor_keeper;

-- A confirmed erasure of the person that a worker will go on with: the one that is open, or a new one. For the functions
-- here; nobody else may execute it.
CREATE FUNCTION restore_continue_erasure(person uuid, asked timestamptz, answer_seconds double precision)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
BEGIN
    UPDATE public.privacy_requests r SET state = 'verified', verified_at = asked, due_at = clock_timestamp()
        WHERE r.tenant_id = tenant AND r.user_id = person AND r.kind = 'erasure' AND r.state = 'requested';
    INSERT INTO public.privacy_requests (tenant_id, request_id, kind, state, user_id, subject_digest, requested_by,
            requested_at, verified_at, due_by, due_at)
        SELECT tenant, gen_random_uuid(), 'erasure', 'verified', person, public.privacy_subject_digest(tenant, person),
            'restore', asked, asked, asked + make_interval(secs => answer_seconds), clock_timestamp()
        WHERE NOT EXISTS (SELECT FROM public.privacy_requests r
            WHERE r.tenant_id = tenant AND r.user_id = person AND r.kind = 'erasure' AND r.completed_at IS NULL);
END
$$;
REVOKE ALL ON FUNCTION restore_continue_erasure(uuid, timestamptz, double precision) FROM PUBLIC;

-- Begins the erasure of whoever is here although a tombstone says that the person was erased: a database that was put
-- back as a whole, by whoever runs PostgreSQL, knows them again. Nothing of them works from then on, and the gateway's
-- worker does the rest. Answers how many.
CREATE FUNCTION restore_erase_again(answer_seconds double precision)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
    person uuid;
    people bigint := 0;
BEGIN
    FOR person IN
        SELECT u.user_id FROM public.users u WHERE u.tenant_id = tenant AND EXISTS (
            SELECT FROM public.erasure_tombstones e WHERE e.tenant_id = tenant
                AND e.subject_digest = public.privacy_subject_digest(tenant, u.user_id))
        ORDER BY u.user_id
    LOOP
        PERFORM public.privacy_begin_erasure(person);
        PERFORM public.restore_continue_erasure(person, present, answer_seconds);
        people := people + 1;
    END LOOP;
    RETURN people;
END
$$;
REVOKE ALL ON FUNCTION restore_erase_again(double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_erase_again(double precision) TO stagedoor_keeper;

-- Marks people as being erased, after their rows are back: while they are marked, their rows could not come. Whoever's
-- erasure nobody goes on with gets a request again.
CREATE FUNCTION restore_mark_erasing(people uuid[], since timestamptz[], answer_seconds double precision)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    person record;
BEGIN
    FOR person IN SELECT p.id, p.confirmed_at FROM unnest(people, since) AS p (id, confirmed_at) LOOP
        UPDATE public.users u SET erasing_at = COALESCE(u.erasing_at, person.confirmed_at)
            WHERE u.tenant_id = tenant AND u.user_id = person.id;
        IF FOUND THEN
            PERFORM public.restore_continue_erasure(person.id, person.confirmed_at, answer_seconds);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION restore_mark_erasing(uuid[], timestamptz[], double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_mark_erasing(uuid[], timestamptz[], double precision) TO stagedoor_keeper;

-- Tells replicas that something of the tenant changed, so that they look its keys up again.
CREATE FUNCTION restore_tell()
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.tenants t SET updated_at = clock_timestamp() WHERE t.tenant_id = public.privacy_tenant()
$$;
REVOKE ALL ON FUNCTION restore_tell() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_tell() TO stagedoor_keeper;

-- Makes the partitions of a day that is over, of up to ten years ago, as ensure_audit_partitions does for days to come.
CREATE FUNCTION restore_partition(wanted date)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    parent text;
    name text;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF (wanted BETWEEN today - 3660 AND today + 31) IS NOT TRUE THEN
        RAISE EXCEPTION 'partitions come back for days from ten years ago to a month ahead'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH parent IN ARRAY ARRAY['audit_records', 'audit_payloads'] LOOP
        name := parent || to_char(wanted, '"_p"YYYYMMDD');
        CONTINUE WHEN EXISTS (SELECT FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname = name);
        PERFORM pg_advisory_xact_lock(hashtextextended('stagedoor.ensure_audit_partitions', 0));
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
            parent, name, wanted, wanted + 1);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION restore_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_partition(date) TO stagedoor_keeper;

-- Puts a grant back, sealed anew for the session's present id and the revision after the one that was seen: the account
-- can be used again. `false` if the session was written meanwhile.
CREATE FUNCTION restore_session(
    account uuid, session uuid, seen_revision bigint, new_access bytea, new_refresh bytea, new_scopes text[],
    new_expiry timestamptz, new_authorized timestamptz
)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '10s'
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
BEGIN
    -- The account before its session, as linking and refreshing do.
    PERFORM a.account_id FROM public.linked_accounts a
        WHERE a.tenant_id = tenant AND a.account_id = account FOR NO KEY UPDATE;
    UPDATE public.provider_sessions s SET access_token = new_access, refresh_token = new_refresh, scopes = new_scopes,
            token_expires_at = new_expiry, authorized_at = new_authorized, revision = seen_revision + 1,
            updated_at = present, last_accessed = present, refresh_claimed_until = NULL, refused_revision = NULL,
            quarantined_at = NULL, quarantine_reason = NULL
        WHERE s.tenant_id = tenant AND s.session_id = session AND s.account_id = account
            AND s.revision = seen_revision;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE public.linked_accounts a SET status = 'active', updated_at = present
        WHERE a.tenant_id = tenant AND a.account_id = account;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION restore_session(uuid, uuid, bigint, bytea, bytea, text[], timestamptz, timestamptz)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_session(uuid, uuid, bigint, bytea, bytea, text[], timestamptz, timestamptz)
    TO stagedoor_keeper;

-- Gives a key back that was destroyed since the backup, so that what the backup holds can be opened; it seals nothing any
-- more. The wrap is bound to the revision. `false` if the key is not there, or was not destroyed.
CREATE FUNCTION restore_key(given text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET TimeZone = 'UTC' SET bytea_output = 'hex'
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    old public.data_keys := jsonb_populate_record(NULL::public.data_keys, given::jsonb);
BEGIN
    UPDATE public.data_keys k SET state = 'decrypt_only', wrapped_key = old.wrapped_key, wrapped_by = old.wrapped_by,
            revision = old.revision, indexes = old.indexes, updated_at = clock_timestamp(),
            retired_at = clock_timestamp(), unreferenced_at = NULL
        WHERE k.tenant_id = tenant AND k.key_id = old.key_id AND k.purpose = old.purpose
            AND k.user_id IS NOT DISTINCT FROM old.user_id AND k.state = 'destroyed' AND old.wrapped_key IS NOT NULL;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION restore_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_key(text) TO stagedoor_keeper;

-- Serves a tenant no more that was deleted and is here again, because the database was put back as a whole. Somebody has
-- to look at it, and delete it again. `false` if it was not served.
CREATE FUNCTION restore_suspend()
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.tenants t SET status = 'suspended'
        WHERE t.tenant_id = public.privacy_tenant() AND t.status = 'active';
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION restore_suspend() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION restore_suspend() TO stagedoor_keeper;
