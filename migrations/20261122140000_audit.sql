-- The audit trail: how big a tenant's day has become, and signed checkpoints in a line of their own.

-- What the day's records take, as audit_append_sized counts it; and the last record that a checkpoint covers.
ALTER TABLE audit_chain_heads
    ADD COLUMN bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN sealed_seq bigint NOT NULL DEFAULT 0;
CREATE INDEX audit_chain_heads_by_day ON audit_chain_heads (day, tenant_id);
-- Which chains of all tenants have records that no checkpoint covers, for the function below.
CREATE POLICY look_up_unsealed ON audit_chain_heads FOR SELECT TO stagedoor_owner USING (sealed_seq < seq);

-- The place in the tenant's line of checkpoints (1, 2, 3, … across days) and the digest of the one before. Nothing
-- wrote checkpoints before this release.
ALTER TABLE audit_checkpoints
    ADD COLUMN number bigint CHECK (number > 0),
    ADD COLUMN previous_digest bytea CHECK (octet_length(previous_digest) = 32);
CREATE UNIQUE INDEX audit_checkpoints_by_number ON audit_checkpoints (tenant_id, number);

-- The last checkpoint of each tenant, and up to which number the archive outside of the database has them.
CREATE TABLE audit_checkpoint_heads (
    tenant_id uuid NOT NULL,
    number bigint NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    archived bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id),
    CHECK (archived BETWEEN 0 AND number)
) WITH (fillfactor = 50);
ALTER TABLE audit_checkpoint_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_checkpoint_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_checkpoint_heads
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
-- Which tenants have checkpoints that the archive lacks, for the function below.
CREATE POLICY look_up_unarchived ON audit_checkpoint_heads FOR SELECT TO stagedoor_owner USING (archived < number);
GRANT SELECT ON audit_checkpoint_heads TO stagedoor_app, stagedoor_admin, stagedoor_backup;

-- As audit_append was: appends records to the chain of the current tenant and `chain_day`, in the order given, with
-- their sealed bundles. A record's hash is SHA-256(previous 32 | seq 8 | microseconds since 1970 8 | type 2 |
-- commitment 32), numbers big endian; the first record's predecessor is SHA-256('stagedoor/audit-chain/1' | tenant 16 |
-- day as YYYY-MM-DD). Returns the chain's length and what its records take in bytes: the envelopes, and for each record
-- and each bundle about what the row and its indexes take. Bundles that are already there were written by an earlier
-- try whose answer got lost; then nothing is written again. The bundle of a person who was erased meanwhile becomes what
-- an erasure makes of the others: a row without person and contents. A missing row is therefore never an erasure.
CREATE FUNCTION audit_append_sized(
    chain_day date,
    bundle_ids uuid[], bundle_users uuid[], bundle_records integer[], bundle_sealed bytea[],
    record_types smallint[], record_times timestamptz[], record_commitments bytea[], record_calls uuid[],
    record_bundles uuid[], record_positions integer[],
    OUT chain_length bigint, OUT chain_bytes bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
-- Whoever holds a chain's head for long stops that chain only: the writer sets its records aside and goes on.
SET lock_timeout = '500ms'
AS $$
DECLARE
    record_size CONSTANT integer := 272;
    bundle_size CONSTANT integer := 224;
    tenant uuid := NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid;
    head_hash bytea;
    first_seq bigint;
    living uuid[];
    previous_hashes bytea[] := '{}';
    hashes bytea[] := '{}';
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT seq, hash, bytes INTO chain_length, head_hash, chain_bytes FROM public.audit_chain_heads
        WHERE tenant_id = tenant AND day = chain_day FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO public.audit_chain_heads (tenant_id, day, seq, hash)
            VALUES (tenant, chain_day, 0, sha256(
                'stagedoor/audit-chain/1'::bytea || uuid_send(tenant) || to_char(chain_day, 'YYYY-MM-DD')::bytea))
            ON CONFLICT DO NOTHING;
        SELECT seq, hash, bytes INTO STRICT chain_length, head_hash, chain_bytes FROM public.audit_chain_heads
            WHERE tenant_id = tenant AND day = chain_day FOR UPDATE;
    END IF;
    IF EXISTS (SELECT FROM public.audit_payloads
        WHERE tenant_id = tenant AND day = chain_day AND bundle_id = bundle_ids[1]) THEN
        RETURN;
    END IF;

    -- As a foreign key would: whoever erases a person waits for this append, or is waited for.
    SELECT COALESCE(array_agg(there.user_id), '{}') INTO living FROM (
        SELECT u.user_id FROM public.users u WHERE u.tenant_id = tenant AND u.user_id = ANY (bundle_users)
        FOR KEY SHARE
    ) there;

    first_seq := chain_length;
    FOR i IN 1 .. cardinality(record_types) LOOP
        previous_hashes := array_append(previous_hashes, head_hash);
        chain_length := chain_length + 1;
        head_hash := sha256(
            head_hash || int8send(chain_length)
            || int8send((extract(epoch FROM record_times[i]) * 1000000)::bigint)
            || int2send(record_types[i]) || record_commitments[i]);
        hashes := array_append(hashes, head_hash);
    END LOOP;

    INSERT INTO public.audit_payloads (tenant_id, day, bundle_id, user_id, records, sealed)
        SELECT tenant, chain_day, b.id, CASE WHEN b.alive THEN b.user_id END, b.records,
            CASE WHEN b.alive THEN b.sealed ELSE '' END
        FROM (SELECT n.*, n.user_id IS NULL OR n.user_id = ANY (living) AS alive
            FROM unnest(bundle_ids, bundle_users, bundle_records, bundle_sealed) AS n (id, user_id, records, sealed)) b;
    INSERT INTO public.audit_records (tenant_id, day, seq, type, occurred_at, previous_hash, hash, commitment,
            call_id, bundle_id, bundle_position)
        SELECT tenant, chain_day, first_seq + r.ordinality, r.type, r.occurred_at, r.previous_hash, r.hash,
            r.commitment, r.call_id, r.bundle_id, r.bundle_position
        FROM unnest(record_types, record_times, previous_hashes, hashes, record_commitments, record_calls,
                record_bundles, record_positions)
            WITH ORDINALITY AS r (type, occurred_at, previous_hash, hash, commitment, call_id, bundle_id,
                bundle_position, ordinality);
    chain_bytes := chain_bytes + cardinality(record_types) * record_size + cardinality(bundle_ids) * bundle_size
        + (SELECT COALESCE(sum(octet_length(sealed)), 0) FROM unnest(bundle_sealed) AS sealed);
    UPDATE public.audit_chain_heads SET seq = chain_length, hash = head_hash, bytes = chain_bytes
        WHERE tenant_id = tenant AND day = chain_day;
END
$$;
REVOKE ALL ON FUNCTION audit_append_sized(date, uuid[], uuid[], integer[], bytea[], smallint[], timestamptz[], bytea[],
    uuid[], uuid[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_append_sized(date, uuid[], uuid[], integer[], bytea[], smallint[], timestamptz[],
    bytea[], uuid[], uuid[], integer[]) TO stagedoor_app, stagedoor_admin;

-- What replicas of the release before call: the same chain, so that what they write counts too.
CREATE OR REPLACE FUNCTION audit_append(
    chain_day date,
    bundle_ids uuid[], bundle_users uuid[], bundle_records integer[], bundle_sealed bytea[],
    record_types smallint[], record_times timestamptz[], record_commitments bytea[], record_calls uuid[],
    record_bundles uuid[], record_positions integer[]
)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT a.chain_length FROM public.audit_append_sized(chain_day, bundle_ids, bundle_users, bundle_records,
        bundle_sealed, record_types, record_times, record_commitments, record_calls, record_bundles,
        record_positions) AS a
$$;

-- Adds a checkpoint to the current tenant's line: it must be the next one, follow the last one, state the hash that its
-- record has, and name a key of the tenant. Returns whether it was added; not, if another replica was faster. What is
-- digested is what the crate `audit` signs, and the signature.
CREATE FUNCTION audit_checkpoint_append(
    chain_day date, chain_seq bigint, chain_hash bytea, checkpoint_number bigint, previous bytea,
    signed timestamptz, signed_with uuid, signed_signature bytea
)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid;
    last_number bigint;
    last_digest bytea;
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (octet_length(signed_signature) = 64) IS NOT TRUE THEN
        RAISE EXCEPTION 'a signature has 64 bytes' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT number, digest INTO last_number, last_digest FROM public.audit_checkpoint_heads
        WHERE tenant_id = tenant FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO public.audit_checkpoint_heads (tenant_id, number, digest)
            VALUES (tenant, 0, sha256('stagedoor/audit-checkpoints/1'::bytea || uuid_send(tenant)))
            ON CONFLICT DO NOTHING;
        SELECT number, digest INTO STRICT last_number, last_digest FROM public.audit_checkpoint_heads
            WHERE tenant_id = tenant FOR UPDATE;
    END IF;
    IF checkpoint_number IS DISTINCT FROM last_number + 1 OR previous IS DISTINCT FROM last_digest THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (SELECT FROM public.signing_keys WHERE tenant_id = tenant AND key_id = signed_with) THEN
        RAISE EXCEPTION 'no such signing key' USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM public.audit_records
        WHERE tenant_id = tenant AND day = chain_day AND seq = chain_seq AND hash = chain_hash) THEN
        RAISE EXCEPTION 'the chain has no such hash at that length' USING ERRCODE = 'check_violation',
            CONSTRAINT = 'audit_checkpoints_state_the_chain';
    END IF;
    UPDATE public.audit_chain_heads SET sealed_seq = chain_seq
        WHERE tenant_id = tenant AND day = chain_day AND sealed_seq < chain_seq;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO public.audit_checkpoints
            (tenant_id, day, seq, hash, signed_at, signing_key_id, signature, number, previous_digest)
        VALUES (tenant, chain_day, chain_seq, chain_hash, signed, signed_with, signed_signature, checkpoint_number,
            previous);
    UPDATE public.audit_checkpoint_heads SET number = checkpoint_number, digest = sha256(
            'stagedoor/audit-checkpoint/1'::bytea || uuid_send(tenant) || to_char(chain_day, 'YYYY-MM-DD')::bytea
            || int8send(chain_seq) || chain_hash || int8send(checkpoint_number) || previous
            || int8send((extract(epoch FROM signed) * 1000000)::bigint) || uuid_send(signed_with) || signed_signature)
        WHERE tenant_id = tenant;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION audit_checkpoint_append(date, bigint, bytea, bigint, bytea, timestamptz, uuid, bytea)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_checkpoint_append(date, bigint, bytea, bigint, bytea, timestamptz, uuid, bytea)
    TO stagedoor_app, stagedoor_admin;

-- Notes that the archive has the current tenant's checkpoints up to that number. It never has fewer than before.
CREATE FUNCTION audit_checkpoints_archived(up_to bigint)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE public.audit_checkpoint_heads SET archived = up_to
        WHERE tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid
            AND archived < up_to AND up_to <= number
$$;
REVOKE ALL ON FUNCTION audit_checkpoints_archived(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_checkpoints_archived(bigint) TO stagedoor_app, stagedoor_admin;

-- The chains of all tenants that have records which no checkpoint covers, from a day on, in the order of day and tenant
-- and after the one that is named.
CREATE FUNCTION audit_unsealed_chains(first_day date, after_tenant uuid, most integer)
RETURNS TABLE (tenant_id uuid, day date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT h.tenant_id, h.day FROM public.audit_chain_heads h
    WHERE h.sealed_seq < h.seq AND (h.day, h.tenant_id) > (first_day, after_tenant)
    ORDER BY h.day, h.tenant_id LIMIT most
$$;
REVOKE ALL ON FUNCTION audit_unsealed_chains(date, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_unsealed_chains(date, uuid, integer) TO stagedoor_app;

-- The tenants whose checkpoints the archive does not have all of, and how many it lacks, in the order of their ids.
CREATE FUNCTION audit_unarchived_checkpoints(after_tenant uuid, most integer)
RETURNS TABLE (tenant_id uuid, lacking bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT h.tenant_id, h.number - h.archived FROM public.audit_checkpoint_heads h
    WHERE h.archived < h.number AND h.tenant_id > after_tenant
    ORDER BY h.tenant_id LIMIT most
$$;
REVOKE ALL ON FUNCTION audit_unarchived_checkpoints(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_unarchived_checkpoints(uuid, integer) TO stagedoor_app;
