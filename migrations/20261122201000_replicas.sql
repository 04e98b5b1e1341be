-- What the gateway's replicas say of themselves, and what the keeper's rotation and `doctor` ask of all tenants at once.

CREATE TABLE replicas (
    replica_id uuid PRIMARY KEY,
    -- The machine or pod.
    host text NOT NULL CHECK (length(host) BETWEEN 1 AND 255),
    version text NOT NULL,
    -- The key-encryption keys that it unwraps with, but for those on their way out; and the one that it wraps with.
    key_encryption_keys uuid[] NOT NULL,
    wraps_with uuid,
    pepper_versions integer[] NOT NULL,
    -- For how long it uses a tenant's or person's key that it opened.
    opened_key_s bigint NOT NULL CHECK (opened_key_s >= 0),
    -- Equal where the settings are equal that replicas must have in common.
    configuration_digest bytea NOT NULL CHECK (octet_length(configuration_digest) = 32),
    -- What its own clock showed at seen_at; the rest is by the database's.
    own_time timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON replicas TO stagedoor_app;
GRANT SELECT ON replicas TO stagedoor_keeper, stagedoor_backup;

-- Since when each key-encryption key wraps, as replicas said: rotation goes by it. Says nothing of the key but its id.
CREATE TABLE key_encryption_keys (
    key_id uuid PRIMARY KEY,
    wraps_since timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON key_encryption_keys TO stagedoor_app;
GRANT SELECT ON key_encryption_keys TO stagedoor_keeper, stagedoor_backup;

-- How many tenants' keys each key-encryption key wraps. A row of its own for each tenant would be an answer as long as
-- the list of tenants.
CREATE FUNCTION key_encryption_keys_in_use()
RETURNS TABLE (wrapped_by uuid, tenant_keys bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
    counts jsonb := '{}';
    tenant uuid;
    found record;
BEGIN
    FOR tenant IN SELECT t.tenant_id FROM public.tenants t LOOP
        PERFORM set_config('stagedoor.tenant_id', tenant::text, true);
        FOR found IN
            SELECT k.wrapped_by::text AS id, count(*) AS keys FROM public.data_keys k
            WHERE k.tenant_id = tenant AND k.purpose = 1 AND k.state <> 'destroyed' GROUP BY 1
        LOOP
            counts := jsonb_set(counts, ARRAY[found.id],
                to_jsonb(COALESCE((counts ->> found.id)::bigint, 0) + found.keys));
        END LOOP;
    END LOOP;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
    RETURN QUERY SELECT e.key::uuid, e.value::bigint FROM jsonb_each_text(counts) e;
END
$$;
REVOKE ALL ON FUNCTION key_encryption_keys_in_use() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_encryption_keys_in_use() TO stagedoor_keeper;

-- When the oldest audit record was made that no checkpoint covers, of `most` unsealed chains at most, the oldest days
-- first; and how many unsealed chains there are.
CREATE FUNCTION audit_unsealed_tail(most integer)
RETURNS TABLE (chains bigint, oldest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
    chain record;
    unsealed bigint;
    earliest timestamptz;
    made timestamptz;
BEGIN
    -- Outside of any tenant the policy shows exactly the chains that are not sealed.
    PERFORM set_config('stagedoor.tenant_id', '', true);
    SELECT count(*) INTO unsealed FROM public.audit_chain_heads h WHERE h.sealed_seq < h.seq;
    FOR chain IN
        SELECT h.tenant_id, h.day, h.sealed_seq FROM public.audit_chain_heads h
        WHERE h.sealed_seq < h.seq ORDER BY h.day, h.tenant_id LIMIT most
    LOOP
        PERFORM set_config('stagedoor.tenant_id', chain.tenant_id::text, true);
        SELECT r.occurred_at INTO made FROM public.audit_records r
            WHERE r.tenant_id = chain.tenant_id AND r.day = chain.day AND r.seq = chain.sealed_seq + 1;
        earliest := LEAST(earliest, made);
    END LOOP;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
    RETURN QUERY SELECT unsealed, earliest;
END
$$;
REVOKE ALL ON FUNCTION audit_unsealed_tail(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_unsealed_tail(integer) TO stagedoor_keeper;

-- The migrations that were applied, which the owner's own list says. Looked up when asked: the list comes about with the
-- first migration, and is not there where these files are applied by hand.
CREATE FUNCTION applied_migrations()
RETURNS TABLE (version bigint, checksum bytea, success boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        RETURN QUERY EXECUTE 'SELECT m.version, m.checksum, m.success FROM public._sqlx_migrations m ORDER BY 1';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION applied_migrations() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION applied_migrations() TO stagedoor_keeper;
