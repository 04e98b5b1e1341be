-- What people agreed to and took back: one row for each decision, none of which is ever changed.

CREATE TABLE consents (
    tenant_id uuid NOT NULL,
    consent_id uuid NOT NULL,
    user_id uuid NOT NULL,
    purpose text NOT NULL CHECK (purpose ~ '^[a-z_]{1,32}$'),
    -- Of that person on that purpose: the decision with the highest number holds.
    number bigint NOT NULL CHECK (number > 0),
    decision text NOT NULL CHECK (decision IN ('granted', 'withdrawn')),
    -- The version of the tenant's policy that the person was shown.
    policy_version text NOT NULL CHECK (policy_version ~ '^[A-Za-z0-9._-]{1,32}$'),
    decided_at timestamptz NOT NULL,
    -- Sealed under the person's key: the statement that was signed, and its signature.
    proof bytea NOT NULL,
    PRIMARY KEY (tenant_id, consent_id),
    -- Of two decisions at once, one comes first.
    UNIQUE (tenant_id, user_id, purpose, number),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id) ON DELETE CASCADE
);
ALTER TABLE consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE consents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON consents
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- No UPDATE for anyone, and no DELETE: decisions go with the person, or by the functions of an erasure.
GRANT SELECT, INSERT ON consents TO stagedoor_app;
GRANT SELECT ON consents TO stagedoor_admin, stagedoor_backup;
