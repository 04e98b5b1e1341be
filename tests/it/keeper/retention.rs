//! What retention removes: exactly what the policy says, to the row, by a clock that stands still.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, TimeDelta, Utc};
use stagedoor_audit::AuditView;
use stagedoor_domain::{Clock, Provider, Retained, RetentionSettings, TenantSettings};
use stagedoor_keeper::jobs::retention::{Part, Retention};
use stagedoor_keeper::jobs::rollup::Rollup;
use stagedoor_keeper::jobs::verify::Verify;
use stagedoor_keeper::{Ending, RunOptions};
use stagedoor_testkit::{FrozenClock, Inhabited, Stage, StageOptions, generous};

/// Days of the trail that are made, counted back from today.
const DAYS_BACK: [u64; 6] = [92, 91, 90, 89, 46, 45];

/// A stage whose clock stands, with a tenant that keeps what everyone keeps, and one that has times of its own.
struct Scene<'a> {
    stage: &'a Stage,
    now: DateTime<Utc>,
    ada: Inhabited<'a>,
    bob: Inhabited<'a>,
}

async fn stage(clock: &Arc<FrozenClock>) -> Stage {
    Stage::start_with(StageOptions { redis: false, clock: clock.clone(), ..StageOptions::default() }).await
}

impl<'a> Scene<'a> {
    async fn set(stage: &'a Stage) -> Self {
        let own = RetentionSettings {
            sessions_days: Some(60),
            audit_days: Some(45),
            limit_violations_days: Some(10),
            ..RetentionSettings::default()
        };
        let ada = stage.inhabit("ada").await;
        let bob = stage.inhabit_with("bob", TenantSettings { retention: own, ..generous() }).await;
        let scene = Self { stage, now: stage.clock().now(), ada, bob };
        for (inhabited, sessions, violations) in [(&scene.ada, 30, 30), (&scene.bob, 60, 10)] {
            scene.sessions(inhabited, sessions).await;
            scene.rows(inhabited, violations).await;
        }
        scene.trail().await;
        scene
    }

    /// `days` ago, and a second earlier or later.
    fn ago(&self, days: i64, seconds: i64) -> String {
        let at = self.now - TimeDelta::days(days) + TimeDelta::seconds(seconds);
        format!("'{}'", at.to_rfc3339_opts(SecondsFormat::Micros, true))
    }

    fn day(&self, back: u64) -> NaiveDate {
        self.now.date_naive().checked_sub_days(Days::new(back)).unwrap()
    }

    /// One session that was used a second too long ago, and one that was used just in time.
    async fn sessions(&self, of: &Inhabited<'_>, days: i64) {
        for (provider, seconds) in [(Provider::Spotify, -1), (Provider::Tidal, 1)] {
            let (at, account) = (self.ago(days, seconds), of.accounts[&provider].id);
            let sql =
                format!("UPDATE provider_sessions SET last_accessed = {at} WHERE account_id = '{account}'");
            self.stage.sql(&sql).await;
        }
    }

    /// Of everything else two rows: one is over, the other is not.
    async fn rows(&self, of: &Inhabited<'_>, violations: i64) {
        let (tenant, user) = (of.tenant.context().tenant_id(), of.user);
        let account = of.accounts[&Provider::Tidal].id;
        let mut sql = String::new();
        for (seconds, what) in [(-1, "over"), (1, "kept")] {
            let id = "gen_random_uuid()";
            let digest = format!("sha256('{what}')");
            let minute = self.ago(violations, seconds);
            let link = self.ago(7, seconds);
            let quarantine = self.ago(90, seconds);
            let request = self.ago(3 * 366, seconds);
            // These live by the database's clock, which goes on.
            let expiry = self.ago(0, seconds * 3_600);
            let long_ago = self.ago(4_000, 0);
            write!(
                sql,
                "INSERT INTO limit_violations (tenant_id, principal, limit_name, minute, attempted_calls, first_at, last_at)
                    VALUES ('{tenant}', '{what}', 'api-60', {minute}, 1, {minute}, {minute});
                INSERT INTO link_attempts (tenant_id, attempt_id, user_id, principal, provider, scopes, stage, failure,
                        page_hash, created_at, expires_at, finished_at)
                    VALUES ('{tenant}', {id}, '{user}', '{what}', 'tidal', '{{}}', 'failed', 'x', {digest}, {long_ago},
                        {long_ago}, {link});
                INSERT INTO session_quarantine (tenant_id, quarantine_id, account_id, reason, quarantined_at, session_id,
                        schema_version, access_token, scopes, token_expires_at, authorized_at, revision)
                    VALUES ('{tenant}', {id}, '{account}', '{what}', {quarantine}, {id}, '2.0', '', '{{}}', {long_ago},
                        {long_ago}, 1);
                INSERT INTO idempotency_keys (tenant_id, principal, key_digest, record_id, user_id, account_id, tool,
                        request_digest, claim, claimed_until, expires_at)
                    VALUES ('{tenant}', '{what}', {digest}, {id}, '{user}', '{account}', 'x', {digest}, {id}, {long_ago},
                        {expiry});
                INSERT INTO jobs (tenant_id, job_id, kind, user_id, principal, scopes, toolsets, read_only, state,
                        document, expires_at)
                    VALUES ('{tenant}', {id}, 'x', '{user}', '{what}', '{{}}', '{{}}', false, 'done', '', {expiry});
                INSERT INTO privacy_requests (tenant_id, request_id, kind, user_id, subject_digest, state, requested_by,
                        requested_at, completed_at, due_by)
                    VALUES ('{tenant}', {id}, 'export', '{user}', {digest}, 'done', '{what}', {long_ago}, {request},
                        {long_ago});"
            )
            .unwrap();
        }
        self.stage.sql(&sql).await;
    }

    /// Days of the trail of both, each with a record, a payload and three checkpoints; and runs of the keeper.
    async fn trail(&self) {
        let mut sql = String::new();
        for (number, back) in (0_usize..).zip(DAYS_BACK) {
            let day = self.day(back);
            let (name, next) = (day.format("%Y%m%d"), day.succ_opt().unwrap());
            for parent in ["audit_records", "audit_payloads"] {
                write!(
                    sql,
                    "CREATE TABLE {parent}_p{name} PARTITION OF {parent} FOR VALUES FROM ('{day}') TO ('{next}');
                    ALTER TABLE {parent}_p{name} OWNER TO stagedoor_owner;"
                )
                .unwrap();
            }
            for (of, inhabited) in [&self.ada, &self.bob].into_iter().enumerate() {
                let tenant = inhabited.tenant.context().tenant_id();
                write!(
                    sql,
                    "INSERT INTO audit_payloads VALUES ('{tenant}', '{day}', gen_random_uuid(), NULL, 1, '\\x01');
                    INSERT INTO audit_records VALUES ('{tenant}', '{day}', 1, 3, '{day}T12:00:00Z', sha256('p'), sha256('h'),
                        sha256('c'), gen_random_uuid(), gen_random_uuid(), 0);
                    INSERT INTO audit_chain_heads (tenant_id, day, seq, hash, sealed_seq)
                        VALUES ('{tenant}', '{day}', 1, sha256('h'), 1);"
                )
                .unwrap();
                for seq in 1..=3 {
                    let checkpoint = 1_000 + number * 10 + of * 3 + seq;
                    write!(
                        sql,
                        "INSERT INTO audit_checkpoints VALUES ('{tenant}', '{day}', {seq}, sha256('h'), now(),
                            gen_random_uuid(), '\\x00', {checkpoint}, sha256('d'));"
                    )
                    .unwrap();
                }
            }
        }
        for seconds in [-1, 1] {
            let at = self.ago(90, seconds);
            write!(
                sql,
                "INSERT INTO keeper_runs VALUES (gen_random_uuid(), 'x', false, 'succeeded', 'h', {at}, {at}, {at});"
            )
            .unwrap();
        }
        self.stage.sql(&sql).await;
    }

    async fn left(&self, of: &Inhabited<'_>, table: &str, column: &str) -> String {
        let tenant = of.tenant.context().tenant_id();
        let sql = format!(
            "SELECT string_agg({column}::text, ',' ORDER BY 1) FROM {table} WHERE tenant_id = '{tenant}'"
        );
        self.stage.sql(&sql).await
    }
}

#[tokio::test]
async fn retention_removes_what_the_policy_says_to_the_row_and_counts_it_before() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let scene = Scene::set(&stage).await;
    let job = Retention::default();
    // What the admin API was asked to make, which is remembered for a day.
    for (age, digit) in [("2 days", 1), ("1 minute", 2)] {
        let sql = format!(
            "INSERT INTO admin_creates SELECT tenant_id, sha256('{digit}'), sha256(''), clock_timestamp() - interval '{age}'
            FROM tenants WHERE slug IN ('ada', 'bob')"
        );
        stage.sql(&sql).await;
    }
    let before = stage.sql("SELECT count(*) FROM limit_violations").await;
    let dry = stage.keep_with(&job, RunOptions { dry_run: true, ..RunOptions::default() }).await;
    assert_eq!(dry.ending, Ending::Succeeded, "{dry}");
    assert_eq!(stage.sql("SELECT count(*) FROM limit_violations").await, before, "a dry run changes nothing");

    let done = stage.keep(&job).await;
    assert_eq!(done.ending, Ending::Succeeded, "{done}");
    assert_eq!(done.counts, dry.counts, "it does what it said");
    for (name, count) in [
        ("sessions_deleted", 2),
        ("limit_violations_deleted", 2),
        ("link_attempts_deleted", 2),
        ("quarantined_sessions_deleted", 2),
        ("answers_deleted", 2),
        ("jobs_deleted", 2),
        ("admin_requests_deleted", 2),
        ("privacy_requests_deleted", 2),
        ("runs_deleted", 1),
        ("audit_days_dropped", 2),
        // Of two days of two tenants, all but the last.
        ("checkpoints_deleted", 8),
        // Days 90, 89 and 46 of the one who keeps 45.
        ("audit_payloads_emptied", 3),
    ] {
        assert_eq!(done.count(name), count, "{name}: {done}");
    }

    for of in [&scene.ada, &scene.bob] {
        for table in ["limit_violations", "link_attempts", "idempotency_keys", "jobs"] {
            assert_eq!(scene.left(of, table, "principal").await, "kept", "{table}");
        }
        assert_eq!(scene.left(of, "session_quarantine", "reason").await, "kept");
        assert_eq!(scene.left(of, "privacy_requests", "requested_by").await, "kept");
        let kept = of.accounts[&Provider::Tidal].id.to_string();
        assert_eq!(scene.left(of, "provider_sessions", "account_id").await, kept);
        let gone = of.accounts[&Provider::Spotify].id;
        let status =
            stage.sql(&format!("SELECT status FROM linked_accounts WHERE account_id = '{gone}'")).await;
        assert_eq!(status, "relink_needed");
    }
    let days: Vec<_> = DAYS_BACK[2..].iter().map(|back| scene.day(*back).to_string()).collect();
    let all_days = scene.left(&scene.ada, "audit_records", "day").await;
    assert!(all_days.starts_with(&days.join(",")), "{all_days}");
    let partitions = stage
        .sql(
            "SELECT count(*) FROM pg_class WHERE relname ~ '^audit_(records|payloads)_p' AND relkind = 'r'
            AND right(relname, 8) < to_char(now() - interval '44 days', 'YYYYMMDD')",
        )
        .await;
    assert_eq!(partitions, "8", "four days of records and payloads");
    let full = "SELECT string_agg(day::text, ',' ORDER BY day) FROM audit_payloads WHERE sealed = '\\x01' AND tenant_id = ";
    let bob = stage.sql(&format!("{full}'{}'", scene.bob.tenant.context().tenant_id())).await;
    assert_eq!(bob, scene.day(45).to_string(), "the one who keeps 45 days");
    let ada = stage.sql(&format!("{full}'{}'", scene.ada.tenant.context().tenant_id())).await;
    assert_eq!(ada, days.join(","), "the one who keeps 90 days");
    let ends = stage
        .sql(
            "SELECT string_agg(DISTINCT seq::text, ',') FROM audit_checkpoints WHERE day < current_date - 90",
        )
        .await;
    assert_eq!(ends, "3", "how a dropped day ended stays");

    let again = stage.keep(&job).await;
    assert!(again.counts.values().all(|count| *count == 0), "there is nothing left to do: {again}");
    for of in [&scene.ada, &scene.bob] {
        let actions = actions(of).await;
        assert!(["session_expire", "retention"].iter().all(|action| actions.contains(*action)), "{actions}");
    }
}

/// What of today's trail opens, as text.
async fn actions(of: &Inhabited<'_>) -> String {
    let trail = of.tenant.audit_trail().await;
    trail.iter().filter_map(AuditView::json).map(|record| record.to_string() + "\n").collect()
}

#[tokio::test]
async fn what_is_dropped_is_no_fault_of_the_trail() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let ada = stage.inhabit("ada").await;
    assert_eq!(stage.keep(&Retention::default()).await.ending, Ending::Succeeded);
    let verified = stage.keep(&Verify { days: 400, ..Verify::default() }).await;
    assert_eq!((verified.ending, verified.count("faults")), (Ending::Succeeded, 0), "{verified}");
    assert!(verified.count("records") > 0, "{verified}");
    let tenant = ada.tenant.context().tenant_id();
    stage.sql(&format!("UPDATE audit_records SET call_id = gen_random_uuid(), commitment = sha256('x') WHERE tenant_id = '{tenant}'")).await;
    let forged = stage.keep(&Verify::default()).await;
    assert_eq!(forged.ending, Ending::Partly, "{forged}");
    assert!(forged.remarks.iter().any(|remark| remark.contains("tenant ada")), "{forged}");
}

#[tokio::test]
async fn the_youngest_days_are_not_dropped_whatever_the_keepers_clock_says() {
    let clock = Arc::new(FrozenClock::at(FrozenClock::now().now() + TimeDelta::days(4_000)));
    let stage = stage(&clock).await;
    stage.tenant("ada", generous()).await;
    stage.sql("SELECT ensure_audit_partitions(current_date, 1)").await;
    let wrong = stage.keep(&Retention::of(Part::Audit)).await;
    assert_eq!(wrong.ending, Ending::Failed, "{wrong}");
    assert_ne!(stage.sql("SELECT count(*) FROM pg_class WHERE relname ~ '^audit_records_p'").await, "0");
}

#[tokio::test]
async fn figures_of_days_become_sums_of_months() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let ada = stage.inhabit("ada").await;
    let tenant = ada.tenant.context().tenant_id();
    let old = i64::from(Retained::Metrics.rule().days) + 1;
    let days = stage.clock().now() - TimeDelta::days(old);
    let mut sql = String::new();
    for back in 0..3 {
        let day = (days - TimeDelta::days(back)).date_naive();
        write!(
            sql,
            "INSERT INTO metric_rollups VALUES ('{tenant}', 'day', '{day}', 'calls', false, {calls});
            INSERT INTO metric_rollups VALUES ('{tenant}', 'day', '{day}', 'people', true, {people});",
            calls = back + 1,
            people = 9 - back
        )
        .unwrap();
    }
    stage.sql(&sql).await;
    let folded = stage.keep(&Retention::default()).await;
    assert_eq!(folded.count("figures_folded"), 6, "{folded}");
    let sums = "SELECT sum(value) FROM metric_rollups WHERE period = 'month' AND metric = 'calls'";
    assert_eq!(stage.sql(sums).await, "6");
    assert_eq!(
        stage.sql("SELECT max(value) FROM metric_rollups WHERE period = 'month' AND metric = 'people'").await,
        "9"
    );
    assert_eq!(stage.sql("SELECT count(*) FROM metric_rollups WHERE period = 'day'").await, "0");
    stage.keep(&Retention::default()).await;
    assert_eq!(stage.sql(sums).await, "6", "a day counts once");

    clock.advance(std::time::Duration::from_hours(24));
    let counted = stage.keep(&Rollup::default()).await;
    assert_eq!(counted.ending, Ending::Succeeded, "{counted}");
    assert!(counted.count("days_counted") >= 1, "{counted}");
    let accounts = stage
        .sql("SELECT max(value) FROM metric_rollups WHERE period = 'day' AND metric = 'linked_accounts'")
        .await;
    assert_eq!(accounts, "2");
    assert_eq!(stage.keep(&Rollup::default()).await.count("days_counted"), 0, "a day is counted once");
}

#[tokio::test]
async fn payloads_are_emptied_by_days_each_once_also_after_a_setting_was_shortened() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let scene = Scene::set(&stage).await;
    let (ada, bob) = (scene.ada.tenant.id(), scene.bob.tenant.id());
    let keeps = async |tenant: &str, days: u32| {
        stage
            .sql(&format!(
                "UPDATE tenants SET settings = jsonb_set(settings, '{{retention,audit_days}}', '{days}')
                WHERE tenant_id = '{tenant}'"
            ))
            .await;
    };
    let full = "SELECT string_agg((current_date - day)::text, ',' ORDER BY day) FROM audit_payloads
        WHERE sealed = '\\x01' AND tenant_id = ";
    let of_bob = format!("{full}'{bob}'");
    // One tenant keeps all days, so that no partition goes.
    stage.sql("UPDATE tenants SET settings = settings || '{\"retention\": {}}'").await;
    keeps(&ada, 3_650).await;
    keeps(&bob, 91).await;
    // More of a day than are emptied at once.
    let day = scene.day(45);
    stage
        .sql(&format!(
            "INSERT INTO audit_payloads SELECT '{bob}', '{day}', gen_random_uuid(), NULL, 1, '\\x01'
            FROM generate_series(1, 1000)"
        ))
        .await;
    let job = Retention::of(Part::Audit);
    assert_eq!(stage.keep(&job).await.count("audit_payloads_emptied"), 1, "the day 92");

    // Between the days 89 and 46 there is nothing: that does not end the search.
    keeps(&bob, 30).await;
    let dry = stage.keep_with(&job, RunOptions { dry_run: true, ..RunOptions::default() }).await;
    let done = stage.keep(&job).await;
    assert_eq!((done.ending, done.count("audit_payloads_emptied")), (Ending::Succeeded, 1_005), "{done}");
    assert_eq!(done.counts, dry.counts, "it does what it said");
    assert_eq!(stage.sql(&of_bob).await, "");
    assert_eq!(stage.sql(&format!("{full}'{ada}'")).await.split(',').count(), DAYS_BACK.len());

    // What is done is not walked over again: nobody would find what is put there now.
    let payload =
        format!("INSERT INTO audit_payloads VALUES ('{bob}', '{day}', gen_random_uuid(), NULL, 1, '\\x01')");
    stage.sql(&payload).await;
    assert_eq!(stage.keep(&job).await.count("audit_payloads_emptied"), 0);
    let left = format!(
        "SELECT count(*) FROM audit_chain_heads WHERE tenant_id = '{bob}' AND day < current_date - 31 AND NOT payloads_emptied"
    );
    assert_eq!(stage.sql(&left).await, "0");
}
