-- Issuers of tokens that a tenant accepts besides its own keys (SECURITY §2), and the look-ups of signing in with one.

CREATE TABLE issuers (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id),
    issuer_id uuid NOT NULL,
    -- As its tokens name it in `iss`, byte by byte.
    issuer text NOT NULL CHECK (octet_length(issuer) BETWEEN 1 AND 512),
    -- NULL: found by discovery (RFC 8414).
    jwks_uri text CHECK (octet_length(jwks_uri) BETWEEN 1 AND 512),
    algorithms text[] NOT NULL CHECK (
        cardinality(algorithms) > 0
        AND algorithms <@ ARRAY['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA']),
    subject_claim text NOT NULL DEFAULT 'sub' CHECK (octet_length(subject_claim) BETWEEN 1 AND 64),
    -- What stands before a subject in users.external_subject.
    subject_prefix text NOT NULL DEFAULT '' CHECK (subject_prefix ~ '^([A-Za-z0-9._-]{1,32}:)?$'),
    -- What values of a token's scope give: {"music": ["catalog:read", …]}. Empty: scopes have our own names.
    scope_map jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(scope_map) = 'object'),
    -- NULL means every toolset, those of later releases too.
    toolsets text[],
    read_only boolean NOT NULL DEFAULT false,
    provisioning text NOT NULL DEFAULT 'existing' CHECK (provisioning IN ('existing', 'create')),
    enabled boolean NOT NULL DEFAULT true,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- A deleted one stays, so that a backup from before does not bring it back.
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, issuer_id)
);
CREATE UNIQUE INDEX issuers_by_address ON issuers (tenant_id, issuer) WHERE deleted_at IS NULL;
ALTER TABLE issuers ENABLE ROW LEVEL SECURITY;
ALTER TABLE issuers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON issuers
    USING (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid);
GRANT SELECT ON issuers TO stagedoor_app, stagedoor_keeper, stagedoor_backup;
GRANT SELECT, INSERT, UPDATE ON issuers TO stagedoor_admin;
CREATE TRIGGER refuse_while_deleting BEFORE INSERT ON issuers
    FOR EACH ROW EXECUTE FUNCTION refuse_while_deleting();

-- Whoever changes an issuer changes its tenant, which is what replicas watch. A restore, which works as the owner, puts the
-- tenant's own row back as it was, and tells of itself at its end.
CREATE FUNCTION note_issuer_change()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF current_user = 'stagedoor_owner' THEN
        RETURN NULL;
    END IF;
    UPDATE public.tenants t SET updated_at = clock_timestamp() WHERE t.tenant_id = NEW.tenant_id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION note_issuer_change() FROM PUBLIC;
CREATE TRIGGER note_issuer_change AFTER INSERT OR UPDATE ON issuers
    FOR EACH ROW EXECUTE FUNCTION note_issuer_change();

-- A tenant that was deleted is called nothing any more; where its people signed in would say who it was.
CREATE FUNCTION forget_issuers()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    DELETE FROM public.issuers i WHERE i.tenant_id = NEW.tenant_id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION forget_issuers() FROM PUBLIC;
CREATE TRIGGER forget_issuers AFTER UPDATE OF status ON tenants
    FOR EACH ROW WHEN (NEW.status = 'deleted') EXECUTE FUNCTION forget_issuers();

-- The tenant of that slug with each issuer that is accepted, in one row each, and in one row without an issuer if there
-- is none; no row for a slug that nobody has. One statement whatever the answer, so that it takes as long. The policy
-- holds inside the function too: it steps into the tenant and back.
CREATE FUNCTION issuers_for_sign_in(wanted_slug text)
RETURNS TABLE (
    tenant_id uuid, slug text, status text, settings jsonb, revision bigint, name text,
    issuer_id uuid, issuer text, jwks_uri text, algorithms text[], subject_claim text, subject_prefix text,
    scope_map jsonb, toolsets text[], read_only boolean, provisioning text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted uuid;
    callers_tenant text := COALESCE(current_setting('stagedoor.tenant_id', true), '');
BEGIN
    SELECT t.tenant_id INTO wanted FROM public.tenants t WHERE t.slug = wanted_slug;
    PERFORM set_config('stagedoor.tenant_id', COALESCE(wanted::text, ''), true);
    RETURN QUERY
        SELECT t.tenant_id, t.slug, t.status, t.settings, t.revision, t.name,
            i.issuer_id, i.issuer, i.jwks_uri, i.algorithms, i.subject_claim, i.subject_prefix,
            i.scope_map, i.toolsets, i.read_only, i.provisioning
        FROM public.tenants t
        LEFT JOIN public.issuers i ON i.tenant_id = t.tenant_id AND i.enabled AND i.deleted_at IS NULL
        WHERE t.tenant_id = wanted
        ORDER BY i.created_at, i.issuer_id;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION issuers_for_sign_in(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION issuers_for_sign_in(text) TO stagedoor_app;

-- Whether a subject of one issuer belongs to another of the transaction's tenant: to the one with the longest prefix
-- that fits.
CREATE FUNCTION issuer_may_name(wanted uuid, external text)
RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM public.issuers own
        WHERE own.tenant_id = public.privacy_tenant() AND own.issuer_id = wanted AND own.enabled
            AND own.deleted_at IS NULL AND starts_with(external, own.subject_prefix)
            AND NOT EXISTS (
                SELECT FROM public.issuers other
                WHERE other.tenant_id = own.tenant_id AND other.deleted_at IS NULL
                    AND starts_with(external, other.subject_prefix)
                    AND length(other.subject_prefix) > length(own.subject_prefix)))
$$;
REVOKE ALL ON FUNCTION issuer_may_name(uuid, text) FROM PUBLIC;

-- The person of the transaction's tenant whom an issuer's token names. NULL if it names nobody, someone who is being
-- erased, or someone whom another issuer speaks for.
CREATE FUNCTION issuer_person(wanted uuid, external text)
RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT u.user_id FROM public.users u
    WHERE u.tenant_id = public.privacy_tenant() AND u.external_subject = external AND u.erasing_at IS NULL
        AND public.issuer_may_name(wanted, external)
$$;
REVOKE ALL ON FUNCTION issuer_person(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION issuer_person(uuid, text) TO stagedoor_app;

-- Adds that person if the issuer may add people, and answers who it is then: NULL if it may not, or if someone of that
-- name is being erased.
CREATE FUNCTION issuer_add_person(wanted uuid, external text, new_user uuid)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := public.privacy_tenant();
BEGIN
    PERFORM i.issuer_id FROM public.issuers i
        WHERE i.tenant_id = tenant AND i.issuer_id = wanted AND i.provisioning = 'create';
    IF NOT FOUND OR NOT public.issuer_may_name(wanted, external) THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.users (tenant_id, user_id, external_subject) VALUES (tenant, new_user, external)
        ON CONFLICT (tenant_id, external_subject) DO NOTHING;
    RETURN public.issuer_person(wanted, external);
END
$$;
REVOKE ALL ON FUNCTION issuer_add_person(uuid, text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION issuer_add_person(uuid, text, uuid) TO stagedoor_app;

-- The tables whose rows come back from a backup, parents first, with this one among them.
CREATE OR REPLACE FUNCTION restore_places()
RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT ARRAY['tenants', 'users', 'data_keys', 'signing_keys', 'provider_apps', 'issuers', 'api_keys',
        'linked_accounts', 'provider_sessions', 'session_quarantine', 'session_devices', 'session_imports',
        'preferences', 'consents', 'playlist_chunks', 'playlist_versions', 'privacy_requests', 'erasure_tombstones',
        'audit_chain_heads', 'audit_records', 'audit_payloads', 'audit_checkpoint_heads', 'audit_checkpoints']
$$;
