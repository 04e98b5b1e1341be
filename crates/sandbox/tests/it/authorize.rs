//! Consent: the checks before it, the page for people, codes and how they end.

use chrono::TimeDelta;
use reqwest::header::{CONTENT_SECURITY_POLICY, LOCATION};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{AuthorizeRefusal, RedirectUriError};
use url::Url;

use crate::common::{Stage, send};

/// RFC 7636 Appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://127.0.0.1:8080/callback?way=here";
const EVERY: [Provider; 2] = [Provider::Spotify, Provider::Tidal];

/// A stage whose app may send people back to `CALLBACK`.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    for provider in EVERY {
        stage.sandbox.register_redirect_uri(provider, "app", CALLBACK).unwrap();
    }
    stage
}

/// A good request, with some parameters changed; an empty value leaves one out.
fn address(stage: &Stage, provider: Provider, changes: &[(&str, &str)]) -> Url {
    let (path, scope) = match provider {
        Provider::Spotify => ("/spotify/accounts/authorize", "user-read-private playlist-read-private"),
        Provider::Tidal => ("/tidal/login/authorize", "user.read playlists.read"),
    };
    let good = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("scope", scope),
        ("state", "xyz&1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let value = |(name, value): (&'static str, &'static str)| {
        let changed = changes.iter().find(|(wanted, _)| *wanted == name);
        (name, changed.map_or(value, |(_, value)| *value).to_owned())
    };
    let pairs = good.into_iter().map(value).filter(|(_, value)| !value.is_empty());
    Url::parse_with_params(&format!("{}{path}", stage.base), pairs).unwrap()
}

fn answer(back: &Url, name: &str) -> Option<String> {
    back.query_pairs().find(|(held, _)| held == name).map(|(_, value)| value.into_owned())
}

fn account(stage: &Stage, provider: Provider) -> &str {
    &stage.accounts[usize::from(provider == Provider::Tidal)]
}

/// A code for the stage's account.
fn code(stage: &Stage, provider: Provider) -> String {
    let back = stage.sandbox.authorize(provider, account(stage, provider), &address(stage, provider, &[]));
    answer(&back.unwrap(), "code").unwrap()
}

async fn exchange(
    stage: &Stage,
    provider: Provider,
    code: &str,
    changes: &[(&str, &str)],
) -> (StatusCode, Value) {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("client_secret", "secret"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let changed = |(name, value)| {
        let change = changes.iter().find(|(wanted, _)| *wanted == name);
        (name, change.map_or(value, |(_, value)| *value))
    };
    let form: Vec<_> = form.into_iter().map(changed).filter(|(_, value)| !value.is_empty()).collect();
    stage.token(provider, &form).await
}

/// A browser that does not follow redirects.
fn browser() -> Client {
    Client::builder().redirect(redirect::Policy::none()).build().unwrap()
}

fn location(response: &Response) -> Url {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()[LOCATION].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_is_not_known_is_never_sent_anywhere() {
    let stage = stage().await;
    for provider in EVERY {
        for (change, refusal) in [
            (("client_id", "nobody"), AuthorizeRefusal::UnknownClient),
            (("client_id", ""), AuthorizeRefusal::UnknownClient),
            (("redirect_uri", ""), AuthorizeRefusal::UnknownRedirectUri),
            (("redirect_uri", "https://evil.example/callback"), AuthorizeRefusal::UnknownRedirectUri),
            (("redirect_uri", "http://127.0.0.1:8080/callback"), AuthorizeRefusal::UnknownRedirectUri),
        ] {
            let address = address(&stage, provider, &[change]);
            assert_eq!(stage.sandbox.authorize(provider, "any", &address), Err(refusal), "{change:?}");
            let shown = browser().get(address).send().await.unwrap();
            assert_eq!(shown.status(), StatusCode::BAD_REQUEST);
            assert!(!shown.headers().contains_key(LOCATION));
            assert!(shown.text().await.unwrap().contains(&refusal.to_string()));
        }
        let mut twice = address(&stage, provider, &[]);
        twice.query_pairs_mut().append_pair("redirect_uri", CALLBACK);
        let outcome = stage.sandbox.deny(provider, &twice);
        assert_eq!(outcome, Err(AuthorizeRefusal::UnknownRedirectUri));
    }
    let nobody = stage.sandbox.register_redirect_uri(Provider::Tidal, "nobody", CALLBACK);
    assert_eq!(nobody, Err(RedirectUriError::UnknownApp));
    let localhost = stage.sandbox.register_redirect_uri(Provider::Spotify, "app", "http://localhost:8080/cb");
    assert_eq!(localhost, Err(RedirectUriError::NotSecure));
}

#[tokio::test]
async fn a_wrong_request_goes_back_with_its_error_and_state() {
    let stage = stage().await;
    for provider in EVERY {
        for (change, error) in [
            (("response_type", ""), "invalid_request"),
            (("response_type", "token"), "unsupported_response_type"),
            (("code_challenge", ""), "invalid_request"),
            (("code_challenge", "short"), "invalid_request"),
            (("code_challenge_method", ""), "invalid_request"),
            (("code_challenge_method", "plain"), "invalid_request"),
            (("scope", "everything"), "invalid_scope"),
        ] {
            let address = address(&stage, provider, &[change]);
            let back = location(&browser().get(address.clone()).send().await.unwrap());
            assert!(back.as_str().starts_with(CALLBACK), "{back}");
            assert_eq!(answer(&back, "error").as_deref(), Some(error), "{change:?}");
            assert_eq!(answer(&back, "state").as_deref(), Some("xyz&1"));
            let same = stage.sandbox.authorize(provider, account(&stage, provider), &address).unwrap();
            assert_eq!(same, back);
        }
        let outcome = stage.sandbox.authorize(provider, "nobody", &address(&stage, provider, &[]));
        assert_eq!(outcome, Err(AuthorizeRefusal::UnknownAccount));
    }
}

#[tokio::test]
async fn a_person_chooses_an_account_or_makes_one_or_declines() {
    let stage = stage().await;
    let browser = browser();
    for provider in EVERY {
        stage.sandbox.create_account(provider, "<b>Bo</b> \"&", "DE");
        let address = address(&stage, provider, &[("state", "\"><script>")]);
        let page = browser.get(address.clone()).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
        let text = page.text().await.unwrap();
        assert!(text.contains("&lt;b&gt;Bo&lt;/b&gt; &quot;&amp;") && !text.contains("<b>"), "{text}");
        assert!(!text.contains("<script"), "{text}");
        let action = text.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
        let action = address.join(&action.replace("&amp;", "&")).unwrap();
        assert_eq!(action.query_pairs().collect::<Vec<_>>(), address.query_pairs().collect::<Vec<_>>());

        let choose =
            async |form: &[(&str, &str)]| browser.post(action.clone()).form(form).send().await.unwrap();
        let back = location(&choose(&[("decision", "deny"), ("account", "new")]).await);
        assert_eq!(answer(&back, "error").as_deref(), Some("access_denied"));
        assert_eq!(answer(&back, "state").as_deref(), Some("\"><script>"));
        for wrong in [
            &[("account", account(&stage, provider))][..],
            &[("decision", "allow")],
            &[("decision", "allow"), ("account", "new"), ("country", "DE")],
            &[("decision", "allow"), ("account", "new"), ("name", "Cy"), ("country", "Germany")],
            &[("decision", "allow"), ("account", "nobody")],
            &[("decision", "allow"), ("account", account(&stage, provider)), ("name", "Cy")],
        ] {
            let page = choose(wrong).await;
            assert_eq!(page.status(), StatusCode::BAD_REQUEST, "{wrong:?}");
            assert!(page.text().await.unwrap().contains("role=\"alert\""), "{wrong:?}");
        }
        let known = [("decision", "allow"), ("account", account(&stage, provider))];
        let new = [("decision", "allow"), ("account", "new"), ("name", "Cy"), ("country", "fr")];
        for (form, name, country) in [(&known[..], "Ada", "SE"), (&new[..], "Cy", "FR")] {
            let back = location(&choose(form).await);
            let (status, tokens) = exchange(&stage, provider, &answer(&back, "code").unwrap(), &[]).await;
            assert_eq!(status, StatusCode::OK);
            let token = tokens["access_token"].as_str().unwrap();
            let (path, found_name, found_country) = match provider {
                Provider::Spotify => ("/spotify/v1/me", "/display_name", "/country"),
                Provider::Tidal => {
                    ("/tidal/v2/users/me", "/data/attributes/username", "/data/attributes/country")
                }
            };
            let (_, me) = send(stage.client.get(format!("{}{path}", stage.base)).bearer_auth(token)).await;
            assert_eq!(
                (me.pointer(found_name).unwrap(), me.pointer(found_country).unwrap()),
                (&name.into(), &country.into())
            );
        }
    }
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes_and_once() {
    let stage = stage().await;
    for provider in EVERY {
        let late = code(&stage, provider);
        stage.clock.advance(TimeDelta::minutes(10));
        let (status, body) = exchange(&stage, provider, &late, &[]).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));

        let in_time = code(&stage, provider);
        stage.clock.advance(TimeDelta::seconds(599));
        let (status, first) = exchange(&stage, provider, &in_time, &[]).await;
        assert_eq!((status, &first["expires_in"]), (StatusCode::OK, &3600.into()));
        let refresh = |token: &Value| {
            let form = [("grant_type", "refresh_token"), ("client_id", "app")];
            let token = token.as_str().unwrap().to_owned();
            let stage = &stage;
            async move { stage.token(provider, &[form[0], form[1], ("refresh_token", &token)]).await }
        };
        let (_, second) = refresh(&first["refresh_token"]).await;
        let (_, again) = exchange(&stage, provider, &in_time, &[]).await;
        assert_eq!(again["error"], "invalid_grant");
        let (_, dead) = refresh(&second["refresh_token"]).await;
        assert_eq!(dead["error"], "invalid_grant", "what the code gave has ended, refreshed or not");
    }
}

#[tokio::test]
async fn a_code_is_bound_to_client_secret_address_and_challenge() {
    let stage = stage().await;
    for provider in EVERY {
        stage.sandbox.register_app(provider, "other", "secret");
        for (change, error) in [
            (("client_id", "other"), "invalid_grant"),
            (("client_secret", ""), "invalid_client"),
            (("client_secret", "wrong"), "invalid_client"),
            (("redirect_uri", "http://127.0.0.1:8080/callback"), "invalid_grant"),
            (("redirect_uri", ""), "invalid_request"),
            (("code_verifier", CHALLENGE), "invalid_grant"),
            (("code_verifier", ""), "invalid_request"),
            (("code", "0000"), "invalid_grant"),
        ] {
            let (_, body) = exchange(&stage, provider, &code(&stage, provider), &[change]).await;
            assert_eq!(body["error"], error, "{change:?}");
        }
    }
}

#[tokio::test]
async fn ended_consents_take_codes_and_tokens_of_that_client_only() {
    let stage = stage().await;
    let provider = Provider::Tidal;
    stage.sandbox.register_app(provider, "other", "secret");
    let other = stage.sandbox.grant(provider, &stage.accounts[1], "other", &["user.read"]);
    let code = code(&stage, provider);
    stage.sandbox.revoke_consent(provider, &stage.accounts[1], "app");
    assert_eq!(exchange(&stage, provider, &code, &[]).await.1["error"], "invalid_grant");
    let me =
        |token: &str| send(stage.client.get(format!("{}/tidal/v2/users/me", stage.base)).bearer_auth(token));
    assert_eq!(me(&stage.grants[1].access_token).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(me(&other.access_token).await.0, StatusCode::OK);

    let revoke = async |token: &str, secret: &str| {
        let form = [("token", token), ("token_type_hint", "nonsense")];
        let url = format!("{}/tidal/auth/v1/oauth2/revoke", stage.base);
        send(stage.client.post(url).basic_auth("other", Some(secret)).form(&form)).await
    };
    assert_eq!(revoke(&other.refresh_token, "wrong").await.1["error"], "invalid_client");
    let again = stage.sandbox.grant(provider, &stage.accounts[1], "app", &["user.read"]);
    assert_eq!(revoke(&again.refresh_token, "secret").await.1["error"], "invalid_grant", "another client's");
    assert_eq!(revoke("unknown", "secret").await, (StatusCode::OK, Value::Null));
    assert_eq!(revoke(&other.refresh_token, "secret").await, (StatusCode::OK, Value::Null));
    assert_eq!(me(&other.access_token).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(me(&again.access_token).await.0, StatusCode::OK);
}

#[tokio::test]
async fn fewer_scopes_and_any_issuer_can_be_scripted() {
    let stage = stage().await;
    let provider = Provider::Spotify;
    let address = address(&stage, provider, &[]);
    stage.sandbox.send_issuer(provider, Some("https://evil.example".to_owned()));
    let scopes = ["user-read-private"];
    let back = stage.sandbox.authorize_scopes(provider, &stage.accounts[0], &address, &scopes).unwrap();
    assert_eq!(answer(&back, "iss").as_deref(), Some("https://evil.example"));
    let (_, tokens) = exchange(&stage, provider, &answer(&back, "code").unwrap(), &[]).await;
    assert_eq!(tokens["scope"], "user-read-private");
    stage.sandbox.send_issuer(provider, None);
    assert_eq!(answer(&stage.sandbox.deny(provider, &address).unwrap(), "iss"), None);
}

#[tokio::test]
async fn the_log_and_the_counters_hold_no_secrets() {
    let stage = stage().await;
    for provider in EVERY {
        let address = address(&stage, provider, &[]);
        let form = [("decision", "allow"), ("account", account(&stage, provider))];
        let back = location(&browser().post(address).form(&form).send().await.unwrap());
        let code = answer(&back, "code").unwrap();
        let (_, tokens) = exchange(&stage, provider, &code, &[]).await;
        stage.token(provider, &[("grant_type", "nonsense"), ("client_id", "app")]).await;
        let url = format!("{}/tidal/auth/v1/oauth2/revoke", stage.base);
        let revoke = [("token", tokens["refresh_token"].as_str().unwrap()), ("client_secret", "secret")];
        stage.client.post(url).form(&revoke).send().await.unwrap();

        let log = serde_json::to_string(&stage.sandbox.request_log()).unwrap();
        for secret in [&code, "xyz", VERIFIER, CHALLENGE, "=secret", revoke[0].1] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
        assert!(log.contains("code_challenge_method=S256") && log.contains("decision=allow"), "{log}");
        let counted = stage.sandbox.token_requests(provider);
        let expected = [("authorization_code".to_owned(), 1), ("other".to_owned(), 1)];
        assert_eq!(counted.into_iter().collect::<Vec<_>>(), expected);
    }
}
