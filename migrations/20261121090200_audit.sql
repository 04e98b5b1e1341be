-- The audit trail (SECURITY §7): a hash chain for each tenant and day, in audit_records, which holds nothing about a
-- person; what happened is sealed apart, in audit_payloads, so that erasing a person leaves the chain valid. Both are
-- partitioned by day (UTC). The gateway's role appends through one function and can change nothing.

CREATE TABLE audit_records (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    -- 1, 2, 3, … within tenant and day.
    seq bigint NOT NULL CHECK (seq > 0),
    -- 1 opened, 2 closed, 3 whole call, 4 refusal.
    type smallint NOT NULL,
    occurred_at timestamptz NOT NULL CHECK ((occurred_at AT TIME ZONE 'UTC')::date = day),
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    -- SHA-256(salt ‖ payload); the bundle holds both, at this position.
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    call_id uuid NOT NULL,
    bundle_id uuid NOT NULL,
    bundle_position integer NOT NULL CHECK (bundle_position >= 0),
    PRIMARY KEY (tenant_id, day, seq)
) PARTITION BY RANGE (day);
ALTER TABLE audit_records ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_records FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_records
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON audit_records TO stagedoor_app, stagedoor_admin, stagedoor_backup;

-- The payloads of one flush for one person (or for none), sealed together: the envelope's cost is paid once.
CREATE TABLE audit_payloads (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    bundle_id uuid NOT NULL,
    user_id uuid,
    records integer NOT NULL CHECK (records > 0),
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant_id, day, bundle_id)
) PARTITION BY RANGE (day);
CREATE INDEX audit_payloads_by_user ON audit_payloads (tenant_id, user_id, day);
ALTER TABLE audit_payloads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_payloads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_payloads
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON audit_payloads TO stagedoor_app, stagedoor_admin, stagedoor_backup;

-- The last link of each chain; its row lock puts the appends of all replicas in one line.
CREATE TABLE audit_chain_heads (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, day)
) WITH (fillfactor = 50);
ALTER TABLE audit_chain_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_chain_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_chain_heads
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON audit_chain_heads TO stagedoor_app, stagedoor_admin, stagedoor_backup;

-- Signed statements "the chain had this hash at this length"; kept outside the database as well.
CREATE TABLE audit_checkpoints (
    tenant_id uuid NOT NULL,
    day date NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    signed_at timestamptz NOT NULL,
    signing_key_id uuid NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (tenant_id, day, seq)
);
ALTER TABLE audit_checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_checkpoints FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_checkpoints
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON audit_checkpoints TO stagedoor_app, stagedoor_admin, stagedoor_backup;

-- Makes the partitions of `days` days from `first_day` on. Attached rather than created in place: attaching lets
-- appends go on. A partition has its own policy and no grants. Only days from a week ago to 31 days ahead: the
-- gateway's role may call this, and must not be able to fill the catalogue, or to take a later day's name by the same
-- day before Christ.
CREATE FUNCTION ensure_audit_partitions(first_day date, days integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    parent text;
    name text;
    day date;
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF (days BETWEEN 1 AND 31) IS NOT TRUE THEN
        RAISE EXCEPTION 'days must be 1 to 31' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (first_day BETWEEN today - 7 AND today + 32 - days) IS NOT TRUE THEN
        RAISE EXCEPTION 'partitions are made for days from a week ago to 31 days ahead'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR offset_days IN 0 .. days - 1 LOOP
        day := first_day + offset_days;
        FOREACH parent IN ARRAY ARRAY['audit_records', 'audit_payloads'] LOOP
            name := parent || to_char(day, '"_p"YYYYMMDD');
            CONTINUE WHEN EXISTS (SELECT FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relname = name);
            -- Looked up twice, before and after waiting for one's turn; by a query, because to_regclass answers from
            -- a cache that waiting for an advisory lock does not refresh.
            PERFORM pg_advisory_xact_lock(hashtextextended('stagedoor.ensure_audit_partitions', 0));
            CONTINUE WHEN EXISTS (SELECT FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relname = name);
            EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', name, parent);
            EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
            EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
            EXECUTE format(
                'CREATE POLICY tenant_isolation ON public.%I '
                'USING (tenant_id = NULLIF(current_setting(''stagedoor.tenant_id'', true), '''')::uuid) '
                'WITH CHECK (tenant_id = NULLIF(current_setting(''stagedoor.tenant_id'', true), '''')::uuid)',
                name);
            EXECUTE format(
                'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                parent, name, day, day + 1);
        END LOOP;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION ensure_audit_partitions(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_audit_partitions(date, integer)
    TO stagedoor_app, stagedoor_admin, stagedoor_keeper;

-- Appends records to the chain of the current tenant and `chain_day`, in the order given, with their sealed bundles.
-- A record's hash is SHA-256(previous 32 | seq 8 | microseconds since 1970 8 | type 2 | commitment 32), numbers big
-- endian; the first record's predecessor is SHA-256('stagedoor/audit-chain/1' | tenant 16 | day as YYYY-MM-DD).
-- Returns the last sequence number. Bundles that are already there were written by an earlier try whose answer got
-- lost; then nothing is written again.
CREATE FUNCTION audit_append(
    chain_day date,
    bundle_ids uuid[], bundle_users uuid[], bundle_records integer[], bundle_sealed bytea[],
    record_types smallint[], record_times timestamptz[], record_commitments bytea[], record_calls uuid[],
    record_bundles uuid[], record_positions integer[]
)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
-- Whoever holds a chain's head for long stops that chain only: the writer sets its records aside and goes on.
SET lock_timeout = '500ms'
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid;
    head_seq bigint;
    head_hash bytea;
    first_seq bigint;
    previous_hashes bytea[] := '{}';
    hashes bytea[] := '{}';
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT seq, hash INTO head_seq, head_hash FROM public.audit_chain_heads
        WHERE tenant_id = tenant AND day = chain_day FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO public.audit_chain_heads (tenant_id, day, seq, hash)
            VALUES (tenant, chain_day, 0, sha256(
                'stagedoor/audit-chain/1'::bytea || uuid_send(tenant) || to_char(chain_day, 'YYYY-MM-DD')::bytea))
            ON CONFLICT DO NOTHING;
        SELECT seq, hash INTO STRICT head_seq, head_hash FROM public.audit_chain_heads
            WHERE tenant_id = tenant AND day = chain_day FOR UPDATE;
    END IF;
    IF EXISTS (SELECT FROM public.audit_payloads
        WHERE tenant_id = tenant AND day = chain_day AND bundle_id = bundle_ids[1]) THEN
        RETURN head_seq;
    END IF;

    first_seq := head_seq;
    FOR i IN 1 .. cardinality(record_types) LOOP
        previous_hashes := array_append(previous_hashes, head_hash);
        head_seq := head_seq + 1;
        head_hash := sha256(
            head_hash || int8send(head_seq)
            || int8send((extract(epoch FROM record_times[i]) * 1000000)::bigint)
            || int2send(record_types[i]) || record_commitments[i]);
        hashes := array_append(hashes, head_hash);
    END LOOP;

    INSERT INTO public.audit_payloads (tenant_id, day, bundle_id, user_id, records, sealed)
        SELECT tenant, chain_day, b.* FROM unnest(bundle_ids, bundle_users, bundle_records, bundle_sealed) AS b;
    INSERT INTO public.audit_records (tenant_id, day, seq, type, occurred_at, previous_hash, hash, commitment,
            call_id, bundle_id, bundle_position)
        SELECT tenant, chain_day, first_seq + r.ordinality, r.type, r.occurred_at, r.previous_hash, r.hash,
            r.commitment, r.call_id, r.bundle_id, r.bundle_position
        FROM unnest(record_types, record_times, previous_hashes, hashes, record_commitments, record_calls,
                record_bundles, record_positions)
            WITH ORDINALITY AS r (type, occurred_at, previous_hash, hash, commitment, call_id, bundle_id,
                bundle_position, ordinality);
    UPDATE public.audit_chain_heads SET seq = head_seq, hash = head_hash
        WHERE tenant_id = tenant AND day = chain_day;
    RETURN head_seq;
END
$$;
REVOKE ALL ON FUNCTION audit_append(date, uuid[], uuid[], integer[], bytea[], smallint[], timestamptz[], bytea[],
    uuid[], uuid[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_append(date, uuid[], uuid[], integer[], bytea[], smallint[], timestamptz[], bytea[],
    uuid[], uuid[], integer[]) TO stagedoor_app, stagedoor_admin;
