-- What a tenant brings (provider apps), what its people link (accounts, sessions), and the keys that seal them.
-- A column that holds an envelope (SECURITY §1) is bound to its row's revision, which each write of it raises.

CREATE TABLE data_keys (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    key_id uuid NOT NULL,
    -- 1: the tenant's own, wrapped by a key-encryption key. 2: a person's, wrapped by the tenant's.
    purpose smallint NOT NULL CHECK (purpose IN (1, 2)),
    user_id uuid,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('pending', 'active', 'decrypt_only', 'destroyed')),
    revision bigint NOT NULL DEFAULT 1,
    wrapped_key bytea,
    -- The key that wraps it, as its envelope names it; answers which keys still refer to an old one.
    wrapped_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    CHECK ((purpose = 2) = (user_id IS NOT NULL)),
    CHECK ((state = 'destroyed') = (wrapped_key IS NULL))
);
-- At most one key at a time seals for an owner; two replicas that make the first one meet here.
CREATE UNIQUE INDEX data_keys_one_active
    ON data_keys (tenant_id, purpose, COALESCE(user_id, '00000000-0000-0000-0000-000000000000'))
    WHERE state = 'active';
CREATE INDEX data_keys_by_wrapping ON data_keys (tenant_id, wrapped_by);
CREATE INDEX data_keys_by_user ON data_keys (tenant_id, user_id);
ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON data_keys
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON data_keys TO stagedoor_app, stagedoor_admin;
GRANT SELECT ON data_keys TO stagedoor_backup;

CREATE TABLE provider_apps (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    app_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('spotify', 'tidal')),
    client_id text NOT NULL,
    -- Sealed under the tenant's key; NULL for a public client.
    client_secret bytea,
    api_base_url text NOT NULL,
    auth_base_url text NOT NULL,
    -- The provider's tier of the app, which decides what may be called.
    mode text NOT NULL CHECK (mode IN ('development', 'extended')),
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, app_id),
    UNIQUE (tenant_id, provider)
);
ALTER TABLE provider_apps ENABLE ROW LEVEL SECURITY;
ALTER TABLE provider_apps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON provider_apps
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON provider_apps TO stagedoor_app, stagedoor_backup;
GRANT SELECT, INSERT, UPDATE, DELETE ON provider_apps TO stagedoor_admin;

CREATE TABLE linked_accounts (
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('spotify', 'tidal')),
    provider_user_id text NOT NULL,
    label text NOT NULL DEFAULT '',
    -- ISO 3166-1 alpha-2, upper case: the market that answers are for.
    country_code text CHECK (country_code ~ '^[A-Z]{2}$'),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'relink_needed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, account_id),
    UNIQUE (tenant_id, user_id, provider, provider_user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE
);
ALTER TABLE linked_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE linked_accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON linked_accounts
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, UPDATE (status, updated_at) ON linked_accounts TO stagedoor_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON linked_accounts TO stagedoor_admin;
GRANT SELECT ON linked_accounts TO stagedoor_backup;

-- One grant of an account (SEED-T §1.2). Tokens are sealed under the person's key.
CREATE TABLE provider_sessions (
    tenant_id uuid NOT NULL,
    session_id uuid NOT NULL,
    account_id uuid NOT NULL,
    schema_version text NOT NULL DEFAULT '2.0',
    access_token bytea NOT NULL,
    refresh_token bytea,
    scopes text[] NOT NULL DEFAULT '{}',
    token_expires_at timestamptz NOT NULL,
    -- When the person last consented; some grants end a fixed time after it, refreshed or not.
    authorized_at timestamptz NOT NULL,
    rotation_due timestamptz,
    device_fingerprint text,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_accessed timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, session_id),
    UNIQUE (tenant_id, account_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE
);
ALTER TABLE provider_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE provider_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON provider_sessions
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, UPDATE ON provider_sessions TO stagedoor_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON provider_sessions TO stagedoor_admin;
GRANT SELECT ON provider_sessions TO stagedoor_backup;
