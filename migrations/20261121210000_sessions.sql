-- People link accounts themselves; sessions rotate, are set aside when damaged, and know the devices that use them.
-- Columns that are added here have defaults, because the previous release still inserts and updates while this runs.

-- Where a person is sent to consent; NULL for the provider's own address.
ALTER TABLE provider_apps ADD COLUMN authorize_url text;

-- rotation_due is NULL on rows of the previous release, and then counts from their last write or from this migration,
-- whichever was later: while both releases run, no session is rotated under the other's refresh.
UPDATE storage_version SET updated_at = now();
ALTER TABLE provider_sessions
    ADD COLUMN backup_count integer NOT NULL DEFAULT 0,
    ADD COLUMN imported boolean NOT NULL DEFAULT false,
    -- Raised by each claim, so that a holder whose claim ran out does not release another's.
    ADD COLUMN refresh_claim bigint NOT NULL DEFAULT 0,
    -- By the database's clock: replicas whose clocks differ must agree on who refreshes.
    ADD COLUMN refresh_claimed_until timestamptz,
    -- The revision that the provider refused when the account was marked relink_needed. A later one is usable all the
    -- same: the previous release stores refreshed tokens without taking the mark away.
    ADD COLUMN refused_revision bigint,
    ADD COLUMN quarantined_at timestamptz,
    ADD COLUMN quarantine_reason text,
    ADD CONSTRAINT provider_sessions_quarantine
        CHECK ((quarantined_at IS NULL) = (quarantine_reason IS NULL)) NOT VALID;

-- One try to link an account: offered to a person, taken to the provider and back, ended. Each secret of it (the
-- page's token, OAuth's state, the browser's cookie) is here as its SHA-256, the PKCE verifier sealed.
CREATE TABLE link_attempts (
    tenant_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- Who asked, as the audit trail names it, and the software it said it is.
    principal text NOT NULL,
    agent text NOT NULL DEFAULT '',
    provider text NOT NULL CHECK (provider IN ('spotify', 'tidal')),
    -- The account to link again; once the attempt is linked, the account it made or renewed.
    account_id uuid,
    scopes text[] NOT NULL,
    stage text NOT NULL DEFAULT 'offered'
        CHECK (stage IN ('offered', 'authorizing', 'exchanging', 'linked', 'declined', 'failed')),
    -- The error code that it ended with, perhaps with a reason.
    failure text,
    page_hash bytea NOT NULL CHECK (octet_length(page_hash) = 32),
    -- Kept after use, so that a replay can be told from an invention.
    state_hash bytea CHECK (octet_length(state_hash) = 32),
    browser_hash bytea CHECK (octet_length(browser_hash) = 32),
    verifier bytea,
    -- How often its requestState was renewed: each state names one number and works once.
    retries bigint NOT NULL DEFAULT 0,
    device bytea CHECK (octet_length(device) = 32),
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- When the provider's answer was taken: who took it may not live to finish.
    taken_at timestamptz,
    -- Of a linked attempt: what was asked for, or granted before, and is not granted now.
    missing_scopes text[] NOT NULL DEFAULT '{}',
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, attempt_id),
    UNIQUE (tenant_id, page_hash),
    UNIQUE (tenant_id, state_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    CHECK ((stage IN ('declined', 'failed')) = (failure IS NOT NULL)),
    CHECK ((stage IN ('linked', 'declined', 'failed')) = (finished_at IS NOT NULL)),
    CHECK (stage <> 'linked' OR account_id IS NOT NULL),
    CHECK (stage <> 'exchanging' OR taken_at IS NOT NULL),
    CHECK (stage NOT IN ('authorizing', 'exchanging')
        OR (state_hash IS NOT NULL AND browser_hash IS NOT NULL AND verifier IS NOT NULL))
);
CREATE INDEX link_attempts_by_user ON link_attempts (tenant_id, user_id, created_at);
CREATE INDEX link_attempts_by_account ON link_attempts (tenant_id, account_id);
ALTER TABLE link_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE link_attempts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON link_attempts
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON link_attempts TO stagedoor_app, stagedoor_admin;
GRANT SELECT ON link_attempts TO stagedoor_backup;

-- Copies of sessions that did not open, as they were, with what their seals are bound to. They stay when the account
-- is linked again, so that a restore can still try them; they go with the account.
CREATE TABLE session_quarantine (
    tenant_id uuid NOT NULL,
    quarantine_id uuid NOT NULL,
    account_id uuid NOT NULL,
    reason text NOT NULL,
    quarantined_at timestamptz NOT NULL,
    session_id uuid NOT NULL,
    schema_version text NOT NULL,
    access_token bytea NOT NULL,
    refresh_token bytea,
    scopes text[] NOT NULL,
    token_expires_at timestamptz NOT NULL,
    authorized_at timestamptz NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (tenant_id, quarantine_id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE
);
CREATE INDEX session_quarantine_by_account ON session_quarantine (tenant_id, account_id);
ALTER TABLE session_quarantine ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_quarantine FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON session_quarantine
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- Never changed: no UPDATE for anyone. DELETE is unlinking.
GRANT SELECT, INSERT, DELETE ON session_quarantine TO stagedoor_app, stagedoor_admin;
GRANT SELECT ON session_quarantine TO stagedoor_backup;

-- The devices that use an account: keyed hashes of client software, network and key, nothing that tells them.
CREATE TABLE session_devices (
    tenant_id uuid NOT NULL,
    account_id uuid NOT NULL,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    principal text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, account_id, fingerprint),
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE
);
ALTER TABLE session_devices ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_devices FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON session_devices
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON session_devices TO stagedoor_app, stagedoor_admin;
GRANT SELECT ON session_devices TO stagedoor_backup;

-- What was imported from other programs' files, by a keyed hash of the tokens in them, so that a second run finds it.
-- While an import runs, its row says 'running', and nobody else exchanges these tokens until claimed_until, which is by
-- the database's clock.
CREATE TABLE session_imports (
    tenant_id uuid NOT NULL,
    source_digest bytea NOT NULL CHECK (octet_length(source_digest) = 32),
    user_id uuid NOT NULL,
    account_id uuid,
    outcome text NOT NULL CHECK (outcome IN ('linked', 'kept', 'relink_needed', 'unusable', 'running')),
    imported_at timestamptz NOT NULL,
    claim uuid,
    claimed_until timestamptz,
    PRIMARY KEY (tenant_id, source_digest),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, account_id) REFERENCES linked_accounts (tenant_id, account_id) ON DELETE CASCADE,
    CHECK ((outcome IN ('unusable', 'running')) = (account_id IS NULL)),
    CHECK ((outcome = 'running') = (claim IS NOT NULL)),
    CHECK ((outcome = 'running') = (claimed_until IS NOT NULL))
);
CREATE INDEX session_imports_by_user ON session_imports (tenant_id, user_id);
CREATE INDEX session_imports_by_account ON session_imports (tenant_id, account_id);
ALTER TABLE session_imports ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_imports FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON session_imports
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON session_imports TO stagedoor_app, stagedoor_admin;
GRANT SELECT ON session_imports TO stagedoor_backup;

-- Linking is done by the gateway now, and a link page names the key that asked and must know whether it still holds.
GRANT INSERT, UPDATE, DELETE ON linked_accounts TO stagedoor_app;
GRANT INSERT, DELETE ON provider_sessions TO stagedoor_app;
GRANT SELECT (tenant_id, key_id, name, user_id, expires_at, revoked_at) ON api_keys TO stagedoor_app;

-- One link attempt by slug and the hash of its page's token, or of its OAuth state, with its tenant: what a browser
-- brings is neither key nor session. Steps into the tenant and back, as api_key_for_sign_in does.
CREATE FUNCTION link_for_sign_in(wanted_slug text, wanted_page bytea, wanted_state bytea)
RETURNS TABLE (
    tenant_id uuid, slug text, name text, status text, settings jsonb, attempt_id uuid, user_id uuid
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
        SELECT tenant.tenant_id, tenant.slug, tenant.name, tenant.status, tenant.settings, l.attempt_id, l.user_id
        FROM public.link_attempts l
        WHERE l.tenant_id = tenant.tenant_id AND (l.page_hash = wanted_page OR l.state_hash = wanted_state)
        LIMIT 1;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION link_for_sign_in(text, bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION link_for_sign_in(text, bytea, bytea) TO stagedoor_app;
