-- What people ask for under the law, and the erasure of all that is known of one: SECURITY §7, GDPR Articles 15 to 20.
-- The gateway's role can read requests; it changes them, and erases, only by the functions below, each of which demands
-- a request of that very person in the right state. All times are the database's.

ALTER TABLE tenants DROP CONSTRAINT tenants_status_check;
ALTER TABLE tenants ADD CONSTRAINT tenants_status_check
    CHECK (status IN ('active', 'suspended', 'deleting', 'deleted'));

-- Set when the erasure of the person was confirmed: from then on nothing may begin for that person.
ALTER TABLE users ADD COLUMN erasing_at timestamptz;

-- A person is told all that is kept about a key but what it is checked against.
GRANT SELECT (mode, scopes, toolsets, read_only, allowed_networks, last_used_at, created_at) ON api_keys
    TO stagedoor_app;

-- One request, from the question to the receipt. No foreign key to users: it outlives the person's row, and then holds
-- nothing of the person but a digest of random bytes.
CREATE TABLE privacy_requests (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    request_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('export', 'erasure', 'tenant_erasure')),
    -- The person; NULL once an erasure is over, and for a whole tenant.
    user_id uuid,
    -- SHA-256('stagedoor/subject/1' | tenant 16 | user 16); NULL for a whole tenant.
    subject_digest bytea CHECK (octet_length(subject_digest) = 32),
    -- The erasure of a tenant that this one is part of.
    parent_id uuid,
    state text NOT NULL DEFAULT 'requested' CHECK (state IN
        ('requested', 'verified', 'revoked', 'erased', 'key_destroyed', 'done', 'expired', 'cancelled')),
    -- SHA-256 of the token in the address of its page.
    page_hash bytea CHECK (octet_length(page_hash) = 32),
    -- Until when the page can confirm or download.
    page_expires_at timestamptz,
    -- Who asked, as the audit trail names it; NULL once an erasure is over.
    requested_by text,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    verified_at timestamptz,
    completed_at timestamptz,
    -- GDPR Article 12(3): one month.
    due_by timestamptz NOT NULL,
    -- Outcomes and counts, nothing about the person; `rows` is kept by the functions that erase.
    progress jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(progress) = 'object'),
    receipt text,
    -- When a worker may take it: for one at work, when the claim ends; for one that waits for its page, when that ends.
    due_at timestamptz,
    -- Raised by each claim, so that a worker whose claim ran out does nothing any more.
    fence bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, request_id),
    UNIQUE (tenant_id, page_hash),
    FOREIGN KEY (tenant_id, parent_id) REFERENCES privacy_requests (tenant_id, request_id),
    CHECK ((kind = 'tenant_erasure') = (subject_digest IS NULL)),
    CHECK ((state IN ('done', 'expired', 'cancelled')) = (completed_at IS NOT NULL)),
    CHECK (completed_at IS NULL OR due_at IS NULL),
    CHECK (kind <> 'erasure' OR state <> 'done' OR (user_id IS NULL AND requested_by IS NULL AND receipt IS NOT NULL))
);
CREATE INDEX privacy_requests_by_user ON privacy_requests (tenant_id, user_id);
CREATE INDEX privacy_requests_by_parent ON privacy_requests (tenant_id, parent_id);
CREATE INDEX privacy_requests_due ON privacy_requests (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX privacy_requests_open ON privacy_requests (due_by) WHERE completed_at IS NULL;
CREATE UNIQUE INDEX privacy_requests_one_erasure ON privacy_requests (tenant_id, user_id)
    WHERE kind = 'erasure' AND completed_at IS NULL;
CREATE UNIQUE INDEX privacy_requests_one_tenant_erasure ON privacy_requests (tenant_id)
    WHERE kind = 'tenant_erasure' AND completed_at IS NULL;
ALTER TABLE privacy_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE privacy_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON privacy_requests
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- Which requests of all tenants are open, for the functions that find work and what is late.
CREATE POLICY look_up_open ON privacy_requests FOR SELECT TO stagedoor_owner USING (completed_at IS NULL);
GRANT SELECT ON privacy_requests TO stagedoor_app, stagedoor_admin, stagedoor_backup;

-- That someone was erased, so that a restored backup can be told whom to erase again.
CREATE TABLE erasure_tombstones (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    -- As in privacy_requests.
    subject_digest bytea NOT NULL CHECK (octet_length(subject_digest) = 32),
    request_id uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, subject_digest),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_requests (tenant_id, request_id)
);
ALTER TABLE erasure_tombstones ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasure_tombstones FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON erasure_tombstones
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON erasure_tombstones TO stagedoor_app, stagedoor_admin, stagedoor_keeper, stagedoor_backup;

-- Nothing begins for a person whose erasure was confirmed. The lock is the one that a foreign key takes: the
-- confirmation waits for whoever has it, and whoever waited for the confirmation reads what it wrote. The error is the
-- one that is met once the person is gone.
CREATE FUNCTION refuse_while_erasing()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    since timestamptz;
BEGIN
    IF NEW.user_id IS NULL THEN
        RETURN NEW;
    END IF;
    SELECT u.erasing_at INTO since FROM public.users u
        WHERE u.tenant_id = NEW.tenant_id AND u.user_id = NEW.user_id FOR KEY SHARE;
    IF since IS NOT NULL THEN
        RAISE EXCEPTION 'the person is being erased' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION refuse_while_erasing() FROM PUBLIC;
CREATE TRIGGER refuse_while_erasing BEFORE INSERT ON api_keys
    FOR EACH ROW EXECUTE FUNCTION refuse_while_erasing();
CREATE TRIGGER refuse_while_erasing BEFORE INSERT ON linked_accounts
    FOR EACH ROW EXECUTE FUNCTION refuse_while_erasing();
CREATE TRIGGER refuse_while_erasing BEFORE INSERT ON link_attempts
    FOR EACH ROW EXECUTE FUNCTION refuse_while_erasing();
CREATE TRIGGER refuse_while_erasing BEFORE INSERT ON session_imports
    FOR EACH ROW EXECUTE FUNCTION refuse_while_erasing();
CREATE TRIGGER refuse_while_erasing BEFORE INSERT ON jobs
    FOR EACH ROW EXECUTE FUNCTION refuse_while_erasing();

-- A tenant that is being deleted gets nobody and nothing new; once it is deleted, no keys either, which whoever still
-- works for it would make anew.
CREATE FUNCTION refuse_while_deleting()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    standing text;
BEGIN
    SELECT t.status INTO standing FROM public.tenants t WHERE t.tenant_id = NEW.tenant_id FOR KEY SHARE;
    IF standing = 'deleted' OR (standing = 'deleting' AND TG_TABLE_NAME NOT IN ('data_keys', 'signing_keys')) THEN
        RAISE EXCEPTION 'the tenant is being deleted' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION refuse_while_deleting() FROM PUBLIC;
CREATE TRIGGER refuse_while_deleting BEFORE INSERT ON users
    FOR EACH ROW EXECUTE FUNCTION refuse_while_deleting();
CREATE TRIGGER refuse_while_deleting BEFORE INSERT ON api_keys
    FOR EACH ROW EXECUTE FUNCTION refuse_while_deleting();
CREATE TRIGGER refuse_while_deleting BEFORE INSERT ON provider_apps
    FOR EACH ROW EXECUTE FUNCTION refuse_while_deleting();
CREATE TRIGGER refuse_while_deleting BEFORE INSERT ON data_keys
    FOR EACH ROW EXECUTE FUNCTION refuse_while_deleting();
CREATE TRIGGER refuse_while_deleting BEFORE INSERT ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION refuse_while_deleting();

-- The tenant of the transaction.
CREATE FUNCTION privacy_tenant()
RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid;
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN tenant;
END
$$;
REVOKE ALL ON FUNCTION privacy_tenant() FROM PUBLIC;

CREATE FUNCTION privacy_subject_digest(tenant uuid, person uuid)
RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT sha256('stagedoor/subject/1'::bytea || uuid_send(tenant) || uuid_send(person))
$$;
REVOKE ALL ON FUNCTION privacy_subject_digest(uuid, uuid) FROM PUBLIC;

-- Holds the row of a request's person, waiting for whoever writes something that refers to it. Whoever locks a person
-- and a request locks the person first.
CREATE FUNCTION privacy_lock_person(wanted uuid)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM u.user_id FROM public.users u
        WHERE u.tenant_id = public.privacy_tenant() AND u.user_id = (
            SELECT r.user_id FROM public.privacy_requests r
            WHERE r.tenant_id = public.privacy_tenant() AND r.request_id = wanted)
        FOR UPDATE;
END
$$;
REVOKE ALL ON FUNCTION privacy_lock_person(uuid) FROM PUBLIC;

-- Asks for a copy or for erasure, with a page that can answer it for a while. What still waits for its page gets the new
-- one instead; a confirmed erasure keeps its own, which the person has. Answers the request's id.
CREATE FUNCTION privacy_offer(
    new_request uuid, wanted_kind text, person uuid, new_page bytea, asked_by text,
    page_seconds double precision, answer_seconds double precision
)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
    page_ends timestamptz := present + make_interval(secs => page_seconds);
    found_request uuid;
BEGIN
    IF wanted_kind NOT IN ('export', 'erasure') THEN
        RAISE EXCEPTION 'not a request of a person' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One offer for a person at a time.
    PERFORM u.user_id FROM public.users u WHERE u.tenant_id = tenant AND u.user_id = person FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such person' USING ERRCODE = 'foreign_key_violation';
    END IF;
    SELECT r.request_id INTO found_request FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.user_id = person AND r.kind = wanted_kind AND r.completed_at IS NULL
            AND (r.state = 'requested' OR r.kind = 'erasure')
        FOR UPDATE;
    UPDATE public.privacy_requests r
        SET page_hash = new_page, page_expires_at = page_ends, due_at = page_ends, requested_by = asked_by
        WHERE r.tenant_id = tenant AND r.request_id = found_request AND r.state = 'requested';
    IF found_request IS NOT NULL THEN
        RETURN found_request;
    END IF;
    INSERT INTO public.privacy_requests (tenant_id, request_id, kind, user_id, subject_digest, page_hash,
            page_expires_at, requested_by, requested_at, due_by, due_at)
        VALUES (tenant, new_request, wanted_kind, person, public.privacy_subject_digest(tenant, person), new_page,
            page_ends, asked_by, present, present + make_interval(secs => answer_seconds), page_ends);
    RETURN new_request;
END
$$;
REVOKE ALL ON FUNCTION privacy_offer(uuid, text, uuid, bytea, text, double precision, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_offer(uuid, text, uuid, bytea, text, double precision, double precision)
    TO stagedoor_app;

-- One request by slug and the hash of its page's token, with its tenant, until a while after its end: what a browser
-- brings is neither key nor session. Steps into the tenant and back, as api_key_for_sign_in does.
CREATE FUNCTION privacy_request_for_sign_in(wanted_slug text, wanted_page bytea, shown_seconds double precision)
RETURNS TABLE (
    tenant_id uuid, slug text, name text, status text, settings jsonb, request_id uuid, kind text, user_id uuid
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant public.tenants%ROWTYPE;
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
BEGIN
    SELECT * INTO tenant FROM public.tenants t WHERE t.slug = wanted_slug;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM set_config('stagedoor.tenant_id', tenant.tenant_id::text, true);
    RETURN QUERY
        SELECT tenant.tenant_id, tenant.slug, tenant.name, tenant.status, tenant.settings,
            r.request_id, r.kind, r.user_id
        FROM public.privacy_requests r
        WHERE r.tenant_id = tenant.tenant_id AND r.page_hash = wanted_page
            AND (r.completed_at IS NULL
                OR r.completed_at > clock_timestamp() - make_interval(secs => shown_seconds));
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION privacy_request_for_sign_in(text, bytea, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_request_for_sign_in(text, bytea, double precision) TO stagedoor_app;

-- Nothing of the person works any more, and nothing begins: the keys are revoked, the jobs end without their workers,
-- the pages of links are closed. For the functions below; nobody else may execute it.
CREATE FUNCTION privacy_begin_erasure(person uuid)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
BEGIN
    -- Waits for whoever is writing something that refers to the person.
    PERFORM u.user_id FROM public.users u WHERE u.tenant_id = tenant AND u.user_id = person FOR UPDATE;
    UPDATE public.users u SET erasing_at = COALESCE(u.erasing_at, present)
        WHERE u.tenant_id = tenant AND u.user_id = person;
    UPDATE public.api_keys k SET revoked_at = present
        WHERE k.tenant_id = tenant AND k.user_id = person AND k.revoked_at IS NULL;
    -- The message is bound to the revision; the fence stops a worker at its next write.
    UPDATE public.jobs j SET state = 'cancelled', cancel_requested = true, due_at = NULL, fence = j.fence + 1,
            revision = j.revision + 1, message = NULL, updated_at = present
        WHERE j.tenant_id = tenant AND j.user_id = person AND j.state IN ('queued', 'running', 'waiting');
    UPDATE public.link_attempts l SET stage = 'failed', failure = 'link_expired', finished_at = present,
            verifier = NULL
        WHERE l.tenant_id = tenant AND l.user_id = person AND l.stage IN ('offered', 'authorizing', 'exchanging');
    -- Replicas see that something of the tenant changed, and look its keys up again.
    UPDATE public.tenants t SET updated_at = present WHERE t.tenant_id = tenant;
END
$$;
REVOKE ALL ON FUNCTION privacy_begin_erasure(uuid) FROM PUBLIC;

-- The second step of an erasure, by whoever brings the token of its page. Answers verified, already (confirmed before),
-- expired, ended, or unknown.
CREATE FUNCTION privacy_verify(wanted uuid, page_token bytea)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
    request public.privacy_requests%ROWTYPE;
BEGIN
    -- The tenant before the person, as whoever deletes the tenant does.
    PERFORM t.tenant_id FROM public.tenants t WHERE t.tenant_id = tenant FOR NO KEY UPDATE;
    PERFORM public.privacy_lock_person(wanted);
    SELECT * INTO request FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.request_id = wanted AND r.kind = 'erasure'
            AND r.page_hash = sha256(page_token) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    ELSIF request.state IN ('expired', 'cancelled') THEN
        RETURN 'ended';
    ELSIF request.state <> 'requested' THEN
        RETURN 'already';
    ELSIF request.page_expires_at <= present THEN
        RETURN 'expired';
    END IF;
    PERFORM public.privacy_begin_erasure(request.user_id);
    UPDATE public.privacy_requests r SET state = 'verified', verified_at = present, due_at = present
        WHERE r.tenant_id = tenant AND r.request_id = wanted;
    RETURN 'verified';
END
$$;
REVOKE ALL ON FUNCTION privacy_verify(uuid, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_verify(uuid, bytea) TO stagedoor_app;

-- Takes a request back that was not confirmed; `false` if there is none such.
CREATE FUNCTION privacy_cancel(wanted uuid, page_token bytea)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.privacy_requests r SET state = 'cancelled', completed_at = clock_timestamp(), due_at = NULL
        WHERE r.tenant_id = public.privacy_tenant() AND r.request_id = wanted AND r.state = 'requested'
            AND r.page_hash = sha256(page_token);
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION privacy_cancel(uuid, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_cancel(uuid, bytea) TO stagedoor_app;

-- Takes the download of a copy, once. Answers ready, used, expired or unknown. What is not finished within
-- `download_seconds` counts as expired.
CREATE FUNCTION privacy_take_export(wanted uuid, page_token bytea, download_seconds double precision)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
    request public.privacy_requests%ROWTYPE;
BEGIN
    SELECT * INTO request FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.request_id = wanted AND r.kind = 'export'
            AND r.page_hash = sha256(page_token) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    ELSIF request.verified_at IS NOT NULL THEN
        RETURN 'used';
    ELSIF request.state <> 'requested' OR request.page_expires_at <= present THEN
        RETURN 'expired';
    END IF;
    UPDATE public.privacy_requests r SET state = 'verified', verified_at = present,
            due_at = present + make_interval(secs => download_seconds)
        WHERE r.tenant_id = tenant AND r.request_id = wanted;
    RETURN 'ready';
END
$$;
REVOKE ALL ON FUNCTION privacy_take_export(uuid, bytea, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_take_export(uuid, bytea, double precision) TO stagedoor_app;

-- Notes that the copy that was taken went out as a whole.
CREATE FUNCTION privacy_finish_export(wanted uuid, counts jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.privacy_requests r SET state = 'done', completed_at = clock_timestamp(), due_at = NULL,
            progress = jsonb_build_object('rows', counts)
        WHERE r.tenant_id = public.privacy_tenant() AND r.request_id = wanted AND r.kind = 'export'
            AND r.state = 'verified';
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION privacy_finish_export(uuid, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_finish_export(uuid, jsonb) TO stagedoor_app;

-- Claims erasures of any tenant that are due, the tenants taking turns, and lets requests expire whose page was not used in time. Steps into
-- each one's tenant and back, as claim_due_jobs does.
CREATE FUNCTION claim_due_privacy_requests(most integer, lease_seconds double precision)
RETURNS TABLE (tenant_id uuid, request_id uuid, kind text, state text, user_id uuid, fence bigint)
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
        SELECT due.tenant_id, due.request_id, due.kind, due.state
        FROM (
            SELECT r.tenant_id, r.request_id, r.kind, r.state, r.due_at,
                row_number() OVER (PARTITION BY r.tenant_id ORDER BY r.due_at, r.request_id) AS turn
            FROM public.privacy_requests r
            WHERE r.due_at <= present
        ) due
        ORDER BY due.turn, due.due_at
        -- Some of them may be another replica's by the time they are looked at.
        LIMIT most * 4
    LOOP
        EXIT WHEN claimed >= most;
        PERFORM set_config('stagedoor.tenant_id', candidate.tenant_id::text, true);
        IF candidate.kind = 'export' OR candidate.state = 'requested' THEN
            UPDATE public.privacy_requests r SET state = 'expired', completed_at = clock_timestamp(), due_at = NULL
                FROM (
                    SELECT f.request_id FROM public.privacy_requests f
                    WHERE f.tenant_id = candidate.tenant_id AND f.request_id = candidate.request_id
                        AND f.due_at <= present AND f.state = candidate.state
                    FOR UPDATE SKIP LOCKED
                ) free
                WHERE r.tenant_id = candidate.tenant_id AND r.request_id = free.request_id;
            CONTINUE;
        END IF;
        RETURN QUERY
            UPDATE public.privacy_requests r
            SET fence = r.fence + 1, due_at = clock_timestamp() + make_interval(secs => lease_seconds)
            FROM (
                SELECT f.request_id FROM public.privacy_requests f
                WHERE f.tenant_id = candidate.tenant_id AND f.request_id = candidate.request_id
                    AND f.due_at <= present
                FOR UPDATE SKIP LOCKED
            ) free
            WHERE r.tenant_id = candidate.tenant_id AND r.request_id = free.request_id
            RETURNING r.tenant_id, r.request_id, r.kind, r.state, r.user_id, r.fence;
        IF FOUND THEN
            claimed := claimed + 1;
        END IF;
    END LOOP;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION claim_due_privacy_requests(integer, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_due_privacy_requests(integer, double precision) TO stagedoor_app;

-- Keeps a claim, or gives it back, for that long; `false` if it was lost.
CREATE FUNCTION privacy_hold(wanted uuid, held bigint, hold_seconds double precision)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.privacy_requests r SET due_at = clock_timestamp() + make_interval(secs => hold_seconds)
        WHERE r.tenant_id = public.privacy_tenant() AND r.request_id = wanted AND r.fence = held
            AND r.state IN ('verified', 'revoked', 'erased', 'key_destroyed');
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION privacy_hold(uuid, bigint, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_hold(uuid, bigint, double precision) TO stagedoor_app;

-- Notes how far a claimed erasure is, members of `additions` in place of those of that name; `rows` is not the
-- caller's. It may go on by itself from verified to revoked and from revoked to erased; the later states come from what
-- is done there. `false` if the claim was lost or the request is not in `from_state`.
CREATE FUNCTION privacy_advance(wanted uuid, held bigint, from_state text, to_state text, additions jsonb)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF from_state <> to_state
        AND (from_state, to_state) NOT IN (('verified', 'revoked'), ('revoked', 'erased')) THEN
        RAISE EXCEPTION 'no such step' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE public.privacy_requests r SET state = to_state, progress = r.progress || (additions - 'rows')
        WHERE r.tenant_id = public.privacy_tenant() AND r.request_id = wanted AND r.fence = held
            AND r.state = from_state AND r.kind IN ('erasure', 'tenant_erasure')
            AND r.state IN ('verified', 'revoked', 'erased', 'key_destroyed');
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION privacy_advance(uuid, bigint, text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_advance(uuid, bigint, text, text, jsonb) TO stagedoor_app;

-- The audit trail's payloads of a person: the row stays with nothing in it, so that what was erased can be told from
-- what was taken away. Day by day, so that only one partition is looked at.
CREATE FUNCTION privacy_empty_payloads(tenant uuid, person uuid, most integer)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    left_over bigint := most;
    next_day date;
    emptied bigint;
BEGIN
    WHILE left_over > 0 LOOP
        -- Planned each time, since what one partition holds says nothing of another.
        EXECUTE 'SELECT p.day FROM public.audit_payloads p WHERE p.tenant_id = $1 AND p.user_id = $2
            ORDER BY p.day LIMIT 1' INTO next_day USING tenant, person;
        EXIT WHEN next_day IS NULL;
        EXECUTE 'UPDATE public.audit_payloads e SET user_id = NULL, sealed = ''''::bytea
            WHERE e.tenant_id = $1 AND e.day = $3 AND e.ctid = ANY (ARRAY(
                SELECT p.ctid FROM public.audit_payloads p
                WHERE p.tenant_id = $1 AND p.user_id = $2 AND p.day = $3 LIMIT $4))'
            USING tenant, person, next_day, left_over;
        GET DIAGNOSTICS emptied = ROW_COUNT;
        left_over := left_over - emptied;
    END LOOP;
    RETURN most - left_over;
END
$$;
REVOKE ALL ON FUNCTION privacy_empty_payloads(uuid, uuid, integer) FROM PUBLIC;

-- Deletes up to `most` rows of a person from one table, which a row belongs to by its user, its account or its job.
-- A new table with something about people gets its line here; the catalogue test finds one that has none. For the
-- functions below; nobody else may execute it.
CREATE FUNCTION privacy_delete_rows(tenant uuid, person uuid, place text, most integer)
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
REVOKE ALL ON FUNCTION privacy_delete_rows(uuid, uuid, text, integer) FROM PUBLIC;

-- The tables from which a person's rows go, in their order: what hangs on another row goes before it.
CREATE FUNCTION privacy_places()
RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT ARRAY['playlist_chunks', 'playlist_versions', 'job_parts', 'jobs', 'idempotency_keys', 'limit_violations',
        'provider_sessions', 'session_quarantine', 'session_devices', 'session_imports', 'link_attempts',
        'preferences', 'consents', 'linked_accounts', 'api_keys', 'audit_payloads', 'privacy_requests']
$$;
REVOKE ALL ON FUNCTION privacy_places() FROM PUBLIC;

-- Adds to the count of a table's rows that a request has erased.
CREATE FUNCTION privacy_count_rows(tenant uuid, wanted uuid, place text, deleted bigint)
RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.privacy_requests r SET progress = r.progress || jsonb_build_object('rows',
            COALESCE(r.progress -> 'rows', '{}') || jsonb_build_object(place,
                COALESCE((r.progress -> 'rows' ->> place)::bigint, 0) + deleted))
        WHERE r.tenant_id = tenant AND r.request_id = wanted
$$;
REVOKE ALL ON FUNCTION privacy_count_rows(uuid, uuid, text, bigint) FROM PUBLIC;

-- Erases up to `most` rows of the person of a claimed request from one table, and counts them in its progress. Answers
-- how many; -1 if the claim was lost.
CREATE FUNCTION privacy_erase(wanted uuid, held bigint, place text, most integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    person uuid;
    deleted bigint;
BEGIN
    IF (most BETWEEN 1 AND 10000) IS NOT TRUE THEN
        RAISE EXCEPTION 'at most 10000 rows at a time' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT r.user_id INTO person FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.request_id = wanted AND r.fence = held AND r.kind = 'erasure'
            AND r.state IN ('revoked', 'erased') FOR UPDATE;
    IF NOT FOUND OR person IS NULL THEN
        RETURN -1;
    END IF;
    deleted := public.privacy_delete_rows(tenant, person, place, most);
    IF deleted > 0 THEN
        PERFORM public.privacy_count_rows(tenant, wanted, place, deleted);
    END IF;
    RETURN deleted;
END
$$;
REVOKE ALL ON FUNCTION privacy_erase(uuid, bigint, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_erase(uuid, bigint, text, integer) TO stagedoor_app;

-- The end of a person: what came since the rows were erased, the keys, the person. Holding the person's row, nothing
-- can be written any more that refers to it, and whatever was is seen. Answers destroyed, more (rows to erase first),
-- or lost.
CREATE FUNCTION privacy_destroy_person(wanted uuid, held bigint)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    request public.privacy_requests%ROWTYPE;
    place text;
    deleted bigint;
    at_once CONSTANT integer := 500;
BEGIN
    PERFORM public.privacy_lock_person(wanted);
    SELECT * INTO request FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.request_id = wanted AND r.fence = held AND r.kind = 'erasure'
            AND r.state = 'erased' FOR UPDATE;
    IF NOT FOUND OR request.user_id IS NULL THEN
        RETURN 'lost';
    END IF;
    FOREACH place IN ARRAY public.privacy_places() LOOP
        deleted := public.privacy_delete_rows(tenant, request.user_id, place, at_once);
        IF deleted > 0 THEN
            PERFORM public.privacy_count_rows(tenant, wanted, place, deleted);
        END IF;
        IF deleted >= at_once THEN
            RETURN 'more';
        END IF;
    END LOOP;
    DELETE FROM public.data_keys k WHERE k.tenant_id = tenant AND k.user_id = request.user_id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    PERFORM public.privacy_count_rows(tenant, wanted, 'data_keys', deleted);
    DELETE FROM public.users u WHERE u.tenant_id = tenant AND u.user_id = request.user_id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    PERFORM public.privacy_count_rows(tenant, wanted, 'users', deleted);
    INSERT INTO public.erasure_tombstones (tenant_id, subject_digest, request_id, erased_at)
        VALUES (tenant, request.subject_digest, wanted, clock_timestamp()) ON CONFLICT DO NOTHING;
    UPDATE public.privacy_requests r SET state = 'key_destroyed', requested_by = NULL
        WHERE r.tenant_id = tenant AND r.request_id = wanted;
    RETURN 'destroyed';
END
$$;
REVOKE ALL ON FUNCTION privacy_destroy_person(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_destroy_person(uuid, bigint) TO stagedoor_app;

-- The receipt of a person's erasure, after which nothing names the person.
CREATE FUNCTION privacy_finish(wanted uuid, held bigint, final_receipt text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.privacy_requests r SET state = 'done', completed_at = clock_timestamp(), due_at = NULL,
            user_id = NULL, requested_by = NULL, receipt = final_receipt,
            -- What the worker noted names accounts and keys; what counts is in the receipt.
            progress = jsonb_build_object('rows', COALESCE(r.progress -> 'rows', '{}'))
        WHERE r.tenant_id = public.privacy_tenant() AND r.request_id = wanted AND r.fence = held
            AND r.kind = 'erasure' AND r.state = 'key_destroyed';
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION privacy_finish(uuid, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_finish(uuid, bigint, text) TO stagedoor_app;

-- Begins the deletion of the transaction's tenant: it is served no more. Provisioning's alone. Answers the request's
-- id, which is the one that is open if there is one.
CREATE FUNCTION privacy_request_tenant_erasure(new_request uuid, asked_by text, answer_seconds double precision)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
    standing text;
    open_request uuid;
BEGIN
    -- Waits for whoever adds people or keys.
    SELECT t.status INTO standing FROM public.tenants t WHERE t.tenant_id = tenant FOR UPDATE;
    IF NOT FOUND OR standing = 'deleted' THEN
        RAISE EXCEPTION 'no such tenant' USING ERRCODE = 'foreign_key_violation';
    END IF;
    SELECT r.request_id INTO open_request FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.kind = 'tenant_erasure' AND r.completed_at IS NULL;
    IF FOUND THEN
        RETURN open_request;
    END IF;
    UPDATE public.tenants t SET status = 'deleting' WHERE t.tenant_id = tenant;
    UPDATE public.api_keys k SET revoked_at = present WHERE k.tenant_id = tenant AND k.revoked_at IS NULL;
    INSERT INTO public.privacy_requests (tenant_id, request_id, kind, state, requested_by, requested_at, verified_at,
            due_by, due_at)
        VALUES (tenant, new_request, 'tenant_erasure', 'verified', asked_by, present, present,
            present + make_interval(secs => answer_seconds), present);
    RETURN new_request;
END
$$;
REVOKE ALL ON FUNCTION privacy_request_tenant_erasure(uuid, text, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_request_tenant_erasure(uuid, text, double precision) TO stagedoor_admin;

-- Makes a confirmed erasure for each of some people of a tenant that is being deleted, so that at most `most` of them are
-- worked on at a time; those that only wait to be settled do not count. Answers how many people it was, and how many are
-- left in all; -1 and -1 if the claim was lost.
CREATE FUNCTION privacy_spread(wanted uuid, held bigint, most integer, answer_seconds double precision)
RETURNS TABLE (begun bigint, people_left bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant uuid := public.privacy_tenant();
    present timestamptz := clock_timestamp();
    person uuid;
    people bigint := 0;
BEGIN
    PERFORM t.tenant_id FROM public.tenants t WHERE t.tenant_id = tenant FOR NO KEY UPDATE;
    PERFORM r.request_id FROM public.privacy_requests r
        WHERE r.tenant_id = tenant AND r.request_id = wanted AND r.fence = held AND r.kind = 'tenant_erasure'
            AND r.state = 'verified' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT -1::bigint, -1::bigint;
        RETURN;
    END IF;
    FOR person IN
        SELECT u.user_id FROM public.users u WHERE u.tenant_id = tenant AND u.erasing_at IS NULL
        ORDER BY u.user_id LIMIT greatest(0, most - (
            SELECT count(*) FROM public.privacy_requests r
            WHERE r.tenant_id = tenant AND r.parent_id = wanted AND r.state IN ('verified', 'revoked', 'erased')))
    LOOP
        PERFORM public.privacy_begin_erasure(person);
        UPDATE public.privacy_requests r SET state = 'verified', verified_at = present, due_at = present,
                parent_id = wanted
            WHERE r.tenant_id = tenant AND r.user_id = person AND r.kind = 'erasure' AND r.completed_at IS NULL;
        IF NOT FOUND THEN
            INSERT INTO public.privacy_requests (tenant_id, request_id, kind, user_id, subject_digest, parent_id,
                    state, requested_at, verified_at, due_by, due_at)
                VALUES (tenant, gen_random_uuid(), 'erasure', person,
                    public.privacy_subject_digest(tenant, person), wanted, 'verified', present, present,
                    present + make_interval(secs => answer_seconds), present);
        END IF;
        people := people + 1;
    END LOOP;
    -- Whose own erasure was under way before is part of it too.
    UPDATE public.privacy_requests r SET parent_id = wanted
        WHERE r.tenant_id = tenant AND r.kind = 'erasure' AND r.completed_at IS NULL AND r.parent_id IS NULL;
    RETURN QUERY SELECT people, (
        (SELECT count(*) FROM public.users u WHERE u.tenant_id = tenant)
        + (SELECT count(*) FROM public.privacy_requests r WHERE r.tenant_id = tenant AND r.kind = 'erasure'
            AND r.state = 'key_destroyed'));
END
$$;
REVOKE ALL ON FUNCTION privacy_spread(uuid, bigint, integer, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_spread(uuid, bigint, integer, double precision) TO stagedoor_app;

-- Erases up to `most` rows of a tenant that has no people left from one table, and counts them. What the audit trail
-- says of nobody stays where it is, sealed under the tenant's key, which is destroyed at the end. Answers how many; -1
-- if the claim was lost or there are people left.
CREATE FUNCTION privacy_erase_tenant(wanted uuid, held bigint, place text, most integer)
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
    IF place IN ('api_keys', 'provider_apps', 'limit_violations') THEN
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
REVOKE ALL ON FUNCTION privacy_erase_tenant(uuid, bigint, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_erase_tenant(uuid, bigint, text, integer) TO stagedoor_app;

-- The end of a tenant, with the receipt that its signing key has signed last: no key opens or signs any more, nothing
-- says what it was called. What is left are digests, the public halves of signing keys, and receipts.
CREATE FUNCTION privacy_destroy_tenant(wanted uuid, held bigint, final_receipt text)
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
    UPDATE public.tenants t SET status = 'deleted', name = '', settings = '{}',
            slug = 'deleted-' || replace(tenant::text, '-', '')
        WHERE t.tenant_id = tenant;
    UPDATE public.privacy_requests r SET state = 'done', completed_at = present, due_at = NULL,
            receipt = final_receipt
        WHERE r.tenant_id = tenant AND r.request_id = wanted;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION privacy_destroy_tenant(uuid, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_destroy_tenant(uuid, bigint, text) TO stagedoor_app;

-- Requests of all tenants that are open, or only those that are late, those whose time ends first before the others.
CREATE FUNCTION open_privacy_requests(only_late boolean, most integer)
RETURNS TABLE (
    tenant_id uuid, slug text, request_id uuid, kind text, state text, requested_at timestamptz, due_by timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT r.tenant_id, t.slug, r.request_id, r.kind, r.state, r.requested_at, r.due_by
    FROM public.privacy_requests r JOIN public.tenants t USING (tenant_id)
    WHERE r.completed_at IS NULL AND (NOT only_late OR r.due_by <= clock_timestamp())
    ORDER BY r.due_by, r.request_id LIMIT most
$$;
REVOKE ALL ON FUNCTION open_privacy_requests(boolean, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_privacy_requests(boolean, integer) TO stagedoor_app, stagedoor_admin, stagedoor_keeper;

-- How many requests of all tenants are open, and how many of these are late.
CREATE FUNCTION count_privacy_requests()
RETURNS TABLE (open bigint, late bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT count(*), count(*) FILTER (WHERE r.due_by <= clock_timestamp())
    FROM public.privacy_requests r WHERE r.completed_at IS NULL
$$;
REVOKE ALL ON FUNCTION count_privacy_requests() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_privacy_requests() TO stagedoor_app, stagedoor_admin, stagedoor_keeper;
