//! The frame around every job: one at a time, on record, resumed, with exit codes and figures that a cluster understands.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde_json::json;
use stagedoor_assembly::open_store;
use stagedoor_bootstrap::config::SecretUrl;
use stagedoor_bootstrap::tasks;
use stagedoor_keeper::jobs::partitions::Partitions;
use stagedoor_keeper::jobs::run_due::SCHEDULE;
use stagedoor_keeper::jobs::seal::Seal;
use stagedoor_keeper::jobs::{Job, JobError};
use stagedoor_keeper::{Ending, Keeper, Run, RunOptions};
use stagedoor_storage::keeper_runs::RunOutcome;
use stagedoor_storage::provider_sessions::hold_revision;
use stagedoor_storage::{Purpose, TenantTransaction};
use stagedoor_testkit::{FrozenClock, Inhabited, Stage, StageOptions, generous};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::limits_hot_reload::until;

pub(super) async fn small_stage() -> Stage {
    Stage::start_with(StageOptions { redis: false, ..StageOptions::default() }).await
}

/// A job that waits until it is let go.
#[derive(Default)]
pub(super) struct Waits {
    pub(super) began: Notify,
    pub(super) go_on: Notify,
}

#[async_trait(?Send)]
impl Job for Waits {
    fn name(&self) -> &'static str {
        "waits"
    }

    async fn run(&self, _: &Keeper, run: &Run) -> Result<(), JobError> {
        self.began.notify_one();
        tokio::select! {
            () = self.go_on.notified() => {}
            () = run.stopping().cancelled() => return Err(JobError::Interrupted),
        }
        run.count("things_done", 1);
        Ok(())
    }
}

#[tokio::test]
async fn two_keepers_at_once_do_the_work_once() {
    let stage = small_stage().await;
    let (one, other) = (stage.keeper().await, stage.keeper().await);
    let job = Waits::default();
    let second = async {
        job.began.notified().await;
        let ended = other.execute(&job, RunOptions::default()).await.unwrap();
        assert_eq!((ended.ending, ended.ending.code()), (Ending::Elsewhere, 0));
        assert_eq!(ended.remarks, ["another keeper is doing waits"]);
        let partitions = other.execute(&Partitions::default(), RunOptions::default()).await.unwrap();
        assert_eq!(partitions.ending, Ending::Succeeded, "another job has another lock");
        job.go_on.notify_one();
    };
    let (first, ()) = tokio::join!(one.execute(&job, RunOptions::default()), second);
    let first = first.unwrap();
    assert_eq!((first.ending, first.count("things_done")), (Ending::Succeeded, 1));
    let runs = one.store.keeper_runs(Some("waits"), 10).await.unwrap();
    assert_eq!(runs.len(), 1, "whoever came second put a run on record: {runs:?}");
    assert_eq!((runs[0].outcome, runs[0].counts["things_done"]), (RunOutcome::Succeeded, 1));
    let again = other.execute(&Waits { go_on: ready(), ..Waits::default() }, RunOptions::default()).await;
    assert_eq!(again.unwrap().ending, Ending::Succeeded, "the lock was let go");
}

fn ready() -> Notify {
    let ready = Notify::new();
    ready.notify_one();
    ready
}

#[tokio::test]
async fn a_stopped_run_says_that_it_goes_on_next_time() {
    let stage = small_stage().await;
    let keeper = stage.keeper().await;
    let job = Waits::default();
    let stop = async {
        job.began.notified().await;
        keeper.stop.cancel();
    };
    let (ended, ()) = tokio::join!(keeper.execute(&job, RunOptions::default()), stop);
    let ended = ended.unwrap();
    assert_eq!((ended.ending, ended.ending.code()), (Ending::Interrupted, 75));
    assert_eq!(keeper.store.last_success("waits").await.unwrap(), None, "that was no success");
}

#[tokio::test]
async fn a_run_that_was_killed_is_found_and_the_next_one_goes_on() {
    let stage = small_stage().await;
    let ada = stage.inhabit("ada").await;
    let holder = between_two_sessions(&stage, &ada).await;
    let killed = stage.begin_keeper(&["retention", "--part", "daily"], &[]);
    until("the first session is gone", async || sessions(&stage).await == "1").await;
    let (killed, ()) = tokio::join!(stage.kill_keeper(killed), async { holder.rollback().await.unwrap() });
    assert_eq!(killed.code, None);

    let next = stage.run_keeper(&["retention", "--part", "daily", "--json"]).await;
    assert_eq!(next.code, Some(0), "{}", next.said);
    assert_eq!(next.lines()[0]["counts"]["sessions_deleted"], 1, "{}", next.output);
    assert_eq!(sessions(&stage).await, "0");
    let outcomes = stage.sql("SELECT string_agg(outcome, ',' ORDER BY started_at) FROM keeper_runs").await;
    assert_eq!(outcomes, "abandoned,succeeded");
}

/// Makes both of a person's sessions ones that retention deletes, and holds the second: the job is between the two until
/// the answer goes.
pub(super) async fn between_two_sessions(stage: &Stage, one: &Inhabited<'_>) -> TenantTransaction {
    stage.sql("UPDATE provider_sessions SET last_accessed = now() - interval '31 days'").await;
    // In the order in which the job takes them.
    let mut accounts: Vec<_> = one.accounts.values().map(|account| account.id).collect();
    accounts.sort_unstable_by_key(|account| account.0);
    let mut holder = stage.admin().store().begin(one.tenant.context()).await.unwrap();
    hold_revision(&mut holder, accounts[1]).await.unwrap();
    holder
}

pub(super) async fn sessions(stage: &Stage) -> String {
    stage.sql("SELECT count(*) FROM provider_sessions").await
}

#[tokio::test]
async fn exit_codes_say_what_a_cron_job_must_know() {
    let stage = small_stage().await;
    stage.tenant("ada", generous()).await;
    let done = stage.run_keeper(&["partitions"]).await;
    assert_eq!(done.code, Some(0), "{}", done.said);
    assert!(done.output.contains("partitions succeeded"), "{}", done.output);
    let refused = stage.run_keeper(&["seal", "--tenant", "nobody"]).await;
    assert_eq!(refused.code, Some(2), "{}", refused.output);
    assert!(refused.output.contains("there is no tenant nobody"), "{}", refused.output);
    let late = stage.run_keeper(&["seal", "--within", "0", "--json"]).await;
    assert_eq!(
        (late.code, &late.lines()[0]["outcome"]),
        (Some(75), &json!("interrupted")),
        "{}",
        late.output
    );
    let nowhere = [("STAGEDOOR_STORAGE__KEEPER_DATABASE_URL", String::new())];
    let unset = stage.begin_keeper(&["partitions"], &nowhere).finished().await;
    assert_eq!(unset.code, Some(2), "{}", unset.said);
    assert!(unset.said.contains("storage.keeper_database_url"), "{}", unset.said);
}

#[tokio::test]
async fn what_is_not_configured_is_refused_by_its_name() {
    let stage = small_stage().await;
    stage.tenant("ada", generous()).await;
    let no_owner = ("STAGEDOOR_STORAGE__OWNER_DATABASE_URL", String::new());
    // Of Azure the environment must say whose account it is.
    let odd_archive = ("STAGEDOOR_AUDIT__CHECKPOINT_URL", "az://container/audit".to_owned());
    let cases: [(&[&str], _, &str); 8] = [
        (&["migrate"], Some(&no_owner), "storage.owner_database_url"),
        (&["restore", "list"], None, "backup.url"),
        (&["restore", "plan", "--tenant", "ada"], None, "backup.url"),
        (&["restore", "apply", "--tenant", "ada"], None, "backup.url"),
        (&["restore", "tombstones"], None, "backup.url"),
        (&["restore", "drill"], None, "backup.url"),
        (&["seal"], Some(&odd_archive), "audit.checkpoint_url"),
        (&["verify"], Some(&odd_archive), "audit.checkpoint_url"),
    ];
    for (arguments, variable, key) in cases {
        let variables: Vec<_> = variable.cloned().into_iter().collect();
        let refused = stage.begin_keeper(arguments, &variables).finished().await;
        let told = format!("{}{}", refused.output, refused.said);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {told}");
        assert!(told.contains(key), "{arguments:?}: {told}");
    }
}

#[tokio::test]
async fn only_the_keepers_own_role_keeps() {
    let stage = small_stage().await;
    for role in ["stagedoor_app", "stagedoor_admin", "stagedoor_backup", "postgres"] {
        let url = [("STAGEDOOR_STORAGE__KEEPER_DATABASE_URL", stage.postgres().url_for("stagedoor", role))];
        let refused = stage.begin_keeper(&["partitions"], &url).finished().await;
        assert_eq!(refused.code, Some(2), "{role}: {}", refused.said);
        assert!(refused.said.contains("connect as stagedoor_keeper"), "{role}: {}", refused.said);
    }
    for role in ["stagedoor_app", "stagedoor_admin", "stagedoor_keeper", "postgres"] {
        let mut config = stage.keeper_config();
        let url = SecretUrl::new(stage.postgres().url_for("stagedoor", role));
        config.storage.backup_database_url = Some(url);
        let refused = open_store(&config, Purpose::Backup).await.unwrap_err();
        assert!(format!("{refused:#}").contains("connect as stagedoor_backup"), "{role}: {refused:#}");
    }
    open_store(&stage.keeper_config(), Purpose::Backup).await.unwrap();
}

#[tokio::test]
async fn figures_of_a_run_arrive_at_the_collector() {
    let stage = small_stage().await;
    let (collector, received) = collect().await;
    let mut config = stage.keeper_config();
    config.telemetry.otlp_endpoint = Some(format!("http://{collector}").parse().unwrap());
    let keeper = stage.keeper_with(config).await;
    keeper.execute(&Partitions::default(), RunOptions::default()).await.unwrap();
    // Names and labels stand in the protobuf message as they are.
    let sent = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
    for text in [
        "stagedoor_keeper_run_duration_seconds",
        "stagedoor_keeper_run_outcome",
        "stagedoor_keeper_last_run_timestamp_seconds",
        "stagedoor_keeper_last_success_timestamp_seconds",
        "stagedoor_keeper_run_count",
        "keeper_job",
        "partitions",
        "days_made",
        "stagedoor-keeper",
    ] {
        assert!(sent.contains(text), "{text} is not in {sent:?}");
    }
}

/// An OTLP collector (OTLP/HTTP) that keeps every byte of metrics.
pub(crate) async fn collect() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    type Received = Arc<Mutex<Vec<u8>>>;
    let received = Received::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let keep = async |State(received): State<Received>, body: Bytes| {
        received.lock().unwrap().extend_from_slice(&body);
    };
    let router = Router::new().route("/v1/metrics", post(keep)).with_state(Arc::clone(&received));
    tasks::spawn("collector", async move { axum::serve(listener, router).await });
    (address, received)
}

#[tokio::test]
async fn what_is_due_runs_once_and_again_when_its_time_has_come() {
    let clock = Arc::new(FrozenClock::now());
    let stage =
        Stage::start_with(StageOptions { redis: false, clock: clock.clone(), ..StageOptions::default() })
            .await;
    stage.tenant("ada", generous()).await;
    let keeper = stage.keeper().await;
    let due = async || {
        let mut names = Vec::new();
        for scheduled in SCHEDULE {
            if scheduled.is_due(&keeper).await.unwrap() {
                names.push(scheduled.name);
            }
        }
        names
    };
    assert_eq!(due().await.len(), SCHEDULE.len(), "nothing ever ran");
    for job in [&Partitions::default() as &dyn Job, &Seal::default()] {
        let dry = RunOptions { dry_run: true, ..RunOptions::default() };
        keeper.execute(job, dry).await.unwrap();
    }
    assert_eq!(due().await.len(), SCHEDULE.len(), "a dry run is no run");
    keeper.execute(&Partitions::default(), RunOptions::default()).await.unwrap();
    keeper.execute(&Seal::default(), RunOptions::default()).await.unwrap();
    let waiting = due().await;
    assert!(!waiting.contains(&"partitions") && !waiting.contains(&"seal") && waiting.contains(&"rollup"));
    clock.advance(Duration::from_mins(57));
    assert!(!due().await.contains(&"seal"), "an hour is not over");
    clock.advance(Duration::from_mins(2));
    assert!(due().await.contains(&"seal"));
}

#[tokio::test]
async fn what_failed_is_not_begun_again_at_each_tick() {
    let clock = Arc::new(FrozenClock::now());
    let stage =
        Stage::start_with(StageOptions { redis: false, clock: clock.clone(), ..StageOptions::default() })
            .await;
    stage.tenant("ada", generous()).await;
    // Nothing of it can be sealed.
    stage.sql("REVOKE SELECT ON audit_chain_heads FROM stagedoor_keeper").await;
    let keeper = stage.keeper().await;
    let seal = SCHEDULE.iter().find(|scheduled| scheduled.name == "seal").unwrap();
    let ended = keeper.execute(&Seal::default(), RunOptions::default()).await.unwrap();
    assert_eq!(ended.ending, Ending::Partly, "{ended}");
    assert!(!seal.is_due(&keeper).await.unwrap(), "it would meet the same");
    clock.advance(Duration::from_mins(3));
    assert!(seal.is_due(&keeper).await.unwrap(), "but not for an hour");
}

#[tokio::test]
async fn the_schema_is_what_the_migrations_make_and_never_goes_backwards() {
    let stage = small_stage().await;
    let same = stage.run_keeper(&["migrate", "--check"]).await;
    assert_eq!(same.code, Some(0), "{}", same.said);
    let again = stage.run_keeper(&["migrate"]).await;
    assert!(again.code == Some(0) && again.output.contains("up to date"), "{}{}", again.output, again.said);
    assert_eq!(stage.sql("SELECT job || ' ' || outcome FROM keeper_runs").await, "migrate succeeded");

    stage
        .sql("ALTER TABLE preferences NO FORCE ROW LEVEL SECURITY; GRANT DELETE ON users TO stagedoor_app")
        .await;
    let changed = stage.run_keeper(&["migrate", "--check"]).await;
    assert_eq!(changed.code, Some(1), "{}", changed.output);
    assert!(
        changed.said.contains("+ table preferences") && changed.said.contains("- table users"),
        "{}",
        changed.said
    );

    stage
        .sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (99991231000000, 'newer', true, '', 0)",
        )
        .await;
    for arguments in [&["migrate"][..], &["migrate", "--check"], &["migrate", "--dry-run"]] {
        let newer = stage.run_keeper(arguments).await;
        assert_eq!(newer.code, Some(1), "{}", newer.output);
        assert!(newer.said.contains("99991231000000"), "{}", newer.said);
    }
    assert_eq!(stage.run_keeper(&["partitions"]).await.code, Some(0), "an older keeper still does its work");
    // The list of migrations is what the next test on this cluster finds.
    stage.sql("DELETE FROM _sqlx_migrations WHERE version = 99991231000000").await;
}
