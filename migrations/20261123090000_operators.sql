-- The keys of the admin API, and what it was asked to make lately.

-- Keys of operators, tenant admins and auditors. No tenant's table: some are bound to a tenant, and one is found before
-- anything is known of its caller. The gateway's own role cannot see it.
CREATE TABLE admin_keys (
    key_id text PRIMARY KEY CHECK (key_id ~ '^[0-9A-Za-z]{12}$'),
    name text NOT NULL CHECK (name <> ''),
    role text NOT NULL CHECK (role IN ('platform_operator', 'tenant_admin', 'auditor')),
    -- The only tenant that it is for.
    bound_to uuid REFERENCES tenants (tenant_id),
    pepper_version smallint NOT NULL CHECK (pepper_version > 0),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    -- Empty means any network.
    allowed_networks inet[] NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_reason text NOT NULL DEFAULT '',
    last_used_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (role <> 'platform_operator' OR bound_to IS NULL),
    CHECK (role <> 'tenant_admin' OR bound_to IS NOT NULL)
);
CREATE INDEX admin_keys_by_tenant ON admin_keys (bound_to, key_id);
GRANT SELECT, INSERT, UPDATE ON admin_keys TO stagedoor_admin;
-- How many are under which pepper, and the end of those under one that is known to someone, as of agents' keys.
GRANT SELECT (key_id, role, bound_to, pepper_version, revoked_at, expires_at), UPDATE (revoked_at, revoked_reason)
    ON admin_keys TO stagedoor_keeper;
GRANT SELECT ON admin_keys TO stagedoor_backup;

-- What was made for a caller's request_id within a day, so that the same request makes nothing twice. Digests only.
CREATE TABLE admin_creates (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    -- Of the caller, the RPC and the request_id.
    request_digest bytea NOT NULL CHECK (octet_length(request_digest) = 32),
    -- Of all that was asked for.
    body_digest bytea NOT NULL CHECK (octet_length(body_digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, request_digest)
);
CREATE INDEX admin_creates_by_age ON admin_creates (tenant_id, created_at);
ALTER TABLE admin_creates ENABLE ROW LEVEL SECURITY;
ALTER TABLE admin_creates FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON admin_creates
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, DELETE ON admin_creates TO stagedoor_admin;
GRANT SELECT, DELETE ON admin_creates TO stagedoor_keeper;
GRANT SELECT ON admin_creates TO stagedoor_backup;

-- What the admin API shows beside what it makes.
GRANT SELECT ON replicas, keeper_runs, backups, key_rotations, key_encryption_keys TO stagedoor_admin;
