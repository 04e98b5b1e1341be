//! Links that do not come about: each a clear page, the same code for the agent, and nothing stored.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Browser, Client, FrozenClock, KeySpec, Page, Stage, StageOptions, TestGateway};
use url::Url;

use super::{Asked, Newcomer, agree, ask, how_it_went, link, parameter, with_parameter};

/// One link that is to fail, up to the moment where the provider has agreed.
struct Attempted {
    asked: Asked,
    browser: Browser,
    back: Url,
}

async fn attempt(stage: &Stage, client: &Client) -> Attempted {
    let asked = ask(client, json!({ "provider": "spotify" })).await;
    let account = stage.sandbox().create_account(Provider::Spotify, "Robin", "DE");
    let browser = Browser::new();
    let door = agree(&browser, &asked.page).await;
    let back = stage.sandbox().authorize(Provider::Spotify, &account, &door).unwrap();
    Attempted { asked, browser, back }
}

/// What page and agent say of a link that failed, and that nothing is stored of it.
async fn failed(
    stage: &Stage,
    newcomer: &Newcomer<'_>,
    client: &Client,
    page: &Page,
    link: &str,
) -> [String; 2] {
    assert_eq!(newcomer.stored(stage).await, [0, 0, 0], "something is stored after {}", page.verdict());
    assert!(page.text().contains("What to do now") || page.status() == 200, "{}", page.text());
    [page.verdict(), how_it_went(client, link).await.verdict()]
}

#[tokio::test]
async fn declined_here_or_there() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);

    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let browser = Browser::new();
    let consent = browser.open(&asked.page).await;
    let last = browser.submit(&consent, &[("decision", "decline")]).await;
    assert_eq!(last.heading(), "Nothing was linked");
    assert_eq!(failed(&stage, &ada, &client, &last, &asked.link).await, ["200 ok", "200 link_declined"]);
    assert_eq!(browser.open(&asked.page).await.verdict(), "200 link_declined");
    let again = browser.submit(&consent, &[("decision", "agree")]).await;
    assert_eq!(again.verdict(), "200 link_declined", "a declined link cannot be agreed to");

    let asked = ask(&client, json!({ "provider": "tidal" })).await;
    let door = agree(&browser, &asked.page).await;
    let back = stage.sandbox().deny(Provider::Tidal, &door).unwrap();
    let last = browser.open(&back).await;
    assert_eq!(
        failed(&stage, &ada, &client, &last, &asked.link).await,
        ["200 link_declined", "200 link_declined"]
    );
}

#[tokio::test]
async fn expired_before_or_after_the_consent() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);

    let asked = ask(&client, json!({ "provider": "spotify" })).await;
    let browser = Browser::new();
    let consent = browser.open(&asked.page).await;
    clock.advance(Duration::from_mins(10));
    let late = browser.submit(&consent, &[("decision", "agree")]).await;
    assert_eq!(late.heading(), "This link has expired");
    assert_eq!(
        failed(&stage, &ada, &client, &late, &asked.link).await,
        ["410 link_expired", "200 link_expired"]
    );
    assert_eq!(browser.open(&asked.page).await.verdict(), "410 link_expired");

    let Attempted { asked, browser, back } = attempt(&stage, &client).await;
    clock.advance(Duration::from_mins(10));
    let before = stage.sandbox().token_requests(Provider::Spotify);
    let late = browser.open(&back).await;
    assert_eq!(
        failed(&stage, &ada, &client, &late, &asked.link).await,
        ["410 link_expired", "200 link_expired"]
    );
    assert_eq!(stage.sandbox().token_requests(Provider::Spotify), before, "the code was not even tried");
}

#[tokio::test]
async fn a_callback_works_once() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let Attempted { asked, browser, back } = attempt(&stage, &client).await;
    assert_eq!(browser.open(&back).await.heading(), "Your Spotify account is linked");
    let exchanged = stage.sandbox().token_requests(Provider::Spotify);
    let again = browser.open(&back).await;
    assert_eq!(again.heading(), "Your Spotify account is linked", "who loads it again sees the same");
    let elsewhere = Browser::new().open(&back).await;
    assert_eq!(elsewhere.verdict(), "409 link_used");
    assert!(!elsewhere.text().contains("Robin"), "to others the name is not shown: {}", elsewhere.text());
    assert_eq!(stage.sandbox().token_requests(Provider::Spotify), exchanged);
    assert_eq!(ada.stored(&stage).await[..2], [1, 1]);
    let linked = how_it_went(&client, &asked.link).await.result();
    assert_eq!(linked["structuredContent"]["status"], "linked", "a replay spoils nothing: {linked}");
}

#[tokio::test]
async fn answers_that_do_not_belong_here() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) =
        (Newcomer::arrive(&stage, &gateway, "ada").await, Newcomer::arrive(&stage, &gateway, "bob").await);
    let client = ada.client(&gateway);
    let Attempted { asked, browser, back } = attempt(&stage, &client).await;

    // None of these finds the link, so none of them ends it.
    let mut state = parameter(&back, "state");
    state.replace_range(10..11, if &state[10..11] == "x" { "y" } else { "x" });
    let elsewhere: Url = back.as_str().replace("/t/ada/", "/t/bob/").parse().unwrap();
    let mut twice = back.clone();
    twice.query_pairs_mut().append_pair("code", "another");
    let mut nothing = back.clone();
    nothing.set_query(None);
    let invented = [
        with_parameter(&back, "state", &state),
        with_parameter(&back, "state", "short"),
        elsewhere,
        twice,
        nothing,
    ];
    for (number, address) in invented.iter().enumerate() {
        let page = Browser::new().from_address(&format!("198.51.100.{number}")).open(address).await;
        assert_eq!(page.verdict(), "400 link_state_invalid", "{address}");
    }
    let stranger: Url = asked.page.as_str().replace("/t/ada/", "/t/bob/").parse().unwrap();
    let page = Browser::new().from_address("198.51.100.9").open(&stranger).await;
    assert_eq!(page.verdict(), "404 link_unknown", "another tenant's page looks like none at all");
    let waiting = how_it_went(&client, &asked.link).await.result();
    assert_eq!(waiting["structuredContent"]["status"], "pending", "{waiting}");
    assert_eq!(browser.open(&back).await.heading(), "Your Spotify account is linked");
    assert_eq!(bob.stored(&stage).await, [0, 0, 0]);

    // A handle works for the key that was given it, and for no other.
    let other = ada.tenant.key(&KeySpec::for_user(ada.user)).await;
    for thief in [gateway.client("ada", &other), bob.client(&gateway)] {
        assert_eq!(how_it_went(&thief, &asked.link).await.verdict(), "200 link_unknown");
    }
}

#[tokio::test]
async fn another_browser_another_provider_another_issuer() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let none = stage.sandbox().token_requests(Provider::Spotify);

    // Someone else's browser, or the right one with a value that it never got.
    let Attempted { asked, back, .. } = attempt(&stage, &client).await;
    let page = Browser::new().open(&back).await;
    let verdicts = failed(&stage, &ada, &client, &page, &asked.link).await;
    assert_eq!(verdicts, ["400 link_state_invalid", "200 link_state_invalid"]);
    let Attempted { asked, browser, back } = attempt(&stage, &client).await;
    browser.alter_cookies(|name, value| {
        if name.contains("link") {
            *value = value.chars().rev().collect();
        }
    });
    let page = browser.open(&back).await;
    let verdicts = failed(&stage, &ada, &client, &page, &asked.link).await;
    assert_eq!(verdicts, ["400 link_state_invalid", "200 link_state_invalid"]);

    let Attempted { asked, browser, back } = attempt(&stage, &client).await;
    let address = back.as_str().replace("/callback/spotify", "/callback/tidal").parse().unwrap();
    let page = browser.open(&address).await;
    let verdicts = failed(&stage, &ada, &client, &page, &asked.link).await;
    assert_eq!(verdicts, ["400 link_state_invalid", "200 link_state_invalid"]);

    let Attempted { asked, browser, back } = attempt(&stage, &client).await;
    let page = browser.open(&with_parameter(&back, "iss", "https://evil.example")).await;
    let verdicts = failed(&stage, &ada, &client, &page, &asked.link).await;
    assert_eq!(verdicts, ["400 link_issuer_mismatch", "200 link_issuer_mismatch"]);
    assert_eq!(stage.sandbox().token_requests(Provider::Spotify), none, "a code was tried");

    // Both providers with their right issuers.
    for (provider, issuer) in [(Provider::Spotify, "spotify/accounts"), (Provider::Tidal, "tidal/auth/v1")] {
        let issuer = format!("http://{}/{issuer}", stage.sandbox_address());
        stage.sandbox().send_issuer(provider, Some(issuer));
        let account = stage.sandbox().create_account(provider, "Robin", "DE");
        let asked = ask(&client, json!({ "provider": provider })).await;
        let last = link(&stage, &Browser::new(), &asked.page, &account).await;
        assert_eq!(last.verdict(), "200 ok", "{}", last.text());
    }
}

#[tokio::test]
async fn the_provider_changes_its_mind_or_fails() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let client = ada.client(&gateway);
    let exchange =
        |effect| FaultRule::new(Provider::Spotify, effect).grant_type("authorization_code").times(1);
    let faults = [
        // The consent is gone when the profile is asked for.
        exchange(Effect::RevokeConsents).after_work(),
        // It is gone before the code is exchanged.
        exchange(Effect::RevokeConsents),
        exchange(Effect::Status { status: 500, retry_after: None }),
        exchange(Effect::Garbage),
        exchange(Effect::CloseConnection).after_work(),
        FaultRule::new(Provider::Spotify, Effect::Status { status: 403, retry_after: None })
            .operation("GET /me")
            .times(1),
    ];
    for fault in faults {
        let Attempted { asked, browser, back } = attempt(&stage, &client).await;
        stage.sandbox().faults().push(fault.clone());
        let page = browser.open(&back).await;
        let verdicts = failed(&stage, &ada, &client, &page, &asked.link).await;
        assert_eq!(verdicts, ["502 link_failed", "200 link_failed"], "{fault:?}");
        assert!(page.text().contains("https://www.spotify.com/account/apps/"), "{}", page.text());
        stage.sandbox().faults().clear();
        let tried = stage.sandbox().token_requests(Provider::Spotify);
        let again = browser.open(&back).await;
        assert_eq!((again.verdict(), again.heading()), (page.verdict(), page.heading()), "{fault:?}");
        assert_eq!(
            stage.sandbox().token_requests(Provider::Spotify),
            tried,
            "a code is tried once: {fault:?}"
        );
    }
}

#[tokio::test]
async fn the_key_that_asked_is_withdrawn_meanwhile() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Newcomer::arrive(&stage, &gateway, "ada").await;
    let before = ask(&ada.client(&gateway), json!({ "provider": "spotify" })).await;
    let Attempted { browser, back, .. } = attempt(&stage, &ada.client(&gateway)).await;
    stage.sql(&format!("UPDATE api_keys SET revoked_at = now() WHERE key_id = '{}'", &ada.key[8..20])).await;
    let asked_of_provider = stage.sandbox().token_requests(Provider::Spotify);
    let page = browser.open(&back).await;
    assert_eq!(page.verdict(), "403 link_revoked", "{}", page.text());
    assert_eq!(page.heading(), "The agent may no longer ask");
    assert_eq!(stage.sandbox().token_requests(Provider::Spotify), asked_of_provider);
    assert_eq!(ada.stored(&stage).await, [0, 0, 0]);
    assert_eq!(browser.open(&before.page).await.verdict(), "403 link_revoked");

    ada.tenant.suspend().await;
    assert_eq!(
        browser.open(&before.page).await.verdict(),
        "404 link_unknown",
        "a suspended tenant has no pages"
    );
}
