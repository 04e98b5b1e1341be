//! Tokens: expiry, rotation, six months, scopes.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{RefreshRotation, SandboxConfig};

use crate::common::{Stage, send};

#[tokio::test]
async fn an_access_token_ends_after_its_lifetime_and_a_refresh_yields_another() {
    let stage = Stage::new().await;
    assert_eq!(send(stage.spotify(Method::GET, "/me")).await.0, StatusCode::OK);
    stage.clock.advance(TimeDelta::seconds(3600));
    let (status, body) = send(stage.spotify(Method::GET, "/me")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["message"], "The access token expired");
    let (status, body) = send(stage.tidal(Method::GET, "/users/me")).await;
    assert_eq!((status, &body["errors"][0]["status"]), (StatusCode::UNAUTHORIZED, &"401".into()));

    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &stage.grants[0].refresh_token),
        ("client_id", "app"),
    ];
    let (status, body) = stage.token(Provider::Spotify, &refresh).await;
    assert_eq!((status, &body["expires_in"]), (StatusCode::OK, &3600.into()));
    let fresh = body["access_token"].as_str().unwrap();
    let me = stage.client.get(format!("{}/spotify/v1/me", stage.base)).bearer_auth(fresh);
    assert_eq!(send(me).await.1["account_id"], stage.accounts[0]);
}

#[tokio::test]
async fn a_rotated_refresh_token_is_good_once() {
    let stage = Stage::new().await;
    let first = stage.grants[1].refresh_token.clone();
    let form = |token| [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "app")];
    let (_, body) = stage.token(Provider::Tidal, &form(&first)).await;
    let second = body["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    let (status, body) = stage.token(Provider::Tidal, &form(&first)).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
    assert_eq!(stage.token(Provider::Tidal, &form(&second)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn with_grace_a_lost_answer_loses_no_grant() {
    let rotation = RefreshRotation::ReplaceWithGrace(Duration::from_mins(1));
    let stage = Stage::with(SandboxConfig { rotation, ..SandboxConfig::default() }).await;
    let first = stage.grants[0].refresh_token.clone();
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*first), ("client_id", "app")];
    assert_eq!(stage.token(Provider::Spotify, &form).await.0, StatusCode::OK);
    stage.clock.advance(TimeDelta::seconds(59));
    assert_eq!(stage.token(Provider::Spotify, &form).await.0, StatusCode::OK);
    stage.clock.advance(TimeDelta::seconds(1));
    assert_eq!(stage.token(Provider::Spotify, &form).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn a_spotify_grant_ends_six_months_after_the_authorisation() {
    let rotation = RefreshRotation::Keep;
    let stage = Stage::with(SandboxConfig { rotation, ..SandboxConfig::default() }).await;
    let token = stage.grants[0].refresh_token.clone();
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*token), ("client_id", "app")];
    stage.clock.advance(TimeDelta::days(180));
    let (status, body) = stage.token(Provider::Spotify, &form).await;
    assert_eq!((status, body.get("refresh_token")), (StatusCode::OK, None));
    stage.clock.advance(TimeDelta::days(2));
    assert_eq!(stage.token(Provider::Spotify, &form).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn clients_prove_who_they_are() {
    let stage = Stage::new().await;
    let url = format!("{}/spotify/accounts/api/token", stage.base);
    let form = [("grant_type", "client_credentials")];
    let (status, body) = send(stage.client.post(&url).basic_auth("app", Some("secret")).form(&form)).await;
    assert_eq!(status, StatusCode::OK);
    let token = body["access_token"].as_str().unwrap();
    let url_of = |path| format!("{}/spotify/v1{path}", stage.base);
    let search = stage.client.get(url_of("/search?q=train&type=track")).bearer_auth(token);
    assert_eq!(send(search).await.0, StatusCode::OK);
    assert_eq!(send(stage.client.get(url_of("/me")).bearer_auth(token)).await.0, StatusCode::UNAUTHORIZED);
    let (_, body) = send(stage.client.post(&url).basic_auth("app", Some("wrong")).form(&form)).await;
    assert_eq!(body["error"], "invalid_client");
    let (status, body) = stage.token(Provider::Tidal, &[("client_id", "nobody")]).await;
    assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &"invalid_client".into()));
}

#[tokio::test]
async fn what_the_scopes_do_not_cover_is_forbidden() {
    let mut stage = Stage::new().await;
    stage.grants[0] = stage.sandbox.grant(Provider::Spotify, &stage.accounts[0], "app", &[]);
    stage.grants[1] = stage.sandbox.grant(Provider::Tidal, &stage.accounts[1], "app", &[]);
    let (status, body) = send(stage.spotify(Method::GET, "/me/playlists")).await;
    assert_eq!(
        (status, &body["error"]["message"]),
        (StatusCode::FORBIDDEN, &"Insufficient client scope".into())
    );
    let (status, body) = send(stage.tidal(Method::GET, "/searchResults?filter[query]=train")).await;
    assert_eq!(
        (status, &body["errors"][0]["detail"]),
        (StatusCode::FORBIDDEN, &"Insufficient scope, requires search.read".into())
    );
    stage.sandbox.revoke(Provider::Spotify, &stage.accounts[0]);
    assert_eq!(send(stage.spotify(Method::GET, "/me")).await.0, StatusCode::UNAUTHORIZED);
}
