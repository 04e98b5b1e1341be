-- Tenants, their people and their API keys, and the two look-ups that come before a tenant is known.

CREATE TABLE storage_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO storage_version (version) VALUES ('2.0');
GRANT SELECT ON storage_version TO stagedoor_app, stagedoor_admin, stagedoor_keeper, stagedoor_backup;

CREATE TABLE tenants (
    tenant_id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    name text NOT NULL,
    plan text NOT NULL DEFAULT 'standard',
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    cell text NOT NULL DEFAULT 'default',
    settings jsonb NOT NULL DEFAULT '{}',
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- Provisioning makes and lists tenants; the look-ups below turn a slug into an id.
CREATE POLICY every_tenant_for_admin ON tenants TO stagedoor_admin USING (true) WITH CHECK (true);
CREATE POLICY look_up_by_slug ON tenants FOR SELECT TO stagedoor_owner USING (true);
GRANT SELECT ON tenants TO stagedoor_app, stagedoor_backup;
GRANT SELECT, INSERT, UPDATE ON tenants TO stagedoor_admin;

CREATE TABLE users (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    user_id uuid NOT NULL,
    -- The tenant's own name for the person: the subject of its tokens.
    external_subject text,
    label text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id),
    UNIQUE (tenant_id, external_subject)
);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON users
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON users TO stagedoor_app, stagedoor_backup;
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO stagedoor_admin;

CREATE TABLE api_keys (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    key_id text NOT NULL CHECK (key_id ~ '^[0-9A-Za-z]{12}$'),
    name text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('live', 'test')),
    pepper_version smallint NOT NULL CHECK (pepper_version > 0),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    scopes text[] NOT NULL,
    -- NULL means every toolset, those of later releases too.
    toolsets text[],
    read_only boolean NOT NULL DEFAULT false,
    user_id uuid,
    -- Empty means any network.
    allowed_networks inet[] NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE
);
CREATE INDEX api_keys_by_user ON api_keys (tenant_id, user_id);
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON api_keys
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON api_keys TO stagedoor_backup;
GRANT SELECT, INSERT, UPDATE ON api_keys TO stagedoor_admin;

-- One tenant by its slug. The gateway's role can read no tenant but the one it is in, hence the definer's rights.
CREATE FUNCTION tenant_by_slug(wanted_slug text)
RETURNS TABLE (tenant_id uuid, slug text, status text, settings jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.tenant_id, t.slug, t.status, t.settings FROM public.tenants t WHERE t.slug = wanted_slug
$$;
REVOKE ALL ON FUNCTION tenant_by_slug(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_by_slug(text) TO stagedoor_app, stagedoor_admin, stagedoor_keeper;

-- One key that was not revoked, by slug and key id, with its tenant. The policy holds inside the function too, so it
-- steps into the tenant and puts the caller's tenant back; an error rolls the setting back with all else.
CREATE FUNCTION api_key_for_sign_in(wanted_slug text, wanted_key_id text)
RETURNS TABLE (
    tenant_id uuid, slug text, status text, settings jsonb,
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
        SELECT tenant.tenant_id, tenant.slug, tenant.status, tenant.settings,
            k.key_id, k.pepper_version, k.digest, k.scopes, k.toolsets, k.read_only,
            k.user_id, k.allowed_networks, k.expires_at
        FROM public.api_keys k
        WHERE k.tenant_id = tenant.tenant_id AND k.key_id = wanted_key_id AND k.revoked_at IS NULL;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION api_key_for_sign_in(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_for_sign_in(text, text) TO stagedoor_app;
