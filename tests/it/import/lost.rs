//! Tokens that are lost, or cannot be proved: each is said, and nothing is final that another run may find otherwise.

use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::Stage;

use super::{Site, outcome, warns_of_loss};

const OPTIONS: [&str; 4] = ["--client-id", "tenant", "--timezone", "UTC"];
const RECORDED: &str = "SELECT count(*) FROM session_imports";

#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_not_final() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    stage.sandbox().expire_access_tokens(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    let lost = FaultRule::new(Provider::Tidal, Effect::CloseConnection).grant_type("refresh_token");
    stage.sandbox().faults().push(lost.times(1).after_work());
    let finished = site.import(&[&file], &OPTIONS).await;
    let line = &finished.lines()[0];
    assert_eq!((finished.code, outcome(line)), (Some(2), "relink_needed refused".to_owned()), "{line}");
    assert!(warns_of_loss(line), "{line}");
    assert_eq!(stage.sql(RECORDED).await, "0");
    let again = site.import_one(&file, &OPTIONS).await;
    assert_eq!(
        (outcome(&again), warns_of_loss(&again)),
        ("relink_needed refused".to_owned(), false),
        "{again}"
    );
    assert_eq!(stage.sql(RECORDED).await, "1");
}

#[tokio::test]
async fn new_tokens_that_are_refused_are_said_to_be_lost() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    stage
        .sandbox()
        .faults()
        .push(FaultRule::new(Provider::Tidal, Effect::status(401)).path_prefix("/users/me"));
    let line = site.import_one(&file, &OPTIONS).await;
    assert_eq!((outcome(&line), warns_of_loss(&line)), ("relink_needed refused".to_owned(), true), "{line}");
    assert_eq!((stage.sql(RECORDED).await, site.refreshes(Provider::Tidal)), ("0".to_owned(), 1));
}

#[tokio::test]
async fn tokens_that_may_not_be_asked_whose_they_are_prove_nothing() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let account = || stage.sandbox().create_account(Provider::Tidal, "Robin Outside", "DE");
    let open = site.granted(Provider::Tidal, account(), &["playlists.read"]);
    let file = site.file("open.json", &open.tidal_mcp(&open.ends()));
    let finished = site.import(&[&file], &OPTIONS).await;
    let line = &finished.lines()[0];
    assert_eq!((finished.code, outcome(line)), (Some(2), "relink_needed no_scope".to_owned()), "{line}");
    assert_eq!((warns_of_loss(line), site.refreshes(Provider::Tidal)), (false, 0), "it was not refreshed");

    let ended = site.granted(Provider::Tidal, account(), &["playlists.read"]);
    let file = site.file("ended.json", &ended.tidal_mcp("2026-11-01T10:00:00"));
    let finished = site.import(&[&file], &OPTIONS).await;
    let line = &finished.lines()[0];
    assert_eq!((finished.code, outcome(line)), (Some(2), "relink_needed no_scope".to_owned()), "{line}");
    assert!(warns_of_loss(line), "{line}");
    assert_eq!(stage.sql("SELECT count(*) FROM provider_sessions").await, "0");
}

#[tokio::test]
async fn tokens_of_another_account_are_refused_once_even_after_a_refresh() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = super::Outside { account: "999999".to_owned(), ..site.outside(Provider::Tidal) };
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    let line = site.import_one(&file, &OPTIONS).await;
    assert_eq!(
        (outcome(&line), warns_of_loss(&line)),
        ("not_usable other_account".to_owned(), true),
        "{line}"
    );
    let again = site.import_one(&file, &OPTIONS).await;
    assert_eq!(outcome(&again), "not_usable refused_before");
    assert_eq!(site.refreshes(Provider::Tidal), 1, "the second run asked nobody");
    assert_eq!(stage.sql("SELECT count(*) FROM linked_accounts").await, "0");
}

#[tokio::test]
async fn patience_has_a_bound_that_is_checked_before_anything_is_done() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Tidal);
    let file = site.file("session.json", &outside.tidal_mcp("2026-11-01T10:00:00"));
    for patience in ["86401", "18446744073709551615"] {
        let finished = site.import(&[&file], &[&OPTIONS[..], &["--patience", patience]].concat()).await;
        assert_eq!((finished.code, finished.output.as_str()), (Some(2), ""), "{finished:?}");
        assert!(finished.said.contains("--patience"), "{finished:?}");
    }
    assert_eq!(site.refreshes(Provider::Tidal), 0);
    let line = site.import_one(&file, &[&OPTIONS[..], &["--patience", "86400"]].concat()).await;
    assert_eq!(outcome(&line), "imported -", "{line}");
}
