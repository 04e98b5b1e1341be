-- Agent keys in full (DESIGN §3): their revision and who made them, how replicas learn within a second that one was
-- changed, at most two active ones of a name, when each was last used, and the end of one that was found in public.

ALTER TABLE api_keys
    -- Raised by each change of what the key may do, or of whether it works; not by its use.
    ADD COLUMN revision bigint NOT NULL DEFAULT 1,
    -- The transaction of the last such change, by which replicas find it. Another database's after a restore: harmless.
    ADD COLUMN changed_in xid8,
    -- Who made it, as the audit trail names them; NULL for keys from before this was kept.
    ADD COLUMN created_by text,
    -- Why it was revoked: a word of ours (leaked, rotated, pepper) or what the operator said.
    ADD COLUMN revoked_reason text,
    -- The key that a rotation made in its place.
    ADD COLUMN replaced_by text CHECK (replaced_by ~ '^[0-9A-Za-z]{12}$');
-- Keys are few beside what they do: a hundred thousand are indexed in less than a second, in which no key can be made,
-- changed or noted as used; calls go on. Whoever has many more builds the last three before, by these names and with
-- CONCURRENTLY.
CREATE INDEX api_keys_by_change ON api_keys (changed_in) WHERE changed_in IS NOT NULL;
CREATE INDEX IF NOT EXISTS api_keys_by_id ON api_keys (key_id);
CREATE INDEX IF NOT EXISTS api_keys_by_name ON api_keys (tenant_id, name) WHERE revoked_at IS NULL;
CREATE INDEX IF NOT EXISTS api_keys_by_creation ON api_keys (tenant_id, created_at, key_id);

GRANT SELECT (revision, created_by, revoked_reason, replaced_by) ON api_keys TO stagedoor_app;
GRANT UPDATE (revoked_reason) ON api_keys TO stagedoor_keeper;

-- Which keys of all tenants were changed since they were made, for the function that tells replicas.
CREATE POLICY look_up_changed ON api_keys FOR SELECT TO stagedoor_owner USING (changed_in IS NOT NULL);
-- The one key that a report names, for the function below: whoever reports a key does not know its tenant.
CREATE POLICY look_up_reported ON api_keys FOR SELECT TO stagedoor_owner
    USING (key_id = NULLIF(current_setting('stagedoor.reported_key', true), ''));

-- Whoever changes a key, with whatever tool: its revision rises, and replicas are told when that is committed.
CREATE FUNCTION note_api_key_change()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    NEW.changed_in := pg_current_xact_id();
    PERFORM pg_notify('stagedoor_changes', '');
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION note_api_key_change() FROM PUBLIC;
CREATE TRIGGER note_api_key_change BEFORE UPDATE ON api_keys
    FOR EACH ROW WHEN (
        ROW (OLD.name, OLD.scopes, OLD.toolsets, OLD.read_only, OLD.user_id, OLD.allowed_networks, OLD.expires_at,
            OLD.revoked_at, OLD.revoked_reason, OLD.replaced_by)
        IS DISTINCT FROM
        ROW (NEW.name, NEW.scopes, NEW.toolsets, NEW.read_only, NEW.user_id, NEW.allowed_networks, NEW.expires_at,
            NEW.revoked_at, NEW.revoked_reason, NEW.replaced_by))
    EXECUTE FUNCTION note_api_key_change();

-- The same for tenants, whose revision note_tenant_change raises.
ALTER TABLE tenants ADD COLUMN changed_in xid8;
CREATE INDEX tenants_by_transaction ON tenants (changed_in) WHERE changed_in IS NOT NULL;
CREATE FUNCTION note_tenant_transaction()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION note_tenant_transaction() FROM PUBLIC;
CREATE TRIGGER note_tenant_transaction BEFORE UPDATE ON tenants
    FOR EACH ROW EXECUTE FUNCTION note_tenant_transaction();
CREATE FUNCTION tell_of_tenant_change()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('stagedoor_changes', '');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION tell_of_tenant_change() FROM PUBLIC;
CREATE TRIGGER tell_of_tenant_change AFTER UPDATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_tenant_change();

-- At most two active keys of a name, so that a rotation overlaps and nothing is forgotten. A key that ended makes room by
-- the time alone, so no unique index can say it. Named to fire after the triggers that lock the person. Rows of a backup
-- come back by restore_rows, as the owner: a third one is left out there, as any row is whose place is taken.
CREATE FUNCTION two_active_keys()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    present timestamptz := clock_timestamp();
    restoring boolean := current_user = 'stagedoor_owner';
    others bigint;
BEGIN
    IF NEW.revoked_at IS NOT NULL OR NEW.expires_at <= present THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.name = NEW.name AND OLD.revoked_at IS NULL
        AND (OLD.expires_at IS NULL OR OLD.expires_at > present) THEN
        RETURN NEW;
    END IF;
    IF NOT restoring THEN
        -- One at a time for each tenant: of two that count at once, neither would see the other's key.
        PERFORM t.tenant_id FROM public.tenants t WHERE t.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
    END IF;
    SELECT count(*) INTO others FROM public.api_keys k
        WHERE k.tenant_id = NEW.tenant_id AND k.name = NEW.name AND k.key_id <> NEW.key_id AND k.revoked_at IS NULL
            AND (k.expires_at IS NULL OR k.expires_at > present);
    IF others < 2 THEN
        RETURN NEW;
    ELSIF restoring THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'two keys of that name are active' USING ERRCODE = 'unique_violation',
        CONSTRAINT = 'two_active_keys';
END
$$;
REVOKE ALL ON FUNCTION two_active_keys() FROM PUBLIC;
CREATE TRIGGER two_active_keys BEFORE INSERT OR UPDATE OF name, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION two_active_keys();

-- The keys that were changed by transactions whose end the snapshot `since` did not see, and the snapshot that the next
-- question begins with: nothing is missed, however slow its author was to commit it, nothing is told twice, however long
-- another transaction takes, and nothing depends on clocks. NULL asks where to begin. Rows from the future are another
-- database's. `era` changes with each start of the server: after a fail-over, transactions may have other numbers.
CREATE FUNCTION api_key_changes(since text)
RETURNS TABLE (next text, era timestamptz, tenants uuid[], keys text[], revisions bigint[], revoked boolean[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT pg_current_snapshot()::text, pg_postmaster_start_time(),
        COALESCE(array_agg(k.tenant_id), '{}'), COALESCE(array_agg(k.key_id), '{}'),
        COALESCE(array_agg(k.revision), '{}'), COALESCE(array_agg(k.revoked_at IS NOT NULL), '{}')
    FROM (
        SELECT c.* FROM public.api_keys c WHERE c.changed_in = ANY (ARRAY(SELECT pg_snapshot_xip(since::pg_snapshot)))
        UNION ALL
        SELECT c.* FROM public.api_keys c WHERE c.changed_in >= pg_snapshot_xmax(since::pg_snapshot)
            AND c.changed_in < pg_snapshot_xmax(pg_current_snapshot())
    ) k
$$;
REVOKE ALL ON FUNCTION api_key_changes(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_changes(text) TO stagedoor_app;

-- The same of tenants. NULL asks for those that were changed at `earliest` or later, by the clock: where to begin, and
-- after a break. One row without a tenant if there is none.
CREATE FUNCTION tenant_changes(since text, earliest timestamptz)
RETURNS TABLE (
    next text, era timestamptz, tenant_id uuid, slug text, status text, settings jsonb, revision bigint,
    changed_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT pg_current_snapshot()::text, pg_postmaster_start_time(),
        c.tenant_id, c.slug, c.status, c.settings, c.revision, c.updated_at
    FROM (SELECT 1) one LEFT JOIN (
        SELECT t.* FROM public.tenants t WHERE t.changed_in = ANY (ARRAY(SELECT pg_snapshot_xip(since::pg_snapshot)))
        UNION ALL
        SELECT t.* FROM public.tenants t WHERE t.changed_in >= pg_snapshot_xmax(since::pg_snapshot)
            AND t.changed_in < pg_snapshot_xmax(pg_current_snapshot())
        UNION ALL
        SELECT t.* FROM public.tenants t WHERE since IS NULL AND t.updated_at >= earliest
    ) c ON true
$$;
REVOKE ALL ON FUNCTION tenant_changes(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_changes(text, timestamptz) TO stagedoor_app;

-- The look-up of a key says at which revision it saw the key, and how long ago its last use was noted.
DROP FUNCTION api_key_for_sign_in(text, text);
CREATE FUNCTION api_key_for_sign_in(wanted_slug text, wanted_key_id text)
RETURNS TABLE (
    tenant_id uuid, slug text, status text, settings jsonb, revision bigint,
    key_id text, pepper_version smallint, digest bytea, scopes text[], toolsets text[], read_only boolean,
    user_id uuid, allowed_networks inet[], expires_at timestamptz, key_revision bigint, unused_seconds double precision
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
        SELECT tenant.tenant_id, tenant.slug, tenant.status, tenant.settings, tenant.revision,
            k.key_id, k.pepper_version, k.digest, k.scopes, k.toolsets, k.read_only,
            k.user_id, k.allowed_networks, k.expires_at, k.revision,
            extract(epoch FROM clock_timestamp() - k.last_used_at)::double precision
        FROM public.api_keys k
        WHERE k.tenant_id = tenant.tenant_id AND k.key_id = wanted_key_id AND k.revoked_at IS NULL;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION api_key_for_sign_in(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_for_sign_in(text, text) TO stagedoor_app;

-- Notes when keys were used, each so many seconds ago, but no key twice within `gap` seconds: of all replicas that have
-- the same to tell, one writes. In one order, so that two of them do not wait for each other. Answers how many it wrote.
CREATE FUNCTION note_api_key_use(tenants uuid[], keys text[], ago double precision[], gap double precision)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
    used record;
    written bigint := 0;
BEGIN
    FOR used IN SELECT u.tenant, u.key, clock_timestamp() - make_interval(secs => GREATEST(u.ago, 0)) AS at
        FROM unnest(tenants, keys, ago) AS u (tenant, key, ago) ORDER BY u.tenant, u.key
    LOOP
        PERFORM set_config('stagedoor.tenant_id', used.tenant::text, true);
        UPDATE public.api_keys k SET last_used_at = used.at
            WHERE k.tenant_id = used.tenant AND k.key_id = used.key
                AND (k.last_used_at IS NULL OR k.last_used_at <= used.at - make_interval(secs => gap));
        IF FOUND THEN
            written := written + 1;
        END IF;
    END LOOP;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
    RETURN written;
END
$$;
REVOKE ALL ON FUNCTION note_api_key_use(uuid[], text[], double precision[], double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_api_key_use(uuid[], text[], double precision[], double precision) TO stagedoor_app;

-- One key by its id alone, revoked ones too, with its tenant: for a report that it was found in public.
CREATE FUNCTION reported_api_key(wanted_key_id text)
RETURNS TABLE (
    tenant_id uuid, slug text, status text, settings jsonb, key_id text, pepper_version smallint, digest bytea,
    revoked boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('stagedoor.reported_key', wanted_key_id, true);
    RETURN QUERY
        SELECT t.tenant_id, t.slug, t.status, t.settings, k.key_id, k.pepper_version, k.digest, k.revoked_at IS NOT NULL
        FROM public.api_keys k JOIN public.tenants t ON t.tenant_id = k.tenant_id
        WHERE k.key_id = wanted_key_id;
    PERFORM set_config('stagedoor.reported_key', '', true);
END
$$;
REVOKE ALL ON FUNCTION reported_api_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reported_api_key(text) TO stagedoor_app;

-- Revokes a key that was found in public, for whoever knows its digest, which only the key itself and the pepper make.
-- Steps into the tenant and back, as api_key_for_sign_in does. `false` if there is nothing to revoke.
CREATE FUNCTION revoke_leaked_api_key(
    wanted_tenant uuid, wanted_key_id text, known_version smallint, known_digest bytea
)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
    revoked boolean;
BEGIN
    PERFORM set_config('stagedoor.tenant_id', wanted_tenant::text, true);
    UPDATE public.api_keys k SET revoked_at = clock_timestamp(), revoked_reason = 'leaked'
        WHERE k.tenant_id = wanted_tenant AND k.key_id = wanted_key_id AND k.revoked_at IS NULL
            AND k.pepper_version = known_version AND k.digest = known_digest;
    revoked := FOUND;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
    RETURN revoked;
END
$$;
REVOKE ALL ON FUNCTION revoke_leaked_api_key(uuid, text, smallint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revoke_leaked_api_key(uuid, text, smallint, bytea) TO stagedoor_app;

-- The same two for keys of the admin API. What becomes of one that is bound to no tenant is on the platform's own trail.
CREATE FUNCTION reported_admin_key(wanted_key_id text)
RETURNS TABLE (
    tenant_id uuid, slug text, status text, settings jsonb, key_id text, pepper_version smallint, digest bytea,
    revoked boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.tenant_id, t.slug, t.status, t.settings, k.key_id, k.pepper_version, k.digest, k.revoked_at IS NOT NULL
    FROM public.admin_keys k
    JOIN public.tenants t ON t.tenant_id = k.bound_to OR (k.bound_to IS NULL AND t.slug = 'platform')
    WHERE k.key_id = wanted_key_id
$$;
REVOKE ALL ON FUNCTION reported_admin_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reported_admin_key(text) TO stagedoor_app;

CREATE FUNCTION revoke_leaked_admin_key(wanted_key_id text, known_version smallint, known_digest bytea)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE public.admin_keys k SET revoked_at = clock_timestamp(), revoked_reason = 'leaked'
        WHERE k.key_id = wanted_key_id AND k.revoked_at IS NULL AND k.pepper_version = known_version
            AND k.digest = known_digest;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION revoke_leaked_admin_key(text, smallint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revoke_leaked_admin_key(text, smallint, bytea) TO stagedoor_app;
