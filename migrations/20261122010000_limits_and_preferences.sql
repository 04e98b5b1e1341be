-- What people prefer, which calls a limit refused, and how a replica learns that a tenant's settings changed.

-- One sealed document for each person (SEED-T §4.1). The seal is bound to the revision, which each write raises.
CREATE TABLE preferences (
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    schema_version text NOT NULL DEFAULT '1.0',
    -- Sealed under the person's key: a JSON object.
    document bytea NOT NULL,
    revision bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE
);
ALTER TABLE preferences ENABLE ROW LEVEL SECURITY;
ALTER TABLE preferences FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON preferences
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON preferences TO stagedoor_app, stagedoor_admin;
GRANT SELECT ON preferences TO stagedoor_backup;

-- Refused calls, counted for each principal, limit and minute (SEED-T §3.2). All replicas add to the same row.
CREATE TABLE limit_violations (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    -- Who called, as the audit trail names it.
    principal text NOT NULL,
    -- As the RateLimit headers name it: search-60, tenant-search-60, penalty.
    limit_name text NOT NULL,
    -- The start of the minute in which they were refused.
    minute timestamptz NOT NULL,
    user_id uuid,
    attempted_calls bigint NOT NULL CHECK (attempted_calls > 0),
    -- The longest penalty that one of these calls met or earned; 0 for none.
    penalty_seconds bigint NOT NULL DEFAULT 0 CHECK (penalty_seconds >= 0),
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, principal, limit_name, minute),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    CHECK (first_at <= last_at)
);
CREATE INDEX limit_violations_by_minute ON limit_violations (tenant_id, minute);
CREATE INDEX limit_violations_by_user ON limit_violations (tenant_id, user_id);
ALTER TABLE limit_violations ENABLE ROW LEVEL SECURITY;
ALTER TABLE limit_violations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON limit_violations
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE ON limit_violations TO stagedoor_app;
GRANT SELECT ON limit_violations TO stagedoor_admin, stagedoor_backup;

-- Whoever changes a tenant, with whatever tool: its revision rises and the time is the database's, taken at the
-- change and not at the start of the transaction.
CREATE FUNCTION note_tenant_change()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION note_tenant_change() FROM PUBLIC;
CREATE TRIGGER note_tenant_change BEFORE UPDATE ON tenants
    FOR EACH ROW EXECUTE FUNCTION note_tenant_change();
CREATE INDEX tenants_by_change ON tenants (updated_at);

-- The tenants that were changed at `earliest` or later, for replicas that remember some of them. The gateway's role
-- can read no tenant but the one it is in, hence the definer's rights.
CREATE FUNCTION tenants_changed_since(earliest timestamptz)
RETURNS TABLE (tenant_id uuid, slug text, status text, settings jsonb, revision bigint, changed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.tenant_id, t.slug, t.status, t.settings, t.revision, t.updated_at
    FROM public.tenants t WHERE t.updated_at >= earliest
$$;
REVOKE ALL ON FUNCTION tenants_changed_since(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_changed_since(timestamptz) TO stagedoor_app;

-- One tenant by its id, for work that knows no more of it than that.
CREATE FUNCTION tenant_by_id(wanted_id uuid)
RETURNS TABLE (tenant_id uuid, slug text, status text, settings jsonb, revision bigint, changed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.tenant_id, t.slug, t.status, t.settings, t.revision, t.updated_at
    FROM public.tenants t WHERE t.tenant_id = wanted_id
$$;
REVOKE ALL ON FUNCTION tenant_by_id(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_by_id(uuid) TO stagedoor_app, stagedoor_keeper;

-- The look-up of a key says at which revision it saw its tenant: whichever is newer, that or what was seen of a change,
-- is in force.
DROP FUNCTION api_key_for_sign_in(text, text);
CREATE FUNCTION api_key_for_sign_in(wanted_slug text, wanted_key_id text)
RETURNS TABLE (
    tenant_id uuid, slug text, status text, settings jsonb, revision bigint,
    key_id text, pepper_version smallint, digest bytea, scopes text[], toolsets text[], read_only boolean,
    user_id uuid, allowed_networks inet[], expires_at timestamptz
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
            k.user_id, k.allowed_networks, k.expires_at
        FROM public.api_keys k
        WHERE k.tenant_id = tenant.tenant_id AND k.key_id = wanted_key_id AND k.revoked_at IS NULL;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION api_key_for_sign_in(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_for_sign_in(text, text) TO stagedoor_app;
