//! The schema as the database's catalogue has it, for comparing what is there with what this build's migrations make.

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection as _, PgConnection};

use crate::migrate::{MIGRATIONS, MigrationError};

/// Where a database stands between this build's migrations and others'.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationState {
    /// Those of this build that were applied.
    pub applied: Vec<i64>,
    /// Those that were not.
    pub missing: Vec<i64>,
    /// Those that were applied and that this build does not know: a newer release's.
    pub unknown: Vec<i64>,
}

/// Reads it. `url` is that of a role which may become the owner.
pub async fn migration_state(url: &SecretString) -> Result<MigrationState, MigrationError> {
    let mut connection = PgConnection::connect(url.expose_secret()).await?;
    let there =
        sqlx::query_scalar!(r#"SELECT to_regclass('public._sqlx_migrations') IS NOT NULL AS "there!""#)
            .fetch_one(&mut connection)
            .await?;
    let found = if there {
        // The migrator's own table: it is not among those that queries are checked against.
        sqlx::query_scalar("SELECT version FROM public._sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(&mut connection)
            .await?
    } else {
        Vec::new()
    };
    connection.close().await?;
    let known: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    let (missing, unknown) = (outside(&known, &found), outside(&found, &known));
    Ok(MigrationState { applied: outside(&known, &missing), missing, unknown })
}

/// Notes a migration among the keeper's runs.
pub async fn record_migration(
    url: &SecretString,
    run: &crate::keeper_runs::NewRun<'_>,
    applied: u64,
) -> Result<(), MigrationError> {
    let mut connection = PgConnection::connect(url.expose_secret()).await?;
    sqlx::raw_sql("SET ROLE stagedoor_owner").execute(&mut connection).await?;
    sqlx::query!(
        "INSERT INTO keeper_runs (run_id, job, dry_run, outcome, host, started_at, heartbeat_at, ended_at, counts)
        VALUES ($1, $2, false, 'succeeded', $3, $4, $4, $4, jsonb_build_object('migrations_applied', $5::bigint))",
        run.id,
        run.job,
        run.host,
        run.at,
        i64::try_from(applied).unwrap_or(i64::MAX)
    )
    .execute(&mut connection)
    .await?;
    Ok(connection.close().await?)
}

/// Every table, column, constraint, index, policy, trigger and function of ours with its rights, a line each, in order.
/// The days' partitions are left out: which there are depends on the day.
pub async fn catalogue(url: &SecretString) -> Result<Vec<String>, MigrationError> {
    let mut connection = PgConnection::connect(url.expose_secret()).await?;
    // Names in definitions are spelt out or not by this.
    sqlx::raw_sql("SET search_path = pg_catalog").execute(&mut connection).await?;
    let lines = sqlx::query_scalar!(
        r#"WITH tables AS (
            SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
                AND NOT relispartition
        ), lines (line) AS (
            SELECT format('table %s kind %s owner %s row security %s forced %s rights %s', t.relname, t.relkind,
                    pg_get_userbyid(t.relowner), t.relrowsecurity, t.relforcerowsecurity,
                    (SELECT string_agg(a::text, ' ' ORDER BY a::text COLLATE "C") FROM unnest(t.relacl) a))
                FROM tables t
            UNION ALL
            SELECT format('column %s.%s type %s not null %s default %s rights %s', t.relname, c.attname,
                    format_type(c.atttypid, c.atttypmod), c.attnotnull, pg_get_expr(d.adbin, d.adrelid),
                    (SELECT string_agg(a::text, ' ' ORDER BY a::text COLLATE "C") FROM unnest(c.attacl) a))
                FROM tables t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
                LEFT JOIN pg_attrdef d ON d.adrelid = c.attrelid AND d.adnum = c.attnum
            UNION ALL
            SELECT format('constraint %s.%s %s validated %s', t.relname, k.conname, pg_get_constraintdef(k.oid),
                    k.convalidated)
                FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid
            UNION ALL
            SELECT format('index %s valid %s', pg_get_indexdef(i.indexrelid), i.indisvalid)
                FROM tables t JOIN pg_index i ON i.indrelid = t.oid
            UNION ALL
            SELECT format('policy %s.%s %s for %s to %s using %s check %s', p.tablename, p.policyname, p.permissive, p.cmd,
                    p.roles, p.qual, p.with_check)
                FROM pg_policies p JOIN tables t ON t.relname = p.tablename WHERE p.schemaname = 'public'
            UNION ALL
            SELECT format('trigger %s enabled %s', pg_get_triggerdef(g.oid), g.tgenabled)
                FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
            UNION ALL
            SELECT format('function %s rights %s digest %s', f.oid::regprocedure,
                    (SELECT string_agg(a::text, ' ' ORDER BY a::text COLLATE "C") FROM unnest(f.proacl) a),
                    md5(pg_get_functiondef(f.oid)))
                FROM pg_proc f WHERE f.pronamespace = 'public'::regnamespace AND f.prokind = 'f'
        )
        SELECT line AS "line!" FROM lines ORDER BY line COLLATE "C""#
    )
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(lines)
}

/// Those of `of` that are not in `all`.
pub fn outside<T: PartialEq + Clone>(of: &[T], all: &[T]) -> Vec<T> {
    of.iter().filter(|one| !all.contains(one)).cloned().collect()
}
