//! Linking and unlinking an account: consent, code, profile, revocation; against the sandbox, and a scripted server
//! for what the sandbox would not say.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use stagedoor_domain::Provider;
use stagedoor_providers::{
    Access, Profile, ProviderApp, ProviderError, ProviderHttp, Providers, Revocation, TokenGrant,
    TransportError,
};
use stagedoor_sandbox::{Effect, FaultRule};

use crate::fixture::{
    Fixture, FrozenClock, STATE, VERIFIER, answer, app, context, options, redirect_uri, scopes,
};
use crate::scripted::{Scripted, json};

async fn exchange(fixture: &Fixture, code: &SecretString) -> Result<TokenGrant, ProviderError> {
    let verifier = VERIFIER.into();
    fixture.music().exchange_code(&fixture.ctx, &fixture.app, code, &verifier, &redirect_uri()).await
}

async fn profile(fixture: &Fixture, token: &SecretString) -> Result<Profile, ProviderError> {
    let access = Access { token, ..fixture.access() };
    fixture.music().profile(&fixture.ctx, &access).await
}

#[tokio::test]
async fn consent_becomes_tokens_and_tokens_say_whose_they_are() {
    for provider in Provider::ALL.iter().copied() {
        let fixture = Fixture::start(provider).await;
        let own = match provider {
            Provider::Spotify => "user-read-private",
            Provider::Tidal => "user.read",
        };
        let address = fixture.authorize_url(&[own, scopes(provider)[0]]);
        let back = fixture.sandbox.authorize(provider, &fixture.account, &address).unwrap();
        assert!(back.as_str().starts_with(redirect_uri().as_str()), "{back}");
        assert_eq!((answer(&back, "state").as_deref(), answer(&back, "iss")), (Some(STATE), None));

        let grant = exchange(&fixture, &answer(&back, "code").unwrap().into()).await.unwrap();
        assert_eq!(grant.scopes, [own, scopes(provider)[0]]);
        assert!(grant.refresh_token.is_some() && grant.expires_in.as_secs() == 3600);
        let found = profile(&fixture, &grant.access_token).await.unwrap();
        let (name, country) = (Some("Ada".to_owned()), Some("DE".to_owned()));
        assert_eq!(found, Profile { account_id: fixture.account.clone(), name, country });
    }
}

#[tokio::test]
async fn the_country_takes_a_scope_at_spotify() {
    let fixture = Fixture::start(Provider::Spotify).await;
    let found = profile(&fixture, &fixture.token_with(&[])).await.unwrap();
    assert_eq!((found.account_id, found.country), (fixture.account.clone(), None));
}

#[tokio::test]
async fn a_code_works_once_and_a_second_use_ends_what_it_gave() {
    for provider in Provider::ALL.iter().copied() {
        let fixture = Fixture::start(provider).await;
        let code = fixture.code();
        let grant = exchange(&fixture, &code).await.unwrap();
        let error = exchange(&fixture, &code).await.unwrap_err();
        assert!(matches!(error, ProviderError::InvalidGrant { .. }), "{error:?}");
        let error = profile(&fixture, &grant.access_token).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unauthorized { .. }), "{error:?}");
        profile(&fixture, &fixture.token).await.unwrap();
    }
}

#[tokio::test]
async fn a_code_belongs_to_its_client_its_address_and_its_verifier() {
    for provider in Provider::ALL.iter().copied() {
        let fixture = Fixture::start(provider).await;
        let (music, ctx) = (fixture.music(), &fixture.ctx);
        let wrong_verifier: SecretString = "another-verifier-of-the-right-length-0123456789".into();
        let outcome =
            music.exchange_code(ctx, &fixture.app, &fixture.code(), &wrong_verifier, &redirect_uri()).await;
        assert!(matches!(outcome, Err(ProviderError::InvalidGrant { .. })), "{outcome:?}");

        let elsewhere = redirect_uri().join("/elsewhere").unwrap();
        let outcome =
            music.exchange_code(ctx, &fixture.app, &fixture.code(), &VERIFIER.into(), &elsewhere).await;
        assert!(matches!(outcome, Err(ProviderError::InvalidGrant { .. })), "{outcome:?}");

        let wrong_secret = ProviderApp { client_secret: Some("wrong".into()), ..fixture.app.clone() };
        for app in [wrong_secret, ProviderApp { client_secret: None, ..fixture.app.clone() }] {
            let outcome =
                music.exchange_code(ctx, &app, &fixture.code(), &VERIFIER.into(), &redirect_uri()).await;
            assert!(matches!(outcome, Err(ProviderError::Misconfigured { .. })), "{outcome:?}");
        }

        let code = fixture.code();
        fixture.sandbox.register_public_app(provider, "public");
        let public =
            ProviderApp { client_id: "public".to_owned(), client_secret: None, ..fixture.app.clone() };
        let outcome = music.exchange_code(ctx, &public, &code, &VERIFIER.into(), &redirect_uri()).await;
        assert!(matches!(outcome, Err(ProviderError::InvalidGrant { .. })), "{outcome:?}");
        exchange(&fixture, &code).await.unwrap();
    }
}

#[tokio::test]
async fn consent_can_end_half_way() {
    for provider in Provider::ALL.iter().copied() {
        let fixture = Fixture::start(provider).await;
        let code = fixture.code();
        fixture.sandbox.revoke_consent(provider, &fixture.account, &fixture.app.client_id);
        let error = exchange(&fixture, &code).await.unwrap_err();
        assert!(matches!(error, ProviderError::InvalidGrant { .. }), "{error:?}");

        let code = fixture.code();
        let fault = FaultRule::new(provider, Effect::RevokeConsents).grant_type("authorization_code");
        fixture.sandbox.faults().push(fault.after_work().times(1));
        let grant = exchange(&fixture, &code).await.unwrap();
        let error = profile(&fixture, &grant.access_token).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unauthorized { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_code_is_sent_once_whatever_becomes_of_the_answer() {
    for provider in Provider::ALL.iter().copied() {
        let fixture = Fixture::start(provider).await;
        for effect in [Effect::CloseConnection, Effect::status(503), Effect::Garbage] {
            fixture.sandbox.reset_requests();
            let fault = FaultRule::new(provider, effect.clone()).grant_type("authorization_code");
            fixture.sandbox.faults().push(fault.after_work().times(1));
            let code = fixture.code();
            let error = exchange(&fixture, &code).await.unwrap_err();
            assert!(error.uncertain() && !error.retryable(), "{error:?}");
            let sent = fixture.sandbox.token_requests(provider);
            assert_eq!(sent.into_iter().collect::<Vec<_>>(), [("authorization_code".to_owned(), 1)]);
            let shown = format!("{error} {error:?} {:?}", error.public());
            assert!(!shown.contains(code.expose_secret()) && !shown.contains(VERIFIER), "{shown}");
        }
    }
}

#[tokio::test]
async fn the_issuer_is_the_one_that_the_answer_names() {
    for (provider, api, auth, expected, page) in [
        (
            Provider::Spotify,
            "https://api.spotify.com/v1",
            "https://accounts.spotify.com",
            "https://accounts.spotify.com",
            "https://accounts.spotify.com/authorize?",
        ),
        (
            Provider::Tidal,
            "https://openapi.tidal.com/v2",
            "https://auth.tidal.com/",
            "https://auth.tidal.com/v1",
            "https://login.tidal.com/authorize?",
        ),
    ] {
        let mut fixture = Fixture::start(provider).await;
        let issuer = fixture.music().issuer(&fixture.app);
        fixture.sandbox.send_issuer(provider, Some(issuer.clone()));
        let address = fixture.authorize_url(&[]);
        let back = fixture.sandbox.authorize(provider, &fixture.account, &address).unwrap();
        assert_eq!(answer(&back, "iss"), Some(issuer));
        assert!(answer(&fixture.sandbox.deny(provider, &address).unwrap(), "iss").is_some());

        fixture.app = app(provider, api.parse().unwrap(), auth.parse().unwrap());
        assert_eq!(fixture.music().issuer(&fixture.app), expected);
        assert!(fixture.authorize_url(&[]).as_str().starts_with(page));
        fixture.app.authorize_url = Some("https://consent.example/ask?a=b".parse().unwrap());
        let address = fixture.authorize_url(scopes(provider));
        assert!(
            address.as_str().starts_with("https://consent.example/ask?a=b&response_type=code&"),
            "{address}"
        );
        let dialog = answer(&address, "show_dialog");
        assert_eq!(dialog.as_deref(), (provider == Provider::Spotify).then_some("true"));
    }
}

#[tokio::test]
async fn tidal_ends_a_grant_and_spotify_says_where_the_person_can() {
    let fixture = Fixture::start(Provider::Tidal).await;
    let (music, ctx) = (fixture.music(), &fixture.ctx);
    for _ in 0..2 {
        let outcome = music.revoke(ctx, &fixture.app, &fixture.refresh_token).await.unwrap();
        assert_eq!(outcome, Revocation::Revoked, "a dead token counts as revoked");
    }
    assert!(matches!(profile(&fixture, &fixture.token).await, Err(ProviderError::Unauthorized { .. })));
    let outcome = music.refresh(ctx, &fixture.app, &fixture.refresh_token).await;
    assert!(matches!(outcome, Err(ProviderError::InvalidGrant { .. })), "{outcome:?}");

    let fixture = Fixture::start(Provider::Spotify).await;
    let outcome = fixture.music().revoke(&fixture.ctx, &fixture.app, &fixture.refresh_token).await.unwrap();
    let remove_at = Some("https://www.spotify.com/account/apps/");
    assert_eq!(outcome, Revocation::Unsupported { remove_at });
    assert_eq!(fixture.request_count(), 0);
}

/// What revoking at Tidal comes to when the server answers so, and the request it got.
async fn revoked(status: &str, body: &str) -> (Result<Revocation, ProviderError>, String) {
    let server = Scripted::start(vec![json(status, "", body)]).await;
    let clock = Arc::new(FrozenClock::default());
    let providers = Providers::new(ProviderHttp::new(options(&clock)).unwrap());
    let app = app(Provider::Tidal, server.root.clone(), server.root.clone());
    let token = "token-to-revoke".into();
    let outcome = providers.get(Provider::Tidal).revoke(&context(), &app, &token).await;
    (outcome, server.requests().concat())
}

#[tokio::test]
async fn every_answer_to_a_revocation_has_a_meaning() {
    let (outcome, request) = revoked("200 OK", "anything").await;
    assert_eq!(outcome.unwrap(), Revocation::Revoked);
    assert!(request.starts_with("POST /v1/oauth2/revoke HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Basic ") && request.ends_with("\r\n\r\ntoken=token-to-revoke"));

    for (status, body) in [
        ("400 Bad Request", r#"{"error":"unsupported_token_type"}"#),
        ("404 Not Found", "<html>"),
        ("405 Method Not Allowed", ""),
        ("501 Not Implemented", "{}"),
    ] {
        let (outcome, _) = revoked(status, body).await;
        assert_eq!(outcome.unwrap(), Revocation::Unsupported { remove_at: None }, "{status}");
    }
    let (outcome, _) = revoked("400 Bad Request", r#"{"error":"invalid_request"}"#).await;
    assert!(matches!(outcome, Err(ProviderError::Rejected { status: 400, .. })), "{outcome:?}");
    let (outcome, _) = revoked("401 Unauthorized", r#"{"error":"invalid_client"}"#).await;
    assert!(matches!(outcome, Err(ProviderError::Misconfigured { .. })), "{outcome:?}");
    let (outcome, _) = revoked("503 Service Unavailable", "").await;
    let Err(ProviderError::Unavailable { cause: TransportError::Status(503), .. }) = outcome else {
        panic!("{outcome:?}");
    };
    let (outcome, _) = revoked("429 Too Many Requests", "{}").await;
    assert!(matches!(outcome, Err(ProviderError::RateLimited { .. })), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_without_refresh_token_and_scopes_is_a_grant_of_what_was_asked() {
    let body = r#"{"access_token":"a","token_type":"Bearer","expires_in":3600}"#;
    let server = Scripted::start(vec![json("200 OK", "", body)]).await;
    let clock = Arc::new(FrozenClock::default());
    let providers = Providers::new(ProviderHttp::new(options(&clock)).unwrap());
    let mut app = app(Provider::Spotify, server.root.clone(), server.root.clone());
    app.client_secret = None;
    let (code, verifier) = ("c/d".into(), VERIFIER.into());
    let spotify = providers.get(Provider::Spotify);
    let grant = spotify.exchange_code(&context(), &app, &code, &verifier, &redirect_uri()).await.unwrap();
    let asked = ["one".to_owned(), "two".to_owned()];
    assert!(grant.refresh_token.is_none());
    assert_eq!(grant.granted(&asked), asked);

    let request = server.requests().concat();
    assert!(request.starts_with("POST /api/token HTTP/1.1\r\n") && !request.contains("authorization:"));
    let sent = "grant_type=authorization_code&code=c%2Fd\
                &redirect_uri=https%3A%2F%2Fdoor.example%2Ft%2Ftest%2Fconnect%2Fcallback%3Ffrom%3Dhere\
                &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk\
                &client_id=0123456789abcdef0123456789abcdef";
    assert!(request.ends_with(&format!("\r\n\r\n{sent}")), "{request}");
}
