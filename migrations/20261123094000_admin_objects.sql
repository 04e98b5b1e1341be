-- What the admin API needs of people and of tenants' clients: pages of people, a client's change seen by every replica as a
-- tenant's own change is, a person's subject likewise, and whether an admin who began a link may still have it made.

-- People are far fewer than what they do: a million are indexed in seconds, in which nobody can be added or changed.
-- Whoever has many more builds it before, by this name and with CONCURRENTLY.
CREATE INDEX IF NOT EXISTS users_by_creation ON users (tenant_id, created_at, user_id);

-- Whoever changes a client, with whatever tool: the tenant's revision rises, which replicas are told of. A new seal of the
-- same secret is no change. A restore puts the tenant's own row back beside its clients, as the owner. The same for a
-- subject that is taken from a person: replicas remember whose it is.
CREATE FUNCTION note_change_in_tenant()
RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    tenant uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END;
BEGIN
    IF current_user <> 'stagedoor_owner' THEN
        UPDATE public.tenants t SET settings = t.settings WHERE t.tenant_id = tenant;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION note_change_in_tenant() FROM PUBLIC;
CREATE TRIGGER note_provider_app AFTER INSERT OR DELETE ON provider_apps
    FOR EACH ROW EXECUTE FUNCTION note_change_in_tenant();
CREATE TRIGGER note_provider_app_change AFTER UPDATE ON provider_apps
    FOR EACH ROW WHEN (
        ROW (OLD.client_id, OLD.api_base_url, OLD.auth_base_url, OLD.authorize_url, OLD.mode, OLD.revision)
        IS DISTINCT FROM
        ROW (NEW.client_id, NEW.api_base_url, NEW.auth_base_url, NEW.authorize_url, NEW.mode, NEW.revision))
    EXECUTE FUNCTION note_change_in_tenant();

CREATE TRIGGER note_subject_change AFTER UPDATE OF external_subject ON users
    FOR EACH ROW WHEN (OLD.external_subject IS NOT NULL AND OLD.external_subject IS DISTINCT FROM NEW.external_subject)
    EXECUTE FUNCTION note_change_in_tenant();

-- The key of the admin who began a link, for the pages of that link: they end with it. Tells of no other key, and nothing
-- that one could be checked against.
CREATE FUNCTION admin_key_of_link(wanted_attempt uuid)
RETURNS TABLE (role text, expires_at timestamptz, revoked boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT k.role, k.expires_at, k.revoked_at IS NOT NULL
    FROM public.link_attempts a JOIN public.admin_keys k ON a.principal = 'admin:' || k.key_id
    WHERE a.tenant_id = NULLIF(current_setting('stagedoor.tenant_id', true), '')::uuid AND a.attempt_id = wanted_attempt
        AND (k.bound_to IS NULL OR k.bound_to = a.tenant_id)
$$;
REVOKE ALL ON FUNCTION admin_key_of_link(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION admin_key_of_link(uuid) TO stagedoor_app;

-- Open privacy requests of all tenants behind one of them, given by when it is due and its id; NULL begins with the first.
-- The one without a page stays for replicas of the release before.
CREATE FUNCTION open_privacy_requests(only_late boolean, most integer, after_due timestamptz, after_request uuid)
RETURNS TABLE (
    tenant_id uuid, slug text, request_id uuid, kind text, state text, requested_at timestamptz, due_by timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT r.tenant_id, t.slug, r.request_id, r.kind, r.state, r.requested_at, r.due_by
    FROM public.privacy_requests r JOIN public.tenants t USING (tenant_id)
    WHERE r.completed_at IS NULL AND (NOT only_late OR r.due_by <= clock_timestamp())
        AND (after_due IS NULL OR (r.due_by, r.request_id) > (after_due, after_request))
    ORDER BY r.due_by, r.request_id LIMIT most
$$;
REVOKE ALL ON FUNCTION open_privacy_requests(boolean, integer, timestamptz, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_privacy_requests(boolean, integer, timestamptz, uuid)
    TO stagedoor_app, stagedoor_admin, stagedoor_keeper;
