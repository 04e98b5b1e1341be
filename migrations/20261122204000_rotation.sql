-- Rotation of keys (SECURITY §1): how far each tenant's is, what the keeper may do for it, and what a key hands on to the
-- one that takes its place.

ALTER TABLE data_keys
    -- The keys of blind indexes that it has of the key before it, sealed under itself; NULL for none. What the previous
    -- release makes of such a key differs only in these codes.
    ADD COLUMN indexes bytea,
    -- When it began to seal, if that was later than when it was made.
    ADD COLUMN activated_at timestamptz,
    -- When it ceased to seal. By the database's clock, as the others are: replicas hold it for a while longer.
    ADD COLUMN retired_at timestamptz,
    -- Since when nothing refers to it, as far as was looked.
    ADD COLUMN unreferenced_at timestamptz;
-- Of two rotations at once, one makes the next key and both use it.
CREATE UNIQUE INDEX data_keys_one_pending
    ON data_keys (tenant_id, purpose, COALESCE(user_id, '00000000-0000-0000-0000-000000000000'))
    WHERE state = 'pending';
ALTER TABLE signing_keys ADD COLUMN retired_at timestamptz;

-- The last rotation of each layer of a tenant's keys.
CREATE TABLE key_rotations (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    layer text NOT NULL CHECK (layer IN ('kek', 'tenant', 'subject', 'signing', 'pepper')),
    -- resealing: keys are switched, and what refers to old ones is brought to new ones. settling: nothing refers to old
    -- ones, or what does is waited for. done: no old key is left, and everything that is sealed was opened.
    state text NOT NULL CHECK (state IN ('resealing', 'settling', 'done')),
    compromised boolean NOT NULL,
    -- Of the layer kek: the key-encryption key that the tenant's key was under at the beginning.
    replaces uuid,
    -- Keys that were made before this are replaced.
    made_before timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    -- What was done how often, by name.
    counts jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, layer),
    CHECK ((state = 'done') = (ended_at IS NOT NULL))
);
ALTER TABLE key_rotations ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_rotations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON key_rotations
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE ON key_rotations TO stagedoor_keeper;
GRANT SELECT ON key_rotations TO stagedoor_backup;

-- The keeper changes seals and nothing else: every column that holds one, and what tells the state of a key.
GRANT UPDATE (state, revision, wrapped_key, wrapped_by, indexes, updated_at, activated_at, retired_at, unreferenced_at)
    ON data_keys TO stagedoor_keeper;
GRANT UPDATE (state, private_key, revision, retired_at) ON signing_keys TO stagedoor_keeper;
GRANT SELECT, UPDATE (client_secret) ON provider_apps TO stagedoor_keeper;
GRANT SELECT, UPDATE (sealed) ON audit_payloads TO stagedoor_keeper;
GRANT SELECT, DELETE, UPDATE (access_token, refresh_token) ON session_quarantine TO stagedoor_keeper;
GRANT SELECT, UPDATE (verifier) ON link_attempts TO stagedoor_keeper;
GRANT SELECT, UPDATE (document) ON preferences TO stagedoor_keeper;
GRANT SELECT, UPDATE (proof) ON consents TO stagedoor_keeper;
GRANT SELECT, UPDATE (head) ON playlist_versions TO stagedoor_keeper;
GRANT SELECT, UPDATE (entries) ON playlist_chunks TO stagedoor_keeper;
GRANT SELECT, UPDATE (note, answer) ON idempotency_keys TO stagedoor_keeper;
GRANT SELECT, UPDATE (message, document) ON jobs TO stagedoor_keeper;
GRANT SELECT, UPDATE (content) ON job_parts TO stagedoor_keeper;
-- Sessions get a new id and a new seal each day; those whose tokens are known to someone end, and their accounts say so.
GRANT SELECT, DELETE, UPDATE (session_id, access_token, refresh_token, revision, rotation_due, updated_at, last_accessed,
    refused_revision) ON provider_sessions TO stagedoor_keeper;
GRANT SELECT, UPDATE (status, updated_at) ON linked_accounts TO stagedoor_keeper;
GRANT SELECT (tenant_id, key_id, pepper_version, revoked_at, expires_at), UPDATE (revoked_at) ON api_keys
    TO stagedoor_keeper;

-- Stores the digest of a key under a newer pepper, which only someone who presented the key can have made, if the old
-- one is still there. The gateway's role may not change keys, hence the definer's rights. Steps into the tenant and back,
-- as api_key_for_sign_in does.
CREATE FUNCTION api_key_repepper(
    wanted_tenant uuid, wanted_key_id text, old_version smallint, old_digest bytea, new_version smallint, new_digest bytea
)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
    stored boolean;
BEGIN
    PERFORM set_config('stagedoor.tenant_id', wanted_tenant::text, true);
    UPDATE public.api_keys k SET pepper_version = new_version, digest = new_digest
        WHERE k.tenant_id = wanted_tenant AND k.key_id = wanted_key_id AND k.revoked_at IS NULL
            AND k.pepper_version = old_version AND k.digest = old_digest AND new_version > old_version;
    stored := FOUND;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
    RETURN stored;
END
$$;
REVOKE ALL ON FUNCTION api_key_repepper(uuid, text, smallint, bytea, smallint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_repepper(uuid, text, smallint, bytea, smallint, bytea) TO stagedoor_app;
