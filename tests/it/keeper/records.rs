//! What runs leave on record and who goes by it: a part is not the whole, a run whose record is lost is told all the same,
//! and only jobs of the schedule say how things stand.

use serde_json::json;
use stagedoor_domain::BackupClass;
use stagedoor_domain::health::Verdict;
use stagedoor_keeper::jobs::backup::{Backup, VerifyBackups};
use stagedoor_keeper::jobs::doctor::{Check, Doctor};
use stagedoor_keeper::jobs::partitions::Partitions;
use stagedoor_keeper::jobs::restore::{Drill, Restore};
use stagedoor_keeper::jobs::rotate_keys::{LayerArgument, RotateKeys};
use stagedoor_keeper::jobs::rotate_sessions::RotateSessions;
use stagedoor_keeper::jobs::run_due::SCHEDULE;
use stagedoor_keeper::jobs::seal::Seal;
use stagedoor_keeper::jobs::verify::Verify;
use stagedoor_keeper::{Ending, Job, RunOptions};
use stagedoor_testkit::generous;

use super::frame::{Waits, between_two_sessions, collect, sessions, small_stage};
use crate::limits_hot_reload::until;

/// Every way to do a part of a job of the schedule only.
fn parts() -> Vec<Box<dyn Job>> {
    let tenant = Some("ada".to_owned());
    let layer = Some(LayerArgument::Pepper);
    let classes = vec![BackupClass::Audit];
    vec![
        Box::new(Seal { tenant: tenant.clone() }),
        Box::new(Partitions { days: 1 }),
        Box::new(Verify { tenant: tenant.clone(), ..Verify::default() }),
        Box::new(Verify { days: 1, ..Verify::default() }),
        Box::new(Backup { tenant: tenant.clone(), ..Backup::default() }),
        Box::new(Backup { classes: classes.clone(), ..Backup::default() }),
        Box::new(VerifyBackups { tenant: tenant.clone(), ..VerifyBackups::default() }),
        Box::new(VerifyBackups { classes, ..VerifyBackups::default() }),
        Box::new(Restore::drill(Drill { tenant: tenant.clone() })),
        Box::new(RotateSessions { tenant: tenant.clone() }),
        Box::new(RotateKeys { tenant, ..RotateKeys::default() }),
        Box::new(RotateKeys { layer, ..RotateKeys::default() }),
    ]
}

#[test]
fn a_part_has_the_jobs_lock_and_a_name_of_its_own() {
    for part in parts() {
        let name = part.name();
        assert!(SCHEDULE.iter().any(|scheduled| scheduled.name == name), "{name}");
        assert_eq!((part.lock(), part.recorded_as()), (name, format!("{name}-part").as_str()));
    }
    let all = RotateKeys { layer: Some(LayerArgument::All), ..RotateKeys::default() };
    let wholes: [&dyn Job; 4] =
        [&all, &Backup { force: true, ..Backup::default() }, &Verify { days: 30, ..Verify::default() }, &all];
    for whole in wholes {
        assert_eq!(whole.recorded_as(), whole.name());
    }
}

#[tokio::test]
async fn what_does_a_part_or_only_looks_leaves_the_job_due() {
    let stage = small_stage().await;
    stage.tenant("ada", generous()).await;
    let keeper = stage.keeper().await;
    let status = RotateKeys { status: true, ..RotateKeys::default() };
    let seal = Seal { tenant: Some("ada".to_owned()) };
    for (job, name, recorded) in
        [(&status as &dyn Job, "rotate-keys", "rotate-keys-status"), (&seal, "seal", "seal-part")]
    {
        let ended = keeper.execute(job, RunOptions::default()).await.unwrap();
        assert_eq!((ended.ending, ended.job), (Ending::Succeeded, recorded), "{ended}");
        assert!(keeper.store.last_success(recorded).await.unwrap().is_some(), "it is on record");
        let scheduled = SCHEDULE.iter().find(|scheduled| scheduled.name == name).unwrap();
        assert!(scheduled.is_due(&keeper).await.unwrap(), "{name} was not done");
    }
}

#[tokio::test]
async fn the_state_of_rotations_shows_while_one_runs() {
    let stage = small_stage().await;
    stage.tenant("ada", generous()).await;
    let keeper = stage.keeper().await;
    let rotates = keeper.store.try_lock_job("rotate-keys").await.unwrap().unwrap();
    let status = RotateKeys { status: true, ..RotateKeys::default() };
    let shown = keeper.execute(&status, RunOptions::default()).await.unwrap();
    assert_eq!(shown.ending, Ending::Succeeded, "{shown}");
    assert_eq!(shown.answer.unwrap().json[0]["tenant"], "ada");
    let part = RotateKeys { tenant: Some("ada".to_owned()), ..RotateKeys::default() };
    for rotation in [&RotateKeys::default(), &part] {
        let second = keeper.execute(rotation, RunOptions::default()).await.unwrap();
        assert_eq!(second.ending, Ending::Elsewhere, "{second}");
        assert_eq!(second.remarks, ["another keeper is doing rotate-keys"]);
    }
    rotates.release().await.unwrap();
}

#[tokio::test]
async fn a_run_whose_record_is_gone_failed_and_says_so() {
    let stage = small_stage().await;
    let (collector, received) = collect().await;
    let mut config = stage.keeper_config();
    config.telemetry.otlp_endpoint = Some(format!("http://{collector}").parse().unwrap());
    let keeper = stage.keeper_with(config).await;
    let job = Waits::default();
    let meanwhile = async {
        job.began.notified().await;
        // As another keeper does that finds the lock free.
        stage.sql("UPDATE keeper_runs SET outcome = 'abandoned', ended_at = now()").await;
        job.go_on.notify_one();
    };
    let (ended, ()) = tokio::join!(keeper.execute(&job, RunOptions::default()), meanwhile);
    let ended = ended.unwrap();
    assert_eq!((ended.ending, ended.count("things_done")), (Ending::Failed, 1), "{ended}");
    assert_eq!(ended.remarks, ["the run's record: no such run"]);
    let sent = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
    assert!(sent.contains("stagedoor_keeper_last_run_timestamp_seconds"), "{sent:?}");
    assert!(!sent.contains("stagedoor_keeper_last_success_timestamp_seconds"), "{sent:?}");
}

#[tokio::test]
async fn a_run_whose_database_goes_away_is_told_to_everyone_else() {
    let stage = small_stage().await;
    let ada = stage.inhabit("ada").await;
    let holder = between_two_sessions(&stage, &ada).await;
    let (collector, received) = collect().await;
    let telemetry = [
        ("STAGEDOOR_TELEMETRY__OTLP_ENDPOINT", format!("http://{collector}")),
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "keeper=info".to_owned()),
    ];
    let run = stage.begin_keeper(&["retention", "--part", "daily", "--json"], &telemetry);
    until("the first session is gone", async || sessions(&stage).await == "1").await;

    stage.postgres().kill().await;
    drop(holder);
    let ended = run.finished().await;
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    let told = &ended.lines()[0];
    assert_eq!((&told["job"], &told["outcome"]), (&json!("retention-daily"), &json!("failed")), "{told}");
    assert_eq!(told["counts"]["sessions_deleted"], 1, "{told}");
    assert!(told["remarks"].to_string().contains("the run's record: "), "{told}");
    assert!(ended.said.contains("a run ended"), "{}", ended.said);
    let sent = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
    assert!(sent.contains("stagedoor_keeper_last_run_timestamp_seconds"), "{sent:?}");
    assert!(!sent.contains("stagedoor_keeper_last_success_timestamp_seconds"), "{sent:?}");

    stage.postgres().restart().await.unwrap();
}

#[tokio::test]
async fn a_restore_that_was_refused_is_nothing_to_warn_of() {
    let stage = small_stage().await;
    let plant = async |job: &str, outcome: &str| {
        let sql = format!(
            "INSERT INTO keeper_runs (run_id, job, dry_run, outcome, host, started_at, heartbeat_at, ended_at)
            VALUES (gen_random_uuid(), '{job}', false, '{outcome}', 'planted', now(), now(), now())"
        );
        stage.sql(&sql).await;
    };
    for scheduled in SCHEDULE {
        plant(scheduled.name, "succeeded").await;
    }
    plant("restore", "failed").await;
    plant("seal-part", "partly").await;
    let runs = async || {
        let ended = stage.keep(&Doctor::default()).await;
        let checks = ended.answer.unwrap().json["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["check"] == Check::Runs.as_str()).unwrap()
    };
    let found = runs().await;
    assert_eq!(found["verdict"], Verdict::Ok.as_str(), "{found}");
    plant("run-due", "partly").await;
    let found = runs().await;
    assert_eq!(found["verdict"], Verdict::Warning.as_str(), "{found}");
}

#[tokio::test]
async fn the_jobs_that_are_due_show_how_far_they_are() {
    let stage = small_stage().await;
    stage.tenant("ada", generous()).await;
    for scheduled in SCHEDULE.iter().filter(|scheduled| scheduled.name != "seal") {
        let sql = format!(
            "INSERT INTO keeper_runs (run_id, job, dry_run, outcome, host, started_at, heartbeat_at, ended_at)
            VALUES (gen_random_uuid(), '{}', false, 'succeeded', 'planted', now(), now(), now())",
            scheduled.name
        );
        stage.sql(&sql).await;
    }
    let due = stage.run_keeper(&["run-due"]).await;
    assert_eq!(due.code, Some(0), "{}{}", due.output, due.said);
    assert!(due.said.contains("seal: 0 of 1 tenants"), "{}", due.said);
}
