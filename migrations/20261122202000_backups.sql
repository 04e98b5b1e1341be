-- The catalogue of backups: what was backed up, when, and what became of it. What counts is what is stored where backups
-- are; this says it without asking there, and what else was begun.

CREATE TABLE backups (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    backup_id uuid NOT NULL,
    class text NOT NULL CHECK (class IN ('sessions', 'preferences', 'audit')),
    -- By the keeper's clock, as its folder is named.
    taken_at timestamptz NOT NULL,
    -- writing: no manifest yet. written: finished. verified: every chunk was read back. damaged: it was, or was looked
    -- for, in vain. abandoned: never finished, and cleared away. expired: removed when its time was over.
    state text NOT NULL DEFAULT 'writing'
        CHECK (state IN ('writing', 'written', 'verified', 'damaged', 'abandoned', 'expired')),
    -- The key-encryption key that wraps its key, and those that wrap the tenant's keys in it.
    wrapped_by uuid NOT NULL,
    key_encryption_keys uuid[] NOT NULL DEFAULT '{}',
    -- Of the audit trail: the days that it holds.
    first_day date,
    last_day date,
    row_count bigint NOT NULL DEFAULT 0,
    chunk_count integer NOT NULL DEFAULT 0,
    -- As stored.
    byte_count bigint NOT NULL DEFAULT 0,
    verified_at timestamptz,
    -- When it was removed, or cleared away.
    ended_at timestamptz,
    -- What is wrong with a damaged one.
    detail text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, backup_id),
    CHECK ((state IN ('abandoned', 'expired')) = (ended_at IS NOT NULL)),
    CHECK ((first_day IS NULL) = (last_day IS NULL))
);
CREATE INDEX backups_by_class ON backups (tenant_id, class, taken_at);
ALTER TABLE backups ENABLE ROW LEVEL SECURITY;
ALTER TABLE backups FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON backups
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- Which keys the backups of all tenants need, and how old the newest are, for the functions below.
CREATE POLICY look_up_kept ON backups FOR SELECT TO stagedoor_owner USING (ended_at IS NULL);
GRANT SELECT, INSERT, UPDATE ON backups TO stagedoor_keeper;
GRANT SELECT ON backups TO stagedoor_backup;

-- The key-encryption keys without which a backup that is still kept could not be opened.
CREATE FUNCTION backup_keys_in_use()
RETURNS TABLE (key_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT b.wrapped_by FROM public.backups b WHERE b.ended_at IS NULL
    UNION
    SELECT unnest(b.key_encryption_keys) FROM public.backups b WHERE b.ended_at IS NULL
$$;
REVOKE ALL ON FUNCTION backup_keys_in_use() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION backup_keys_in_use() TO stagedoor_keeper;

-- For each class: of how many tenants there is a verified backup, of how many there is none, and when the newest one of
-- the tenant was taken whose newest is the oldest. Tenants that are being deleted are not backed up.
CREATE FUNCTION backup_ages()
RETURNS TABLE (class text, tenants bigint, missing bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT c.class, count(newest.taken_at), count(*) - count(newest.taken_at), min(newest.taken_at)
    FROM unnest(ARRAY['sessions', 'preferences', 'audit']) AS c (class)
    CROSS JOIN public.tenants t
    LEFT JOIN LATERAL (
        SELECT max(b.taken_at) AS taken_at FROM public.backups b
        WHERE b.tenant_id = t.tenant_id AND b.class = c.class AND b.state = 'verified'
    ) newest ON true
    WHERE t.status IN ('active', 'suspended')
    GROUP BY c.class
$$;
REVOKE ALL ON FUNCTION backup_ages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION backup_ages() TO stagedoor_keeper;
