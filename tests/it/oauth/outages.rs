//! Keys of issuers: rotated under way, out of reach, asked for once by many, and never at the pace of an attacker.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_testkit::{Client, FrozenClock, KeyKind, Stage, StageOptions, TestGateway, TestIssuer};

use super::{ALL_SCOPES, SUBJECT, assert_challenged, knock, resource, welcome};

#[tokio::test]
async fn a_rotation_is_followed_at_the_first_token_of_the_new_key() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let claims = issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES);
    let old = issuer.token(&claims);
    let calls =
        join_all((0..20).map(|_| async { knock(&gateway.client("ada", &old)).await.verdict() })).await;
    assert!(calls.iter().all(|verdict| verdict == "200 ok"), "{calls:?}");
    assert_eq!(issuer.times_asked(), 1, "one asks for all");

    // Both keys for a while, as issuers do: nobody notices.
    issuer.add("second", KeyKind::Ed25519);
    let new = issuer.token_of("second", &claims);
    for token in [&new, &old, &new] {
        assert_eq!(knock(&gateway.client("ada", token)).await.verdict(), "200 ok");
    }
    assert_eq!(issuer.times_asked(), 2);

    // All at once, as after a leak: the new key is found, and what the old one signed is worth nothing.
    clock.advance(Duration::from_secs(5));
    issuer.rotate("third", KeyKind::P256);
    let newest = issuer.token(&claims);
    let calls =
        join_all((0..20).map(|_| async { knock(&gateway.client("ada", &newest)).await.verdict() })).await;
    assert!(calls.iter().all(|verdict| verdict == "200 ok"), "{calls:?}");
    assert_eq!(issuer.times_asked(), 3);
    let refused = knock(&gateway.client("ada", &old).from_address("198.51.100.1")).await;
    assert_challenged(&refused, &gateway, "ada", "an old key's");
}

#[tokio::test]
async fn an_issuer_out_of_reach_costs_nothing_for_hours_and_then_everything() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.oauth.refresh_seconds = 300;
        config.oauth.outage_seconds = 3_600;
    })
    .await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let fresh = || issuer.token(&issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES));
    issuer.answer_with(Some(500));
    let down = knock(&gateway.client("ada", &fresh())).await;
    assert_eq!(down.verdict(), "503 issuer_unavailable", "nobody can tell yet");
    assert_eq!(down.header("retry-after"), Some("5"));
    let challenge = down.header("www-authenticate").unwrap();
    assert!(challenge.contains("resource_metadata=") && !challenge.contains("error="), "{challenge}");

    issuer.answer_with(None);
    assert_eq!(
        knock(&gateway.client("ada", &fresh())).await.verdict(),
        "503 issuer_unavailable",
        "asked just now"
    );
    clock.advance(Duration::from_secs(5));
    assert_eq!(knock(&gateway.client("ada", &fresh())).await.verdict(), "200 ok");

    // Known keys stay in use; a key that is not known cannot be told from a forged one.
    issuer.answer_with(Some(503));
    for minutes in [6, 20, 33] {
        clock.advance(Duration::from_mins(minutes));
        assert_eq!(
            knock(&gateway.client("ada", &fresh())).await.verdict(),
            "200 ok",
            "{minutes} minutes later"
        );
    }
    issuer.hide("hidden", KeyKind::Rsa);
    let claims = issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES);
    let unknown = gateway.client("ada", &issuer.token_of("hidden", &claims)).from_address("198.51.100.1");
    assert_eq!(knock(&unknown).await.verdict(), "503 issuer_unavailable");
    clock.advance(Duration::from_mins(1));
    assert_eq!(
        knock(&gateway.client("ada", &fresh())).await.verdict(),
        "503 issuer_unavailable",
        "after an hour"
    );

    issuer.answer_with(None);
    clock.advance(Duration::from_secs(5));
    assert_eq!(knock(&gateway.client("ada", &fresh())).await.verdict(), "200 ok", "it recovers by itself");
}

#[tokio::test]
async fn made_up_keys_have_the_issuer_asked_once_in_five_seconds() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let claims = issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES);
    assert_eq!(knock(&gateway.client("ada", &issuer.token(&claims))).await.verdict(), "200 ok");
    for round in 0..2 {
        for number in 0..20 {
            let header = format!("{{\"alg\":\"RS256\",\"kid\":\"made-up-{round}-{number}\"}}");
            let token = issuer.sign("first", &header, &claims.to_string());
            let address = format!("198.51.{round}.{}", number + 1);
            let client = Client::new(gateway.address(), "ada", Some(&token)).from_address(&address);
            assert_challenged(&knock(&client).await, &gateway, "ada", &header);
        }
        assert_eq!(issuer.times_asked(), 2 + round, "for whoever makes ids up");
        clock.advance(Duration::from_secs(5));
    }
}

#[tokio::test]
async fn keys_are_only_fetched_where_issuers_may_be_and_of_whom_they_say() {
    let stage = Stage::start().await;
    let inside = TestGateway::start_with(&stage, |config| config.oauth.allowed_networks.clear()).await;
    let secure = TestGateway::start_with(&stage, |config| config.oauth.allow_http = false).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    for gateway in [&inside, &secure] {
        let token = issuer.token(&issuer.claims(&resource(gateway, "ada"), SUBJECT, ALL_SCOPES));
        assert_eq!(knock(&gateway.client("ada", &token)).await.verdict(), "503 issuer_unavailable");
    }
    assert_eq!(issuer.times_asked(), 0, "loopback is no place for an issuer unless the operator says so");

    let gateway = TestGateway::start(&stage).await;
    issuer.pretend("https://login.example.com");
    let token = issuer.token(&issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES));
    assert_eq!(knock(&gateway.client("ada", &token)).await.verdict(), "503 issuer_unavailable");
    assert_eq!(issuer.times_asked(), 0, "a description of another issuer says nothing (RFC 8414 §3.3)");

    let bob = stage.inhabit("bob").await;
    let _person = bob.tenant.person_called(SUBJECT).await;
    bob.tenant.register(&issuer, |registered| registered.jwks_uri = Some(issuer.jwks_uri())).await;
    let token = issuer.token(&issuer.claims(&resource(&gateway, "bob"), SUBJECT, ALL_SCOPES));
    assert_eq!(knock(&gateway.client("bob", &token)).await.verdict(), "200 ok", "where it was told to look");
}
