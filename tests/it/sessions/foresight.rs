//! Spotify's grants die six months after the consent: said thirty days before, and not asked about afterwards.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use stagedoor_domain::{Clock, Provider};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Browser, TestGateway};

use super::{create, frozen, listed, refreshes, told, warnings};
use crate::linking;
use crate::music;

#[tokio::test]
async fn the_end_of_a_grant_is_told_for_thirty_days_and_is_not_asked_about() {
    let (stage, clock) = frozen().await;
    // The database makes no days of the audit trail that are half a year ahead.
    let gateway = TestGateway::start_with(&stage, |config| config.audit.enabled = false).await;
    let ada = stage.inhabit("ada").await;
    ada.tenant.expect_people_at(gateway.address());
    let client = music::client(&gateway, &ada);
    let account = listed(&client, Provider::Spotify).await;
    let end: DateTime<Utc> = account["grant_ends_at"].as_str().unwrap().parse().unwrap();
    let days = (end - clock.now()).num_days();
    assert!((180..=184).contains(&days), "{days}");
    assert_eq!(listed(&client, Provider::Tidal).await["grant_ends_at"], json!(null));
    let until = |left: Duration| {
        let wait = (end - clock.now()).to_std().unwrap().checked_sub(left).unwrap();
        clock.advance(wait);
    };
    let day = Duration::from_hours(24);

    until(30 * day + Duration::from_mins(10));
    assert_eq!(listed(&client, Provider::Spotify).await["warnings"], json!(null));
    let answer = create(&client, Provider::Spotify).await;
    assert_eq!((answer.verdict().as_str(), warnings(&answer.result()).len()), ("200 ok", 0));

    until(29 * day);
    let account = listed(&client, Provider::Spotify).await;
    assert_eq!(account["status"], "linked");
    let said = account["warnings"][0].as_str().unwrap();
    assert!(said.contains("account_link") && said.contains(&end.format("%Y-%m-%d").to_string()), "{said}");
    let answer = create(&client, Provider::Spotify).await;
    assert_eq!(warnings(&answer.result()), [said], "{}", answer.text());
    // Cached answers carry it too, and other accounts do not.
    let list = |provider: &str| json!({ "provider": provider });
    for _ in 0..2 {
        let listed = client.tool("playlists_list", list("spotify")).await;
        assert_eq!(warnings(&listed.result()), [said], "{}", listed.text());
    }
    assert!(warnings(&client.tool("playlists_list", list("tidal")).await.result()).is_empty());
    let down = FaultRule::new(Provider::Spotify, Effect::status(503)).operation("POST /me/playlists");
    stage.sandbox().faults().push(down);
    let failed = create(&client, Provider::Spotify).await;
    assert_eq!(failed.verdict(), "200 provider_unavailable");
    assert!(told(&failed).contains("account_link"), "{}", told(&failed));
    stage.sandbox().faults().clear();

    // What is shown is cut to seconds.
    until(Duration::ZERO);
    clock.advance(Duration::from_secs(1));
    let asked = refreshes(&stage, Provider::Spotify);
    stage.sandbox().reset_requests();
    let ended = create(&client, Provider::Spotify).await;
    assert_eq!(ended.verdict(), "200 relink_needed");
    assert!(told(&ended).contains("ended on") && told(&ended).contains("account_link"), "{}", told(&ended));
    assert!(stage.sandbox().requests(Provider::Spotify).is_empty(), "asked {asked} times before");
    assert_eq!(listed(&client, Provider::Spotify).await["status"], "relink_needed");

    // Linking again begins another six months.
    let linked = ada.account(Provider::Spotify);
    let again = json!({ "provider": "spotify", "account": linked.id.to_string() });
    let asked = linking::ask(&client, again).await;
    let last = linking::link(&stage, &Browser::new(), &asked.page, &linked.account).await;
    assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    let answer = create(&client, Provider::Spotify).await;
    assert_eq!((answer.verdict().as_str(), warnings(&answer.result()).len()), ("200 ok", 0));
    let account = listed(&client, Provider::Spotify).await;
    assert!(account["grant_ends_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap() > end);
}
