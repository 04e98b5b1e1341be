-- Roles belong to the whole cluster, so this is run at each migration and changes nothing the second time.
-- Two databases of one cluster may be migrated at the same moment: losing that race is fine.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['stagedoor_owner', 'stagedoor_app', 'stagedoor_admin', 'stagedoor_keeper', 'stagedoor_backup']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;

    IF NOT (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'stagedoor_backup') THEN
        ALTER ROLE stagedoor_backup BYPASSRLS;
    END IF;

    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND NOT pg_has_role(current_user, 'stagedoor_owner', 'MEMBER') THEN
        EXECUTE format('GRANT stagedoor_owner TO %I', current_user);
    END IF;

    -- Limits of the role, not of a start-up parameter, so that they hold through PgBouncer as well.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stagedoor_app' AND rolconfig IS NOT NULL) THEN
        ALTER ROLE stagedoor_app SET statement_timeout = '2s';
        ALTER ROLE stagedoor_app SET lock_timeout = '1s';
        ALTER ROLE stagedoor_app SET idle_in_transaction_session_timeout = '10s';
    END IF;
    -- More patience, because figures of all tenants are added up for operators.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stagedoor_admin' AND rolconfig IS NOT NULL) THEN
        ALTER ROLE stagedoor_admin SET statement_timeout = '10s';
        ALTER ROLE stagedoor_admin SET lock_timeout = '2s';
        ALTER ROLE stagedoor_admin SET idle_in_transaction_session_timeout = '30s';
    END IF;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO stagedoor_owner;
GRANT USAGE ON SCHEMA public TO stagedoor_app, stagedoor_admin, stagedoor_keeper, stagedoor_backup;
