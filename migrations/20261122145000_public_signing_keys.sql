-- The public keys of the tenant of that slug, oldest first; none for a slug that nobody has. One statement either way, so
-- that the answer takes as long. The policy holds inside the function too: it steps into the tenant and back.
CREATE FUNCTION public_signing_keys(wanted_slug text)
RETURNS TABLE (key_id uuid, public_key bytea)
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
        SELECT k.key_id, k.public_key FROM public.signing_keys k
        WHERE k.tenant_id = wanted ORDER BY k.created_at, k.key_id;
    PERFORM set_config('stagedoor.tenant_id', callers_tenant, true);
END
$$;
REVOKE ALL ON FUNCTION public_signing_keys(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public_signing_keys(text) TO stagedoor_app;
