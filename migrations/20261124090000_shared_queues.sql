-- Queues that people of one tenant keep together. Nothing of a music service is needed to read or change one: each item
-- holds what is shown of it and what it is found by later. Every change takes the queue's row first, so that changes of one
-- queue come one after the other, and raises its version.

CREATE TABLE shared_queues (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    queue_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- Shown by votes, the most first; else by position alone.
    by_votes boolean NOT NULL,
    locked boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, queue_id)
);
CREATE INDEX shared_queues_by_age ON shared_queues (tenant_id, changed_at);

-- Who is in it, and as what.
CREATE TABLE shared_queue_members (
    tenant_id uuid NOT NULL,
    queue_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'editor', 'voter', 'listener')),
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, queue_id, user_id),
    FOREIGN KEY (tenant_id, queue_id) REFERENCES shared_queues (tenant_id, queue_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE
);
CREATE INDEX shared_queue_members_by_user ON shared_queue_members (tenant_id, user_id);
CREATE UNIQUE INDEX shared_queue_members_one_owner ON shared_queue_members (tenant_id, queue_id) WHERE role = 'owner';

-- What is in it, and what was lately, which an undo can bring back.
CREATE TABLE shared_queue_items (
    tenant_id uuid NOT NULL,
    queue_id uuid NOT NULL,
    item_id uuid NOT NULL,
    -- As references are written: spotify:track:ID.
    track text NOT NULL,
    -- The track as its service tells of it; NULL until the service could be asked.
    known jsonb,
    -- Who put it in; NULL once that person was erased.
    user_id uuid,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- With room between two of them, so that one that is moved moves alone.
    position bigint NOT NULL CHECK (position <> 0),
    -- The version that took it out; NULL while it is in.
    removed_in bigint,
    PRIMARY KEY (tenant_id, queue_id, item_id),
    FOREIGN KEY (tenant_id, queue_id) REFERENCES shared_queues (tenant_id, queue_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id)
);
CREATE INDEX shared_queue_items_by_user ON shared_queue_items (tenant_id, user_id);
CREATE UNIQUE INDEX shared_queue_items_one_place ON shared_queue_items (tenant_id, queue_id, position)
    WHERE removed_in IS NULL;

-- Who leaves takes the votes along.
CREATE TABLE shared_queue_votes (
    tenant_id uuid NOT NULL,
    queue_id uuid NOT NULL,
    item_id uuid NOT NULL,
    user_id uuid NOT NULL,
    vote smallint NOT NULL CHECK (vote IN (-1, 1)),
    PRIMARY KEY (tenant_id, queue_id, item_id, user_id),
    FOREIGN KEY (tenant_id, queue_id, item_id)
        REFERENCES shared_queue_items (tenant_id, queue_id, item_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, queue_id, user_id)
        REFERENCES shared_queue_members (tenant_id, queue_id, user_id) ON DELETE CASCADE
);
CREATE INDEX shared_queue_votes_by_user ON shared_queue_votes (tenant_id, user_id);

-- What was done, version by version; the newest 200 are kept, and for a day those with a key.
CREATE TABLE shared_queue_changes (
    tenant_id uuid NOT NULL,
    queue_id uuid NOT NULL,
    version bigint NOT NULL,
    -- Who did it; NULL once that person was erased.
    user_id uuid,
    action text NOT NULL CHECK (action ~ '^[a-z_]{1,32}$'),
    -- Of each item that came, went or moved: its id and its position before and after, if it was in.
    effects jsonb NOT NULL,
    undoes bigint,
    undone_by bigint,
    -- SHA-256 of the caller's idempotency key, and a digest of what was asked for.
    key_digest bytea CHECK (octet_length(key_digest) = 32),
    request_digest bytea CHECK (octet_length(request_digest) = 32),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, queue_id, version),
    FOREIGN KEY (tenant_id, queue_id) REFERENCES shared_queues (tenant_id, queue_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id)
);
CREATE UNIQUE INDEX shared_queue_changes_once ON shared_queue_changes (tenant_id, user_id, key_digest)
    WHERE key_digest IS NOT NULL;
CREATE INDEX shared_queue_changes_by_user ON shared_queue_changes (tenant_id, user_id);

-- Bringing a queue's tracks to a playlist or a player, for a day: what is to be written, and how far that is.
CREATE TABLE shared_queue_commits (
    tenant_id uuid NOT NULL,
    commit_id uuid NOT NULL,
    queue_id uuid NOT NULL,
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    -- SHA-256 of the key, and a digest of the arguments.
    key_digest bytea NOT NULL CHECK (octet_length(key_digest) = 32),
    request_digest bytea NOT NULL CHECK (octet_length(request_digest) = 32),
    plan jsonb NOT NULL,
    -- Whose turn it is, and until when: one call at a time goes on with it.
    claim uuid NOT NULL,
    claimed_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, commit_id),
    UNIQUE (tenant_id, user_id, key_digest),
    FOREIGN KEY (tenant_id, queue_id) REFERENCES shared_queues (tenant_id, queue_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE
);
CREATE INDEX shared_queue_commits_by_queue ON shared_queue_commits (tenant_id, queue_id);
CREATE INDEX shared_queue_commits_by_account ON shared_queue_commits (tenant_id, account_id);
CREATE INDEX shared_queue_commits_by_expiry ON shared_queue_commits (tenant_id, expires_at);

ALTER TABLE shared_queues ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared_queues FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON shared_queues
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE shared_queue_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared_queue_members FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON shared_queue_members
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE shared_queue_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared_queue_items FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON shared_queue_items
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE shared_queue_votes ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared_queue_votes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON shared_queue_votes
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE shared_queue_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared_queue_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON shared_queue_changes
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
ALTER TABLE shared_queue_commits ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared_queue_commits FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON shared_queue_commits
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON shared_queues, shared_queue_members, shared_queue_items, shared_queue_votes,
    shared_queue_changes, shared_queue_commits TO stagedoor_app;
GRANT SELECT ON shared_queues, shared_queue_members, shared_queue_items, shared_queue_votes, shared_queue_changes,
    shared_queue_commits TO stagedoor_keeper, stagedoor_backup;
GRANT SELECT, DELETE ON shared_queues, shared_queue_members, shared_queue_items, shared_queue_votes,
    shared_queue_changes, shared_queue_commits TO stagedoor_admin;
-- Retention: queues that nobody has changed for long, and commits whose time is over.
GRANT DELETE ON shared_queues, shared_queue_commits TO stagedoor_keeper;

-- A queue whose owner goes passes to the editor who has been in it longest, or ends. A queue that is being deleted is
-- not there any more for this. Runs as the owner, because it is not only the gateway that deletes; the policies hold.
CREATE FUNCTION pass_shared_queue_on()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.shared_queues q SET version = q.version + 1, changed_at = clock_timestamp()
        WHERE q.tenant_id = OLD.tenant_id AND q.queue_id = OLD.queue_id;
    IF NOT FOUND OR OLD.role <> 'owner' THEN
        RETURN NULL;
    END IF;
    UPDATE public.shared_queue_members m SET role = 'owner'
        WHERE m.tenant_id = OLD.tenant_id AND m.queue_id = OLD.queue_id AND m.user_id = (
            SELECT h.user_id FROM public.shared_queue_members h
            JOIN public.users u ON u.tenant_id = h.tenant_id AND u.user_id = h.user_id AND u.erasing_at IS NULL
            WHERE h.tenant_id = OLD.tenant_id AND h.queue_id = OLD.queue_id AND h.role = 'editor'
            ORDER BY h.joined_at, h.user_id LIMIT 1);
    IF NOT FOUND THEN
        DELETE FROM public.shared_queues q WHERE q.tenant_id = OLD.tenant_id AND q.queue_id = OLD.queue_id;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION pass_shared_queue_on() FROM PUBLIC;
CREATE TRIGGER pass_shared_queue_on AFTER DELETE ON shared_queue_members
    FOR EACH ROW EXECUTE FUNCTION pass_shared_queue_on();

-- Replicas are told when a change is committed, in a word that older ones pass over.
CREATE FUNCTION tell_of_shared_queue()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('stagedoor_changes', 'shared_queues');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tell_of_shared_queue() FROM PUBLIC;
CREATE TRIGGER tell_of_shared_queue AFTER UPDATE OR DELETE ON shared_queues
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_shared_queue();

-- What of shared queues goes with a person: memberships, votes and commits are deleted, items and changes name nobody
-- any more. The queues are taken first, in order, as whoever changes one takes it. Answers how many rows.
CREATE FUNCTION privacy_leave_queues(tenant uuid, person uuid, place text, most integer)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    gone bigint;
BEGIN
    PERFORM q.queue_id FROM public.shared_queues q WHERE q.tenant_id = tenant AND q.queue_id IN (
        SELECT m.queue_id FROM public.shared_queue_members m WHERE m.tenant_id = tenant AND m.user_id = person
        UNION SELECT i.queue_id FROM public.shared_queue_items i WHERE i.tenant_id = tenant AND i.user_id = person
        UNION SELECT c.queue_id FROM public.shared_queue_changes c WHERE c.tenant_id = tenant AND c.user_id = person)
        ORDER BY q.queue_id FOR UPDATE;
    CASE place
        WHEN 'shared_queue_commits' THEN
            DELETE FROM public.shared_queue_commits d WHERE d.tenant_id = tenant AND d.ctid = ANY (ARRAY(
                SELECT r.ctid FROM public.shared_queue_commits r
                WHERE r.tenant_id = tenant AND r.user_id = person LIMIT most));
            GET DIAGNOSTICS gone = ROW_COUNT;
        WHEN 'shared_queue_votes' THEN
            WITH deleted AS (
                DELETE FROM public.shared_queue_votes d WHERE d.tenant_id = tenant AND d.ctid = ANY (ARRAY(
                    SELECT r.ctid FROM public.shared_queue_votes r
                    WHERE r.tenant_id = tenant AND r.user_id = person LIMIT most))
                RETURNING d.queue_id
            ), raised AS (
                UPDATE public.shared_queues q SET version = q.version + 1, changed_at = clock_timestamp()
                WHERE q.tenant_id = tenant AND q.queue_id IN (SELECT d.queue_id FROM deleted d)
            )
            SELECT count(*) INTO gone FROM deleted;
        WHEN 'shared_queue_items' THEN
            UPDATE public.shared_queue_items i SET user_id = NULL WHERE i.tenant_id = tenant AND i.ctid = ANY (ARRAY(
                SELECT r.ctid FROM public.shared_queue_items r
                WHERE r.tenant_id = tenant AND r.user_id = person LIMIT most));
            GET DIAGNOSTICS gone = ROW_COUNT;
        WHEN 'shared_queue_changes' THEN
            UPDATE public.shared_queue_changes c SET user_id = NULL, key_digest = NULL, request_digest = NULL
                WHERE c.tenant_id = tenant AND c.ctid = ANY (ARRAY(
                    SELECT r.ctid FROM public.shared_queue_changes r
                    WHERE r.tenant_id = tenant AND r.user_id = person LIMIT most));
            GET DIAGNOSTICS gone = ROW_COUNT;
        WHEN 'shared_queue_members' THEN
            DELETE FROM public.shared_queue_members d WHERE d.tenant_id = tenant AND d.ctid = ANY (ARRAY(
                SELECT r.ctid FROM public.shared_queue_members r
                WHERE r.tenant_id = tenant AND r.user_id = person LIMIT most));
            GET DIAGNOSTICS gone = ROW_COUNT;
        ELSE
            RAISE EXCEPTION 'nothing is erased from %', place USING ERRCODE = 'invalid_parameter_value';
    END CASE;
    RETURN gone;
END
$$;
REVOKE ALL ON FUNCTION privacy_leave_queues(uuid, uuid, text, integer) FROM PUBLIC;

-- As before, with shared queues: what goes with a person, and in which order.
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
    SELECT ARRAY['playlist_chunks', 'playlist_versions', 'job_parts', 'jobs', 'idempotency_keys', 'shared_queue_commits',
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
        'shared_queue_items', 'shared_queue_votes', 'shared_queue_changes', 'privacy_requests', 'erasure_tombstones',
        'audit_chain_heads', 'audit_records', 'audit_payloads', 'audit_checkpoint_heads', 'audit_checkpoints']
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
        'playlist_versions', 'shared_queue_members', 'shared_queue_items', 'shared_queue_changes') THEN
        orphan_if := '(g.stored).user_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.users u
            WHERE u.tenant_id = $2 AND u.user_id = (g.stored).user_id)';
    END IF;
    IF place IN ('provider_sessions', 'session_quarantine', 'session_devices', 'session_imports', 'playlist_chunks',
        'playlist_versions') THEN
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
