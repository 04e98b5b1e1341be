//! Tokens that are on their way when something fails: no grant is lost that can be kept, and what is lost is said.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, RefreshRotation};
use stagedoor_testkit::{FaultProxy, Stage, StageOptions, TestGateway, Weather};

use super::{Site, until};

const PROFILE: &str = "/users/me";

#[tokio::test]
async fn new_tokens_wait_for_a_provider_that_does_not_say_whose_they_are() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    stage.sandbox().expire_access_tokens(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    stage
        .sandbox()
        .faults()
        .push(FaultRule::new(Provider::Tidal, Effect::status(503)).path_prefix(PROFILE).times(8));
    let client_id = site.tenant.client_id();
    let line = site.import_one(&file, &["--client-id", &client_id]).await;
    assert_eq!(line["outcome"], "imported", "{line}");
    assert_eq!(site.refreshes(Provider::Tidal), 1, "a token that was replaced is not sent again");
    let gateway = TestGateway::start(&stage).await;
    gateway.client("ada", &site.key).call("playlists_list", json!({ "account": line["account"] })).await;
}

#[tokio::test]
async fn new_tokens_wait_for_the_database() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    stage.sandbox().expire_access_tokens(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    let rule = FaultRule::new(Provider::Tidal, Effect::Delay { milliseconds: 1_500 });
    stage.sandbox().faults().push(rule.path_prefix(PROFILE).times(1));
    let proxy = FaultProxy::to(std::net::SocketAddr::from(([127, 0, 0, 1], stage.postgres().port()))).await;
    let database = ("STAGEDOOR_STORAGE__DATABASE_URL", stage.database_url_at(proxy.address()));
    let (client_id, user) = (site.tenant.client_id(), site.user.to_string());
    let command = stage.begin(&site.arguments(&[&file], &user, &["--client-id", &client_id]), &[database]);
    until("the token is refreshed", async || site.refreshes(Provider::Tidal) == 1).await;
    proxy.set(Weather::Broken);
    until("the new tokens wait", async || command.said().contains("wait for the database")).await;
    // An impatient person: the file at hand is finished all the same.
    command.signal(Signal::INT);
    until("the signal is seen", async || command.said().contains("ending after this file")).await;
    proxy.set(Weather::Fair);
    let finished = command.finished().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.lines()[0]["outcome"], "imported", "{finished:?}");
    let gateway = TestGateway::start(&stage).await;
    let account = &finished.lines()[0]["account"];
    gateway.client("ada", &site.key).call("playlists_list", json!({ "account": account })).await;
}

#[tokio::test]
async fn tokens_that_are_lost_are_said_to_be() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    stage.sandbox().expire_access_tokens(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::status(503)).path_prefix(PROFILE));
    let client_id = site.tenant.client_id();
    let finished = site.import(&[&file], &["--client-id", &client_id, "--patience", "1"]).await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let line = &finished.lines()[0];
    assert_eq!(line["outcome"], "failed", "{line}");
    assert!(line["explanation"].as_str().unwrap().contains("they are lost"), "{line}");
    assert_eq!(stage.sql("SELECT count(*) FROM linked_accounts").await, "0");
    // The next run finds out what became of the old token, and the account is left to be linked.
    stage.sandbox().faults().clear();
    let again = site.import_one(&file, &["--client-id", &client_id]).await;
    assert_eq!((&again["outcome"], &again["reason"]), (&json!("relink_needed"), &json!("refused")));
}

#[tokio::test]
async fn a_lost_answer_to_the_refresh_loses_no_grant() {
    let rotation = RefreshRotation::ReplaceWithGrace(Duration::from_mins(1));
    let stage = Stage::start_with(StageOptions { rotation, ..StageOptions::default() }).await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    stage.sandbox().expire_access_tokens(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    let lost = FaultRule::new(Provider::Tidal, Effect::CloseConnection).grant_type("refresh_token");
    stage.sandbox().faults().push(lost.times(1).after_work());
    let client_id = site.tenant.client_id();
    let line = site.import_one(&file, &["--client-id", &client_id]).await;
    assert_eq!(line["outcome"], "imported", "{line}");
    assert_eq!(site.refreshes(Provider::Tidal), 2);
}

#[tokio::test]
async fn a_run_without_the_database_changes_nothing_at_the_provider() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    let proxy = FaultProxy::to(std::net::SocketAddr::from(([127, 0, 0, 1], stage.postgres().port()))).await;
    proxy.set(Weather::Broken);
    let database = ("STAGEDOOR_STORAGE__DATABASE_URL", stage.database_url_at(proxy.address()));
    let (client_id, user) = (site.tenant.client_id(), site.user.to_string());
    let command = stage.begin(&site.arguments(&[&file], &user, &["--client-id", &client_id]), &[database]);
    let finished = command.finished().await;
    assert_eq!((finished.code, finished.output.as_str()), (Some(1), ""), "{finished:?}");
    assert_eq!(site.refreshes(Provider::Tidal), 0);
}
