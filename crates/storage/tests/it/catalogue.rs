//! Walks the database's catalogue: rules that hold for every tenant table, those of later migrations too.

use stagedoor_domain::Clock as _;
use stagedoor_storage::{listening, usage};

use crate::support::Database;

const POLICY: &str =
    "(tenant_id = (NULLIF(current_setting('stagedoor.tenant_id'::text, true), ''::text))::uuid)";

/// Every ordinary and partitioned table of ours but these is a tenant table.
const TABLES: &str = "SELECT c.oid, c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace \
    AND c.relkind IN ('r', 'p') AND c.relname NOT IN \
    ('storage_version', 'keeper_runs', 'replicas', 'key_encryption_keys', 'admin_keys', '_sqlx_migrations')";

#[tokio::test]
async fn every_tenant_table_is_isolated_and_ready_to_be_distributed() {
    let database = Database::start().await;
    let today = database.clock.now().date_naive();
    database.vault.store().ensure_audit_partitions(today, 3).await.unwrap();
    database.vault.store().ensure_audit_partitions(today, 3).await.unwrap();
    usage::ensure_partitions(database.vault.store(), today, 3).await.unwrap();
    usage::ensure_partitions(database.vault.store(), today, 3).await.unwrap();
    listening::ensure_partitions(database.vault.store(), (2006, 2008)).await.unwrap();
    listening::ensure_partitions(database.vault.store(), (2008, 2009)).await.unwrap();
    let rows = async |sql: String| database.tamper(&sql).await;

    let tables = rows(format!("SELECT count(*) FROM ({TABLES}) t")).await;
    assert_eq!(tables, "61", "45 tables, 4 × 3 partitions of days and 4 of years");
    let partitions =
        rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_records'::regclass".into()).await;
    assert_eq!(partitions, "3");

    let unforced = rows(format!(
        "SELECT t.relname FROM ({TABLES}) t JOIN pg_class c USING (oid)
        WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)"
    ));
    assert_eq!(unforced.await, "", "row-level security is not enabled and forced on");

    let without_policy = rows(format!(
        "SELECT t.relname FROM ({TABLES}) t WHERE NOT EXISTS (SELECT FROM pg_policies p
            WHERE p.schemaname = 'public' AND p.tablename = t.relname AND p.policyname = 'tenant_isolation'
            AND p.permissive = 'PERMISSIVE' AND p.roles = '{{public}}' AND p.cmd = 'ALL'
            AND p.qual = $policy${POLICY}$policy$ AND p.with_check = $policy${POLICY}$policy$)"
    ));
    assert_eq!(without_policy.await, "", "no policy of the house's form on");

    let wider = rows(
        "SELECT tablename || ' ' || policyname || ' ' || roles::text FROM pg_policies
        WHERE schemaname = 'public' AND policyname <> 'tenant_isolation' ORDER BY 1"
            .into(),
    );
    assert_eq!(
        wider.await,
        "api_keys look_up_changed {stagedoor_owner}\napi_keys look_up_reported {stagedoor_owner}\n\
        audit_chain_heads look_up_unsealed {stagedoor_owner}\n\
        audit_checkpoint_heads look_up_unarchived {stagedoor_owner}\n\
        backups look_up_kept {stagedoor_owner}\n\
        jobs look_up_due {stagedoor_owner}\nprivacy_requests look_up_open {stagedoor_owner}\ntenants every_tenant_for_admin {stagedoor_admin}\n\
        tenants every_tenant_for_keeper {stagedoor_keeper}\n\
        tenants look_up_by_slug {stagedoor_owner}\n\
        usage_minutes look_up_figures {stagedoor_owner}\nusage_rollups look_up_figures {stagedoor_owner}",
        "a policy beside the isolation"
    );

    let keys = rows(format!(
        "SELECT t.relname || ' ' || k.conname FROM ({TABLES}) t JOIN pg_constraint k ON k.conrelid = t.oid
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.conkey[1]
        WHERE k.contype IN ('p', 'f') AND a.attname <> 'tenant_id'"
    ));
    assert_eq!(keys.await, "", "a primary or foreign key that does not begin with tenant_id");
    let keyless = rows(format!(
        "SELECT t.relname FROM ({TABLES}) t WHERE NOT EXISTS
            (SELECT FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'p')"
    ));
    assert_eq!(keyless.await, "", "no primary key on");
}

#[tokio::test]
async fn nobody_holds_more_than_was_granted() {
    let database = Database::start().await;
    database.vault.store().ensure_audit_partitions(database.clock.now().date_naive(), 1).await.unwrap();

    let partitions = database.tamper(
        "SELECT c.relname FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'
            AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner)",
    );
    assert_eq!(partitions.await, "", "a grant on a partition goes past its parent's policy");

    let owners = database.tamper(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    );
    assert_eq!(owners.await, "stagedoor_owner");

    let app = database.tamper(
        "SELECT c.relname || ' ' || string_agg(a.privilege_type, ',' ORDER BY a.privilege_type)
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'public'::regnamespace
            AND a.grantee = 'stagedoor_app'::regrole GROUP BY c.relname ORDER BY 1",
    );
    let expected = "audit_chain_heads SELECT\naudit_checkpoint_heads SELECT\naudit_checkpoints SELECT\naudit_payloads SELECT\naudit_records SELECT\n\
        consents INSERT,SELECT\ndata_keys INSERT,SELECT\nerasure_tombstones SELECT\nidempotency_keys DELETE,INSERT,SELECT,UPDATE\nissuers SELECT\n\
        job_parts DELETE,INSERT,SELECT,UPDATE\njobs DELETE,INSERT,SELECT,UPDATE\nkey_encryption_keys INSERT,SELECT\nlimit_violations INSERT,SELECT,UPDATE\nlink_attempts DELETE,INSERT,SELECT,UPDATE\n\
        linked_accounts DELETE,INSERT,SELECT,UPDATE\nlistening_cursors DELETE,INSERT,SELECT,UPDATE\n\
        listening_gaps DELETE,INSERT,SELECT,UPDATE\nlistening_history DELETE,INSERT,SELECT,UPDATE\n\
        listening_imports DELETE,INSERT,SELECT,UPDATE\nlistening_rollups DELETE,INSERT,SELECT,UPDATE\nplaylist_chunks DELETE,INSERT,SELECT\n\
        playlist_versions DELETE,INSERT,SELECT\npreferences DELETE,INSERT,SELECT,UPDATE\n\
        privacy_requests SELECT\nprovider_apps SELECT\n\
        provider_sessions DELETE,INSERT,SELECT,UPDATE\nreplicas DELETE,INSERT,SELECT,UPDATE\nsession_devices DELETE,INSERT,SELECT,UPDATE\n\
        session_imports DELETE,INSERT,SELECT,UPDATE\nsession_quarantine DELETE,INSERT,SELECT\n\
        shared_queue_changes DELETE,INSERT,SELECT,UPDATE\nshared_queue_commits DELETE,INSERT,SELECT,UPDATE\n\
        shared_queue_items DELETE,INSERT,SELECT,UPDATE\nshared_queue_members DELETE,INSERT,SELECT,UPDATE\n\
        shared_queue_votes DELETE,INSERT,SELECT,UPDATE\nshared_queues DELETE,INSERT,SELECT,UPDATE\nsigning_keys INSERT,SELECT\n\
        storage_version SELECT\ntenants SELECT\nusage_minutes SELECT\nusage_rollups SELECT\nusers SELECT";
    assert_eq!(sorted_groups(&app.await), expected);

    let columns = database.tamper(
        "SELECT c.relname || ' ' || x.privilege_type || ' ' || string_agg(a.attname, ',' ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, aclexplode(a.attacl) x
        WHERE c.relnamespace = 'public'::regnamespace AND x.grantee = 'stagedoor_app'::regrole
        GROUP BY c.relname, x.privilege_type",
    );
    assert_eq!(
        sorted_groups(&columns.await),
        "api_keys SELECT tenant_id,key_id,name,mode,scopes,toolsets,read_only,user_id,allowed_networks,expires_at,\
        revoked_at,last_used_at,created_at,revision,created_by,revoked_reason,replaced_by\n\
        linked_accounts UPDATE status,updated_at\nplaylist_versions UPDATE provider_version,cause,call_id"
    );

    let keeper = database.tamper(
        "SELECT c.relname || ' ' || string_agg(a.privilege_type, ',' ORDER BY a.privilege_type)
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'public'::regnamespace
            AND a.grantee = 'stagedoor_keeper'::regrole AND a.privilege_type <> 'SELECT' GROUP BY c.relname ORDER BY 1",
    );
    let expected = "admin_creates DELETE\nbackups INSERT,UPDATE\ndata_keys INSERT\nidempotency_keys DELETE\njob_parts DELETE\n\
        jobs DELETE\n\
        keeper_runs DELETE,INSERT,UPDATE\nkey_rotations INSERT,UPDATE\nlimit_violations DELETE\nlink_attempts DELETE\nlistening_cursors DELETE,INSERT,UPDATE\n\
        listening_gaps DELETE,INSERT,UPDATE\nlistening_history DELETE,INSERT,UPDATE\nlistening_imports DELETE,INSERT,UPDATE\n\
        listening_rollups DELETE,INSERT,UPDATE\nmetric_rollups DELETE,INSERT,UPDATE\nprovider_sessions DELETE,UPDATE\n\
        session_quarantine DELETE,INSERT\nshared_queue_commits DELETE\nshared_queues DELETE\nsigning_keys INSERT\n\
        usage_minutes DELETE\nusage_rollups DELETE,INSERT,UPDATE";
    assert_eq!(sorted_groups(&keeper.await), expected, "what the keeper may change past its functions");

    let unsaved = format!(
        "SELECT t.relname FROM ({TABLES}) t JOIN pg_class c USING (oid)
        WHERE NOT c.relispartition AND NOT has_table_privilege('stagedoor_backup', oid, 'SELECT')"
    );
    assert_eq!(database.tamper(&unsaved).await, "", "a table that no backup holds");

    let public_functions = database.tamper(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND (p.proacl IS NULL
            OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))",
    );
    assert_eq!(public_functions.await, "", "a function that everyone may execute");
    let unpinned = database.tamper(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
            AND NOT COALESCE(p.proconfig::text LIKE '%search_path=pg_catalog%', false)",
    );
    assert_eq!(unpinned.await, "", "a definer's function without a pinned search_path");
}

/// The query's own order depends on the collation; the test's does not.
fn sorted_groups(rows: &str) -> String {
    let mut rows: Vec<_> = rows.lines().collect();
    rows.sort_unstable();
    rows.join("\n")
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = Database::start().await;
    let before = database.tamper("SELECT count(*), max(installed_on) FROM _sqlx_migrations").await;
    stagedoor_storage::migrate(&database.superuser_url()).await.unwrap();
    assert_eq!(database.tamper("SELECT count(*), max(installed_on) FROM _sqlx_migrations").await, before);
}
