//! Several runs with one file: one of them asks the provider, and what it proves is kept.

use rustix::process::Signal;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Command, Stage};

use super::{Outside, Site, outcome, until, warns_of_loss};

const OPTIONS: [&str; 2] = ["--client-id", "tenant"];

/// A run that has exchanged the file's token and waits to hear whose it is.
async fn holding_tokens(site: &Site<'_>, file: &std::path::Path) -> Command {
    let rule = FaultRule::new(Provider::Tidal, Effect::status(503)).path_prefix("/users/me");
    site.stage.sandbox().faults().push(rule);
    let user = site.user.to_string();
    let command = site.stage.begin(&site.arguments(&[file], &user, &OPTIONS), &[]);
    until("the token is refreshed", async || site.refreshes(Provider::Tidal) == 1).await;
    command
}

fn ended_file(site: &Site<'_>, outside: &Outside) -> std::path::PathBuf {
    site.stage.sandbox().expire_access_tokens(Provider::Tidal);
    site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"))
}

#[tokio::test]
async fn a_second_run_with_the_same_file_stands_back() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let file = ended_file(&site, &site.outside(Provider::Tidal));
    let first = holding_tokens(&site, &file).await;
    let rows = site.rows().await;
    let second = site.import(&[&file], &OPTIONS).await;
    assert_eq!((second.code, outcome(&second.lines()[0])), (Some(1), "failed running".to_owned()));
    assert_eq!(site.rows().await, rows);
    stage.sandbox().faults().clear();
    let first = first.finished().await;
    assert_eq!((first.code, outcome(&first.lines()[0])), (Some(0), "imported -".to_owned()), "{first:?}");
    assert_eq!(site.refreshes(Provider::Tidal), 1, "one exchange for both");
    assert_eq!(outcome(&site.import_one(&file, &OPTIONS).await), "already_imported -");
}

#[tokio::test]
async fn tokens_that_work_replace_what_another_run_recorded() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let file = ended_file(&site, &site.outside(Provider::Tidal));
    let run = holding_tokens(&site, &file).await;
    stage.sql("UPDATE session_imports SET outcome = 'unusable', claim = NULL, claimed_until = NULL").await;
    stage.sandbox().faults().clear();
    let finished = run.finished().await;
    assert_eq!(outcome(&finished.lines()[0]), "imported -", "{finished:?}");
    assert_eq!(stage.sql("SELECT outcome FROM session_imports").await, "linked");
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "1");
}

#[tokio::test]
async fn tokens_of_a_run_that_was_killed_are_said_to_be_lost() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let file = ended_file(&site, &site.outside(Provider::Tidal));
    let run = holding_tokens(&site, &file).await;
    run.signal(Signal::KILL);
    run.finished().await;
    stage.sandbox().faults().clear();
    let waiting = site.import_one(&file, &OPTIONS).await;
    assert_eq!(outcome(&waiting), "failed running", "the dead run's lease has not ended");
    stage.sql("UPDATE session_imports SET claimed_until = now() - interval '1 second'").await;
    let line = site.import_one(&file, &OPTIONS).await;
    assert_eq!((outcome(&line), warns_of_loss(&line)), ("relink_needed refused".to_owned(), true), "{line}");
    assert_eq!(stage.sql("SELECT count(*) FROM session_imports").await, "0", "that is not final");
}
