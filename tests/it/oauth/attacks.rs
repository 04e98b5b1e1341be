//! The attacks on tokens (RFC 8725): each is refused with the same answer, and nothing is asked of anyone on an attacker's
//! word.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use stagedoor_testkit::{Client, FrozenClock, KeyKind, Stage, StageOptions, TestGateway, TestIssuer};

use super::{ALL_SCOPES, SUBJECT, assert_challenged, knock, resource, welcome};

fn hmac_token(header: &str, claims: &Value, secret: &[u8]) -> String {
    TestIssuer::sign_with_secret(header, &claims.to_string(), secret)
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut changed = claims.clone();
    changed[name] = value;
    changed
}

fn without(claims: &Value, name: &str) -> Value {
    let mut changed = claims.clone();
    changed.as_object_mut().unwrap().remove(name);
    changed
}

#[tokio::test]
async fn every_wrong_token_has_one_answer() {
    let clock = Arc::new(FrozenClock::now());
    let stage = Stage::start_with(StageOptions { clock: clock.clone(), ..StageOptions::default() }).await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let stranger = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let _bob = welcome(&stage, "bob", &issuer).await;
    let (ours, theirs) = (resource(&gateway, "ada"), resource(&gateway, "bob"));
    let good = issuer.claims(&ours, SUBJECT, ALL_SCOPES);
    let now = stage.clock().now().timestamp();
    issuer.add("curve", KeyKind::P256);
    issuer.add("edwards", KeyKind::Ed25519);
    issuer.hide("hidden", KeyKind::Rsa);
    let header = |text: &str| format!("{{\"alg\":\"RS256\",\"kid\":\"first\",\"typ\":\"at+jwt\"{text}}}");
    let signed = |claims: &Value| issuer.token_of("first", claims);
    let titled = |header: &str| issuer.sign("first", header, &good.to_string());
    let pem = format!(
        "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
        STANDARD.encode(issuer.public_der("first"))
    );
    let modulus = issuer.jwk("first")["n"].as_str().unwrap().to_owned();
    let confused = r#"{"alg":"HS256","kid":"first","typ":"at+jwt"}"#;
    let half = signed(&good);
    let (head, signature) = half.rsplit_once('.').unwrap();
    let elsewhere = signed(&with(&good, "aud", json!(theirs)));

    let attacks: Vec<(&str, String)> = vec![
        // No signature, in every spelling.
        (
            "none",
            format!(
                "{}.{}.",
                URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"first"}"#),
                URL_SAFE_NO_PAD.encode(good.to_string())
            ),
        ),
        ("none, signed", titled(r#"{"alg":"none","kid":"first"}"#)),
        ("NoNe", titled(r#"{"alg":"NoNe","kid":"first"}"#)),
        ("an empty algorithm", titled(r#"{"alg":"","kid":"first"}"#)),
        ("no algorithm", titled(r#"{"kid":"first"}"#)),
        ("the signature cut off", format!("{head}.")),
        ("half of the signature", format!("{head}.{}", &signature[..signature.len() / 2])),
        // The public key as a shared secret.
        ("HS256 with the key's DER", hmac_token(confused, &good, &issuer.public_der("first"))),
        ("HS256 with the key's PEM", hmac_token(confused, &good, pem.as_bytes())),
        ("HS256 with the modulus", hmac_token(confused, &good, modulus.as_bytes())),
        ("HS256 with nothing", hmac_token(confused, &good, b"")),
        ("an HMAC that says RS256", hmac_token(&header(""), &good, &issuer.public_der("first"))),
        // Another algorithm than the key's, or than the issuer's list.
        (
            "RS256 with a key of a curve",
            issuer.sign("curve", &header("").replace("first", "curve"), &good.to_string()),
        ),
        ("ES256 with the RSA key", titled(r#"{"alg":"ES256","kid":"first","typ":"at+jwt"}"#)),
        (
            "EdDSA with a key of another curve",
            issuer.sign("curve", r#"{"alg":"EdDSA","kid":"curve"}"#, &good.to_string()),
        ),
        ("RS512, which is not on the list", titled(r#"{"alg":"RS512","kid":"first","typ":"at+jwt"}"#)),
        ("PS256 signed as RS256", titled(r#"{"kid":"first","alg":"PS384"}"#)),
        // Whom it is for, and who says so.
        ("the other tenant's", elsewhere.clone()),
        ("no audience", signed(&without(&good, "aud"))),
        ("an audience that begins like ours", signed(&with(&good, "aud", json!(format!("{ours}/"))))),
        (
            "an audience that ours begins like",
            signed(&with(&good, "aud", json!(ours.trim_end_matches("/mcp")))),
        ),
        ("a list of other audiences", signed(&with(&good, "aud", json!([theirs, "https://example.com"])))),
        ("only for the narrow path", signed(&with(&good, "aud", json!(format!("{ours}/readonly"))))),
        ("the client's own id as audience", signed(&with(&good, "aud", json!("an-agent")))),
        ("no issuer", signed(&without(&good, "iss"))),
        ("a stranger's", stranger.token(&stranger.claims(&ours, SUBJECT, ALL_SCOPES))),
        ("a stranger in our issuer's name", stranger.token(&good)),
        ("our issuer with a slash", signed(&with(&good, "iss", json!(format!("{}/", issuer.url()))))),
        ("our issuer in capitals", signed(&with(&good, "iss", json!(issuer.url().to_uppercase())))),
        ("a list of issuers", signed(&with(&good, "iss", json!([issuer.url()])))),
        // When.
        ("expired", signed(&with(&good, "exp", json!(now - 61)))),
        ("expired just now", signed(&with(&good, "exp", json!(now - 60)))),
        ("without an end", signed(&without(&good, "exp"))),
        ("an end in words", signed(&with(&good, "exp", json!((now + 60).to_string())))),
        ("an end beyond all time", signed(&with(&good, "exp", json!(1e30)))),
        ("not yet", signed(&with(&good, "nbf", json!(now + 61)))),
        ("issued tomorrow", signed(&with(&good, "iat", json!(now + 86_400)))),
        // Which key: by path, by query, by address, by the token itself.
        ("no kid", titled(r#"{"alg":"RS256","typ":"at+jwt"}"#)),
        ("a kid of nobody", titled(&header("").replace("first", "second"))),
        ("a kid that is a path", titled(&header("").replace("first", "../../../../dev/null"))),
        ("a kid that is a query", titled(&header("").replace("first", "' OR '1'='1"))),
        ("a kid that is an address", titled(&header("").replace("first", &stranger.jwks_uri()))),
        ("a kid that is a list", titled(r#"{"alg":"RS256","kid":["first"],"typ":"at+jwt"}"#)),
        ("a hidden key", issuer.token_of("hidden", &good)),
        (
            "jku",
            stranger.sign(
                "first",
                &header(&format!(",\"jku\":\"{}\"", stranger.jwks_uri())),
                &good.to_string(),
            ),
        ),
        (
            "x5u",
            stranger.sign(
                "first",
                &header(&format!(",\"x5u\":\"{}\"", stranger.jwks_uri())),
                &good.to_string(),
            ),
        ),
        (
            "jwk",
            stranger.sign(
                "first",
                &header(&format!(",\"jwk\":{}", stranger.jwk("first"))),
                &good.to_string(),
            ),
        ),
        ("crit", titled(&header(",\"crit\":[\"exp\"]"))),
        ("b64", titled(&header(",\"b64\":false,\"crit\":[\"b64\"]"))),
        // What it is.
        ("a logout token", titled(&header("").replace("at+jwt", "logout+jwt"))),
        ("bound to a key of its holder", signed(&with(&good, "cnf", json!({"jkt": "a"})))),
        ("nobody", signed(&without(&good, "sub"))),
        ("someone unknown", signed(&with(&good, "sub", json!("nobody|9")))),
        ("someone with a control character", signed(&with(&good, "sub", json!(format!("{SUBJECT}\u{0}"))))),
        ("a subject that is a number", signed(&with(&good, "sub", json!(7)))),
        // What stands twice, is too much, or is not what it seems.
        ("the algorithm twice", titled(r#"{"alg":"none","alg":"RS256","kid":"first"}"#)),
        (
            "the audience twice",
            issuer.sign(
                "first",
                &header(""),
                &good.to_string().replacen('{', &format!("{{\"aud\":\"{theirs}\","), 1),
            ),
        ),
        (
            "the subject twice, once escaped",
            issuer.sign(
                "first",
                &header(""),
                &good.to_string().replacen('{', "{\"\\u0073ub\":\"nobody\",", 1),
            ),
        ),
        ("claims of a list", issuer.sign("first", &header(""), "[]")),
        (
            "claims nested deep",
            issuer.sign(
                "first",
                &header(""),
                &with(
                    &good,
                    "x",
                    serde_json::from_str(&format!("{}{}", "[".repeat(60), "]".repeat(60))).unwrap(),
                )
                .to_string(),
            ),
        ),
        ("oversized", signed(&with(&good, "x", json!("x".repeat(9_000))))),
        ("altered claims", altered(&half, 1)),
        ("an altered header", altered(&half, 0)),
        ("an altered signature", altered(&half, 2)),
        ("padded", format!("{half}=")),
        ("four parts", format!("{half}.{signature}")),
    ];
    let asked = stranger.times_asked();
    for (number, (what, token)) in attacks.iter().enumerate() {
        // Each from a network of its own: guesses are counted by network.
        let address = format!("198.51.{}.{}", number / 200, number % 200 + 1);
        let client = Client::new(gateway.address(), "ada", Some(token)).from_address(&address);
        assert_challenged(&knock(&client).await, &gateway, "ada", what);
    }
    assert_eq!(stranger.times_asked(), asked, "an attacker's word sent us somewhere");
    assert!(stage.sandbox().requests(stagedoor_domain::Provider::Spotify).is_empty());
    for token in [signed(&good), issuer.token_of("curve", &good), issuer.token_of("edwards", &good)] {
        let answer = knock(&gateway.client("ada", &token)).await;
        assert_eq!(answer.verdict(), "200 ok", "a good one goes on working: {}", answer.text());
    }
    let padded = issuer.sign("first", r#"{"alg":"PS256","kid":"first"}"#, &good.to_string());
    assert_eq!(
        knock(&gateway.client("ada", &padded)).await.verdict(),
        "200 ok",
        "RSA with the other padding"
    );
    assert_eq!(
        knock(&gateway.client("bob", &elsewhere)).await.verdict(),
        "200 ok",
        "it is good where it is for"
    );
    for leeway in [with(&good, "exp", json!(now - 59)), with(&good, "nbf", json!(now + 60))] {
        assert_eq!(knock(&gateway.client("ada", &signed(&leeway))).await.verdict(), "200 ok", "{leeway}");
    }
}

/// The token with one character of one of its parts changed.
fn altered(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let middle = parts[part].len() / 2;
    let other = if parts[part].as_bytes()[middle] == b'A' { "B" } else { "A" };
    parts[part].replace_range(middle..=middle, other);
    parts.join(".")
}

#[tokio::test]
async fn guesses_of_a_network_are_counted_and_late_tokens_are_none() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let good = issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES);
    let over = issuer.token(&with(&good, "exp", json!(1_700_000_000)));
    let client = |token: &str| gateway.client("ada", token).from_address("198.51.100.7");
    for _ in 0..10 {
        assert_eq!(knock(&client(&over)).await.verdict(), "401 unauthenticated", "clients renew such tokens");
    }
    let wrong = altered(&issuer.token(&good), 2);
    for _ in 0..5 {
        assert_eq!(knock(&client(&wrong)).await.verdict(), "401 unauthenticated");
    }
    assert_eq!(knock(&client(&wrong)).await.verdict(), "429 too_many_attempts");
    assert_eq!(
        knock(&client(&issuer.token(&good))).await.verdict(),
        "200 ok",
        "a good one is not locked out"
    );
}
