//! `doctor` finds each fault that is planted, and nothing else: first an installation that is well, then one fault at a
//! time.

use serde_json::Value;
use stagedoor_bootstrap::config::{Config, SecretUrl};
use stagedoor_domain::health::Verdict;
use stagedoor_keeper::jobs::backup::Backup;
use stagedoor_keeper::jobs::doctor::{Check, Doctor};
use stagedoor_keeper::jobs::partitions::Partitions;
use stagedoor_keeper::jobs::run_due::SCHEDULE;
use stagedoor_keeper::{Ended, Ending, RunOptions};
use stagedoor_testkit::{Stage, TestGateway};
use url::Url;

/// The keeper's configuration of an installation with backups.
fn config(stage: &Stage) -> Config {
    let mut config = stage.keeper_config();
    let folder = stage.folder().join("backups");
    config.backup.url = Some(Url::from_directory_path(folder).unwrap());
    config
}

/// What the doctor says with this configuration.
async fn examined(stage: &Stage, config: Config) -> Ended {
    stage.keep_by(config, &Doctor::default(), RunOptions::default()).await
}

/// The findings that are not "ok": check, verdict, words. The disk of the machine that tests run on is its owner's affair.
fn troubles(ended: &Ended) -> Vec<(String, String, String)> {
    let findings = ended.answer.as_ref().unwrap().json["checks"].as_array().unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let read = findings
        .iter()
        .map(|finding| (text(finding, "check"), text(finding, "verdict"), text(finding, "told")));
    let bad = |(check, verdict, _): &(String, String, String)| {
        verdict != Verdict::Ok.as_str() && check != Check::Disks.as_str()
    };
    read.filter(bad).collect()
}

/// An installation that is well: a replica, backups of today, and a drill on record.
async fn healthy(stage: &Stage) -> TestGateway {
    stage.inhabit("ada").await;
    let gateway = TestGateway::start(stage).await;
    while stage.sql("SELECT count(*) FROM replicas").await != "1" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for job in [&Partitions::default() as &dyn stagedoor_keeper::Job, &Backup::default()] {
        let ended = stage.keep_by(config(stage), job, RunOptions::default()).await;
        assert_eq!(ended.ending, Ending::Succeeded, "{ended}");
    }
    stage.sql(&run("drill", "succeeded", "1 day")).await;
    for job in SCHEDULE.iter().filter(|job| job.name != "drill") {
        stage.sql(&run(job.name, "succeeded", "10 minutes").replace("planted", "kept")).await;
    }
    gateway
}

/// The SQL for a run that began so long ago.
fn run(job: &str, outcome: &str, ago: &str) -> String {
    let ended = if outcome == "running" { "NULL" } else { "now()" };
    format!(
        "INSERT INTO keeper_runs (run_id, job, dry_run, outcome, host, started_at, heartbeat_at, ended_at)
        VALUES (gen_random_uuid(), '{job}', false, '{outcome}', 'planted', now() - interval '{ago}',
            now() - interval '{ago}', {ended})"
    )
}

/// A fault that SQL can plant, and take away again.
struct Planted {
    plant: String,
    mend: &'static str,
    check: Check,
    verdict: Verdict,
    /// A part of what is said.
    said: &'static str,
}

const NO_RUN: &str = "DELETE FROM keeper_runs WHERE host = 'planted' AND job <> 'drill'";
const NO_REPLICA: &str = "DELETE FROM replicas WHERE host = 'planted'";
const LIVE_REPLICA: &str = "INSERT INTO replicas (replica_id, host, version, key_encryption_keys, wraps_with,
    pepper_versions, opened_key_s, configuration_digest, own_time)
    SELECT gen_random_uuid(), 'planted', version, key_encryption_keys, wraps_with, pepper_versions, opened_key_s,";

fn planted() -> Vec<Planted> {
    use Check::{AuditTail, Backups, Clocks, Drill, Keys, Partitions, Privacy, Replicas, Runs, Schema};
    use Verdict::{Failing, Warning};
    let fault = |check, verdict, said, plant: String, mend| Planted { plant, mend, check, verdict, said };
    let last = "(SELECT max(version) FROM _sqlx_migrations WHERE version < 30000000000000)";
    vec![
        fault(
            Schema,
            Failing,
            "migrations are missing",
            format!("UPDATE _sqlx_migrations SET success = false WHERE version = {last}"),
            "UPDATE _sqlx_migrations SET success = true",
        ),
        fault(
            Schema,
            Failing,
            "other than when they were applied",
            format!("UPDATE _sqlx_migrations SET checksum = checksum || '\\x00' WHERE version = {last}"),
            "UPDATE _sqlx_migrations SET checksum = substr(checksum, 1, 48)",
        ),
        fault(
            Schema,
            Warning,
            "a newer release has migrated",
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (30000000000000, 'later', true, '\\x00', 0)"
                .to_owned(),
            "DELETE FROM _sqlx_migrations WHERE version = 30000000000000",
        ),
        fault(
            Keys,
            Failing,
            "is missing, under which are 1 tenants' keys",
            "UPDATE data_keys SET wrapped_by = 'ffffffff-ffff-ffff-ffff-ffffffffffff', updated_at = 'epoch'
            WHERE purpose = 1"
                .to_owned(),
            "UPDATE data_keys SET updated_at = now(),
                wrapped_by = (SELECT wraps_with FROM replicas LIMIT 1) WHERE updated_at = 'epoch'",
        ),
        fault(
            Keys,
            Warning,
            "the key-encryption key wraps for 120 days; it should be 90 at most",
            "UPDATE key_encryption_keys SET wraps_since = now() - interval '120 days'".to_owned(),
            "UPDATE key_encryption_keys SET wraps_since = now()",
        ),
        fault(
            Keys,
            Warning,
            "without which kept backups do not open",
            "UPDATE backups SET key_encryption_keys
                = key_encryption_keys || uuid 'ffffffff-ffff-ffff-ffff-ffffffffffff'"
                .to_owned(),
            "UPDATE backups SET key_encryption_keys = key_encryption_keys[1:cardinality(key_encryption_keys) - 1]",
        ),
        fault(
            Clocks,
            Failing,
            "the clock of replica planted",
            format!("{LIVE_REPLICA} configuration_digest, now() - interval '1 minute' FROM replicas LIMIT 1"),
            NO_REPLICA,
        ),
        fault(
            Clocks,
            Warning,
            "the clock of replica planted",
            format!("{LIVE_REPLICA} configuration_digest, now() + interval '3 seconds' FROM replicas LIMIT 1"),
            NO_REPLICA,
        ),
        fault(
            Replicas,
            Warning,
            "2 replicas differ in configurations (2 of them)",
            format!("{LIVE_REPLICA} sha256('other'), now() FROM replicas LIMIT 1"),
            NO_REPLICA,
        ),
        fault(
            Backups,
            Warning,
            "preferences: of every tenant's newest verified backup the oldest is 30 h old",
            "UPDATE backups SET taken_at = taken_at - interval '30 hours' WHERE class = 'preferences'".to_owned(),
            "UPDATE backups SET taken_at = taken_at + interval '30 hours' WHERE class = 'preferences'",
        ),
        fault(
            Backups,
            Failing,
            "sessions: of every tenant's newest verified backup the oldest is 3 days old",
            "UPDATE backups SET taken_at = taken_at - interval '3 days' WHERE class = 'sessions'".to_owned(),
            "UPDATE backups SET taken_at = taken_at + interval '3 days' WHERE class = 'sessions'",
        ),
        fault(
            Backups,
            Warning,
            "audit: none of 1 tenants has a verified backup",
            "UPDATE backups SET state = 'damaged' WHERE class = 'audit'".to_owned(),
            "UPDATE backups SET state = 'verified'",
        ),
        fault(
            Drill,
            Warning,
            "backups were restored for practice 9 days ago",
            "UPDATE keeper_runs SET started_at = now() - interval '9 days' WHERE job = 'drill'".to_owned(),
            "UPDATE keeper_runs SET started_at = now() - interval '1 day' WHERE job = 'drill'",
        ),
        fault(
            AuditTail,
            Failing,
            "the oldest audit record without a checkpoint is 40 min old",
            "SELECT ensure_audit_partitions(((now() - interval '40 minutes') AT TIME ZONE 'UTC')::date, 1);
            WITH made AS (SELECT now() - interval '40 minutes' AS at),
            record AS (INSERT INTO audit_records (tenant_id, day, seq, type, occurred_at, previous_hash, hash,
                    commitment, call_id, bundle_id, bundle_position)
                SELECT gen_random_uuid(), (at AT TIME ZONE 'UTC')::date, 1, 4, at, sha256('a'), sha256('b'),
                    sha256('c'), gen_random_uuid(), gen_random_uuid(), 0 FROM made RETURNING tenant_id, day, hash)
            INSERT INTO audit_chain_heads (tenant_id, day, seq, hash) SELECT tenant_id, day, 1, hash FROM record"
                .to_owned(),
            "DELETE FROM audit_chain_heads WHERE tenant_id NOT IN (SELECT tenant_id FROM tenants)",
        ),
        fault(
            Partitions,
            Warning,
            "has partitions for 1 days",
            "DO $$ BEGIN EXECUTE format('ALTER TABLE audit_records DETACH PARTITION audit_records_p%s',
                to_char((now() AT TIME ZONE 'UTC')::date + 1, 'YYYYMMDD')); END $$"
                .to_owned(),
            "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date + 1; BEGIN
                EXECUTE format('ALTER TABLE audit_records ATTACH PARTITION audit_records_p%s FOR VALUES FROM (%L) TO (%L)',
                    to_char(day, 'YYYYMMDD'), day, day + 1); END $$",
        ),
        fault(
            Privacy,
            Failing,
            "1 of them late",
            "INSERT INTO privacy_requests (tenant_id, request_id, kind, subject_digest, due_by)
            SELECT tenant_id, gen_random_uuid(), 'export', sha256('someone'), now() - interval '1 day' FROM tenants"
                .to_owned(),
            "DELETE FROM privacy_requests",
        ),
        fault(
            Runs,
            Warning,
            "seal is due every 60 min and did not succeed for 3 h",
            "UPDATE keeper_runs SET started_at = now() - interval '3 hours' WHERE job = 'seal'".to_owned(),
            "UPDATE keeper_runs SET started_at = now() - interval '10 minutes' WHERE job = 'seal'",
        ),
        fault(
            Runs,
            Warning,
            "rotate-sessions is due every 24 h and did not succeed for 3 days",
            format!(
                "UPDATE keeper_runs SET dry_run = true WHERE job = 'rotate-sessions'; {}",
                run("seal", "succeeded", "3 days")
            ),
            "UPDATE keeper_runs SET dry_run = false; DELETE FROM keeper_runs WHERE started_at < now() - interval '2 days'",
        ),
        fault(Runs, Warning, "the last run of retention failed", run("retention", "failed", "1 hour"), NO_RUN),
        fault(Runs, Warning, "the last run of verify was killed", run("verify", "running", "10 minutes"), NO_RUN),
    ]
}

#[tokio::test]
async fn each_planted_fault_is_found() {
    let stage = Stage::start().await;
    let _gateway = healthy(&stage).await;
    let well = examined(&stage, config(&stage)).await;
    assert_eq!(troubles(&well), vec![], "{well}");
    for fault in planted() {
        stage.sql(&fault.plant).await;
        let ended = examined(&stage, config(&stage)).await;
        stage.sql(fault.mend).await;
        let found = troubles(&ended);
        let [(check, verdict, told)] = &found[..] else { panic!("{}: {found:?}", fault.plant) };
        assert_eq!(
            (check.as_str(), verdict.as_str()),
            (fault.check.as_str(), fault.verdict.as_str()),
            "{told}"
        );
        assert!(told.contains(fault.said), "{told}");
        let code = if fault.verdict == Verdict::Failing { 1 } else { 3 };
        assert_eq!(ended.ending.code(), code, "{ended}");
    }
    let mended = examined(&stage, config(&stage)).await;
    assert_eq!(troubles(&mended), vec![], "a fault was not taken away");
}

type Change = Box<dyn Fn(&mut Config)>;

#[tokio::test]
async fn each_wrong_setting_is_found() {
    let stage = Stage::start().await;
    let gateway = healthy(&stage).await;
    let nowhere = || Some(SecretUrl::new("redis://127.0.0.1:1/"));
    let changes: [(Change, Check, Verdict); 4] = [
        (Box::new(move |config| config.cache.redis_url = nowhere()), Check::Cache, Verdict::Failing),
        (Box::new(move |config| config.rate_limiting.redis_url = nowhere()), Check::Limits, Verdict::Failing),
        (
            Box::new(|config| {
                config.storage.backup_database_url = config.storage.keeper_database_url.clone();
            }),
            Check::Storage,
            Verdict::Failing,
        ),
        (Box::new(|config| config.backup.url = None), Check::Backups, Verdict::Warning),
    ];
    for (change, check, verdict) in changes {
        let mut config = config(&stage);
        change(&mut config);
        let ended = examined(&stage, config).await;
        let found = troubles(&ended);
        let [(found, as_bad_as, _)] = &found[..] else { panic!("{check:?}: {found:?}") };
        assert_eq!((found.as_str(), as_bad_as.as_str()), (check.as_str(), verdict.as_str()));
    }
    configure(&stage, "maxmemory-policy", "allkeys-lru").await;
    let ended = examined(&stage, config(&stage)).await;
    let found = troubles(&ended);
    assert!(found[0].0 == "limits" && found[0].2.contains("set maxmemory-policy to noeviction"), "{found:?}");
    configure(&stage, "maxmemory-policy", "noeviction").await;
    configure(&stage, "maxmemory", "1mb").await;
    let found = troubles(&examined(&stage, config(&stage)).await);
    let full = |check: &str| {
        found.iter().any(|(name, verdict, told)| {
            name == check && verdict == "failing" && told.contains("% of its memory")
        })
    };
    assert!(full("cache") && full("limits"), "{found:?}");
    configure(&stage, "maxmemory", "0").await;
    gateway.stop().await;
    while stage.sql("SELECT count(*) FROM replicas").await != "0" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let found = troubles(&examined(&stage, config(&stage)).await);
    assert_eq!(found[0].2, "no replica of the gateway is there");
}

async fn configure(stage: &Stage, name: &str, value: &str) {
    let client = redis::Client::open(stage.redis().url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = redis::cmd("CONFIG");
    let set = set.arg("SET").arg(name).arg(value);
    set.exec_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn without_a_database_the_rest_is_looked_at() {
    let stage = Stage::start().await;
    let gone = stage.database_url().replace(&stage.postgres().port().to_string(), "1");
    let variables = [("STAGEDOOR_STORAGE__KEEPER_DATABASE_URL", gone)];
    let told = stage.begin_keeper(&["doctor", "--json"], &variables).finished().await;
    assert_eq!(told.code, Some(1), "{}", told.said);
    let report = &told.lines()[0]["answer"];
    assert_eq!(report["verdict"], "failing");
    let verdict = |check: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|found| found["check"] == check).map(|found| found["verdict"].clone())
    };
    assert_eq!(verdict("storage"), Some("failing".into()));
    assert_eq!((verdict("keys"), verdict("cache")), (Some("ok".into()), Some("ok".into())));
    assert_eq!(verdict("backups"), None, "nothing is said of what could not be looked at");
}

#[tokio::test]
async fn the_program_says_it_in_a_table_and_in_its_exit_code() {
    let stage = Stage::start().await;
    let _gateway = healthy(&stage).await;
    let url = config(&stage).backup.url.unwrap().to_string();
    let well = stage.begin_keeper(&["doctor"], &[("STAGEDOOR_BACKUP__URL", url.clone())]).finished().await;
    // A machine whose disk is nearly full is not well, whatever is planted.
    let full = well.output.lines().any(|line| line.starts_with("warning  disks"));
    assert_eq!(well.code, Some(if full { 3 } else { 0 }), "{}{}", well.output, well.said);
    let lines: Vec<_> = well.output.lines().collect();
    assert!(
        lines.iter().any(|line| line.starts_with("ok       replicas    1 replicas, all alike")),
        "{lines:?}"
    );
    stage.sql(&run("retention", "failed", "1 hour")).await;
    let warned = stage.begin_keeper(&["doctor"], &[("STAGEDOOR_BACKUP__URL", url)]).finished().await;
    assert_eq!(warned.code, Some(3), "{}{}", warned.output, warned.said);
}
