-- The keys with which a tenant signs what leaves for good: checkpoints of its audit trail, exports, receipts.

CREATE TABLE signing_keys (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    key_id uuid NOT NULL,
    -- active signs; retired only verifies; destroyed has no private half any more and verifies all the same.
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retired', 'destroyed')),
    -- Ed25519 (RFC 8032).
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    -- The seed, sealed under the tenant's key.
    private_key bytea,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key_id),
    CHECK ((state = 'destroyed') = (private_key IS NULL))
);
-- At most one signs at a time; two replicas that make the first one meet here.
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (tenant_id) WHERE state = 'active';
ALTER TABLE signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE signing_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON signing_keys
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON signing_keys TO stagedoor_app, stagedoor_admin;
GRANT SELECT ON signing_keys TO stagedoor_backup;
