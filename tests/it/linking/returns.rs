//! People who click twice, load again, or come back while another process has taken the answer: what they are told is
//! what is so.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_testkit::{Browser, FrozenClock, Stage, StageOptions, TestGateway};

use super::{Newcomer, agree, ask, hold_exchanges, how_it_went, reached, with_parameter};

#[tokio::test]
async fn a_second_click_on_agree_leads_on() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    for round in 0..4 {
        let asked = ask(&client, json!({ "provider": "spotify" })).await;
        let browser = Browser::new();
        let consent = browser.open(&asked.page).await;
        let click = || browser.submit_and_stay(&consent, &[("decision", "agree")]);
        let (one, two, three, four) = tokio::join!(click(), click(), click(), click());
        for left in [one, two, three, four] {
            assert_eq!(left.status(), 303, "round {round}: {}", left.text());
        }
        // Whichever was last, another click leads to the end.
        let door = agree(&browser, &asked.page).await;
        let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
        let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
        assert_eq!(browser.open(&back).await.heading(), "Your Spotify account is linked");
    }
}

#[tokio::test]
async fn an_answer_whose_taker_is_gone_is_underway_and_then_lost() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let browser = Browser::new();
    let door = agree(&browser, &asked.page).await;
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
    hold_exchanges(&stage, Provider::Spotify);
    let meanwhile = async {
        reached(&stage, "exchanging").await;
        for address in [&back, &asked.page] {
            let page = browser.open(address).await;
            assert_eq!(page.verdict(), "409 link_underway", "{}", page.text());
            assert!(page.text().contains("Open the page anew"), "{}", page.text());
        }
        let pending = how_it_went(&client, &asked.link).await.result()["structuredContent"].clone();
        assert_eq!(pending["status"], "pending", "{pending}");
        assert_eq!(pending.get("expires_at"), None, "the address works no more: {pending}");
        assert!(pending["next"].as_str().unwrap().contains("being linked"), "{pending}");

        // Nobody has heard of whoever took it for two minutes, though the link's own time is not over.
        clock.advance(Duration::from_mins(2));
        for address in [&back, &asked.page] {
            assert_eq!(browser.open(address).await.verdict(), "502 link_failed");
        }
        let ended = how_it_went(&client, &asked.link).await;
        assert_eq!(ended.verdict(), "200 link_failed");
        stage.sandbox().faults().clear();
    };
    // It lives after all, and comes too late: what was told stays true.
    let (late, ()) = tokio::join!(browser.open(&back), meanwhile);
    assert_eq!(late.verdict(), "502 link_failed", "{}", late.text());
    assert_eq!(how_it_went(&client, &asked.link).await.verdict(), "200 link_failed");
    assert_eq!(ada.stored(&stage).await, [0, 0, 0]);
}

#[tokio::test]
async fn who_comes_back_with_an_old_answer_is_no_guesser() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let browser = Browser::new().from_address("198.51.100.77");
    let door = agree(&browser, &asked.page).await;
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
    let old = with_parameter(&back, "state", &"A".repeat(43));
    for _ in 0..7 {
        assert_eq!(browser.open(&old).await.verdict(), "400 link_state_invalid");
    }
    let stranger = Browser::new().from_address("198.51.100.77");
    for attempt in 0..6 {
        let wanted = if attempt < 5 { "400 link_state_invalid" } else { "429 too_many_attempts" };
        assert_eq!(stranger.open(&old).await.verdict(), wanted, "{attempt}");
    }
}
