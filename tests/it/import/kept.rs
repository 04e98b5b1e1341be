//! Accounts that work are not made worse by an old file, and a grant that is over is no success.

use chrono::{Months, SubsecRound, TimeDelta};
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::RefreshRotation;
use stagedoor_testkit::{Stage, StageOptions};

use super::{Site, outcome};

const OPTIONS: [&str; 4] = ["--client-id", "tenant", "--timezone", "UTC"];
const SESSIONS: &str = "SELECT md5(string_agg(s::text, ',')) FROM provider_sessions s";

#[tokio::test]
async fn an_account_keeps_a_grant_that_covers_more() {
    // As Spotify does for clients with a secret.
    let rotation = RefreshRotation::Keep;
    let stage = Stage::start_with(StageOptions { rotation, ..StageOptions::default() }).await;
    let site = Site::on(&stage, "ada").await;
    let linked = site.tenant.link(site.user, Provider::Spotify).await;
    let narrow = site.granted(Provider::Spotify, linked.account.clone(), &["user-read-private"]);
    let file = site.file(".cache", &narrow.spotipy(stage.clock().now() - TimeDelta::hours(2)));
    let before = stage.sql(SESSIONS).await;
    for _ in 0..2 {
        let finished = site.import(&[&file], &OPTIONS).await;
        let line = &finished.lines()[0];
        assert_eq!((finished.code, outcome(line)), (Some(0), "already_linked -".to_owned()), "{line}");
        assert_eq!(line["account"], linked.id.to_string());
        assert_eq!(stage.sql(SESSIONS).await, before, "the account's own grant is untouched");
        assert_eq!(
            site.refreshes(Provider::Spotify),
            1,
            "a refresh was needed to learn whose tokens they are"
        );
    }
    // Once the account works no more, the file's grant is better than none.
    stage.sql("UPDATE linked_accounts SET status = 'relink_needed'").await;
    let line = site.import_one(&file, &OPTIONS).await;
    assert_eq!((&line["outcome"], &line["account"]), (&json!("imported"), &json!(linked.id.to_string())));
}

#[tokio::test]
async fn an_account_keeps_a_grant_that_lasts_longer() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let linked = site.tenant.link(site.user, Provider::Spotify).await;
    let everything = stage.sql("SELECT array_to_string(scopes, ' ') FROM provider_sessions").await;
    let scopes: Vec<_> = everything.split(' ').collect();
    let same = site.granted(Provider::Spotify, linked.account.clone(), &scopes);
    let file = site.file(".cache", &same.spotipy(stage.clock().now() - TimeDelta::days(100)));
    let before = stage.sql(SESSIONS).await;
    let line = site.import_one(&file, &OPTIONS).await;
    assert_eq!(outcome(&line), "already_linked -", "{line}");
    assert!(line["explanation"].as_str().unwrap().contains("keeps its own grant"), "{line}");
    assert_eq!(stage.sql(SESSIONS).await, before);
}

#[tokio::test]
async fn a_grant_that_is_over_is_no_success() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let outside = site.outside(Provider::Spotify);
    let long_ago = stage.clock().now() - Months::new(7);
    let file = site.file(".cache", &outside.spotipy(long_ago));
    for options in [&[&OPTIONS[..], &["--dry-run"]].concat()[..], &OPTIONS] {
        let finished = site.import(&[&file], options).await;
        let expected = (Some(2), "not_usable grant_ended".to_owned());
        assert_eq!((finished.code, outcome(&finished.lines()[0])), expected, "{finished:?}");
    }
    assert_eq!(site.refreshes(Provider::Spotify), 0, "nobody was asked");

    // The same of an account's own grant: a newer one takes its place, with its own time of consent.
    let linked = site.tenant.link(site.user, Provider::Spotify).await;
    let old = format!("UPDATE provider_sessions SET authorized_at = '{}'", long_ago.to_rfc3339());
    stage.sql(&old).await;
    let newer = site.granted(Provider::Spotify, linked.account.clone(), &["user-read-private"]);
    // Whole seconds: the database keeps no nanoseconds.
    let consent = (stage.clock().now() - TimeDelta::days(9)).trunc_subsecs(0);
    let file = site.file(
        "session.json",
        &json!({ "schema_version": "1.1", "provider": "spotify", "access_token": newer.grant.access_token,
            "refresh_token": newer.grant.refresh_token, "token_expires_at": newer.grant.expires_at,
            "authorized_at": consent, "user_id": newer.account })
        .to_string(),
    );
    let line = site.import_one(&file, &OPTIONS).await;
    assert_eq!((&line["outcome"], &line["account"]), (&json!("imported"), &json!(linked.id.to_string())));
    let statement =
        format!("SELECT authorized_at = '{}'::timestamptz(6) FROM provider_sessions", consent.to_rfc3339());
    assert_eq!(stage.sql(&statement).await, "t");
}

#[tokio::test]
async fn a_file_does_not_rename_an_account() {
    let stage = Stage::start().await;
    let site = Site::on(&stage, "ada").await;
    let linked = site.tenant.link(site.user, Provider::Tidal).await;
    stage.sql("UPDATE linked_accounts SET status = 'relink_needed'").await;
    let shown = "SELECT label || country_code || status FROM linked_accounts";
    let before = stage.sql(shown).await;
    let file = site.file(
        "session.json",
        &json!({ "access_token": "bogus", "refresh_token": "bogus too", "user_id": linked.account,
            "country_code": "US", "saved_at": "2026-11-01T10:00:00" })
        .to_string()
        .replace("bogus too", "bogus-too"),
    );
    assert_eq!(outcome(&site.import_one(&file, &OPTIONS).await), "relink_needed refused");
    assert_eq!(stage.sql(shown).await, before);

    let injected = site.file(
        "injected.json",
        r#"{"schema_version":"1.1","provider":"tidal","user_id":"IGNORE ALL PREVIOUS INSTRUCTIONS"}"#,
    );
    let line = site.import_one(&injected, &OPTIONS).await;
    assert_eq!(outcome(&line), "not_read not_read", "{line}");
    assert_eq!(stage.sql("SELECT count(*) FROM linked_accounts").await, "1");
}
