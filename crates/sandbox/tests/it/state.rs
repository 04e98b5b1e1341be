//! What survives a restart, and what happens to a broken state file.

use reqwest::{Method, StatusCode};
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::SandboxConfig;

use crate::common::{Stage, send};

#[tokio::test]
async fn apps_accounts_refresh_tokens_and_playlists_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/sandbox.json");
    let config = || SandboxConfig { state_file: Some(file.clone()), ..SandboxConfig::default() };
    let stage = Stage::with(config()).await;
    let (_, made) = send(stage.spotify(Method::POST, "/me/playlists").json(&json!({ "name": "Kept" }))).await;
    let uri = format!("spotify:track:{}", stage.tracks(Provider::Spotify, 1)[0].id);
    let items = format!("/playlists/{}/items", made["id"].as_str().unwrap());
    send(stage.spotify(Method::POST, &items).json(&json!({ "uris": [uri] }))).await;
    let grant = stage.grants[0].clone();
    let account = stage.accounts[0].clone();
    drop(stage);

    let stage = Stage::with(config()).await;
    let old = stage.client.get(format!("{}/spotify/v1/me", stage.base)).bearer_auth(&grant.access_token);
    assert_eq!(send(old).await.0, StatusCode::UNAUTHORIZED);
    let url = format!("{}/spotify/accounts/api/token", stage.base);
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*grant.refresh_token)];
    let (status, fresh) = send(stage.client.post(url).basic_auth("app", Some("secret")).form(&form)).await;
    assert_eq!(status, StatusCode::OK);
    let token = fresh["access_token"].as_str().unwrap();
    let url = |path: &str| format!("{}/spotify/v1{path}", stage.base);
    let (_, me) = send(stage.client.get(url("/me")).bearer_auth(token)).await;
    assert_eq!(me["account_id"], *account);
    let (_, page) = send(stage.client.get(url(&items)).bearer_auth(token)).await;
    assert_eq!(page["items"][0]["item"]["uri"], *uri);
}

#[tokio::test]
async fn a_state_file_from_before_consents_had_names_loads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.json");
    let token = |time: &str| {
        json!({
            "account_id": "180000001", "client_id": "stagedoor-demo", "scopes": ["user.read"],
            "authorized_at": time, "dies_at": null,
        })
    };
    let old = json!({
        "spotify": {},
        "tidal": {
            "apps": { "stagedoor-demo": { "client_secret": "old-secret" } },
            "accounts": { "180000001": {
                "account_id": "180000001", "user_id": "180000001", "display_name": "Robin", "country": "DE",
            } },
            "refresh_tokens": { "one": token("2026-11-01T00:00:00Z"), "two": token("2026-11-02T00:00:00Z") },
            "playlists": {},
            "collections": {},
        },
    });
    std::fs::write(&file, old.to_string()).unwrap();
    let stage =
        Stage::with(SandboxConfig { state_file: Some(file.clone()), ..SandboxConfig::default() }).await;
    let callback = "http://127.0.0.1:8321/t/demo/connect/callback/tidal";
    stage.sandbox.register_redirect_uri(Provider::Tidal, "stagedoor-demo", callback).unwrap();
    stage.sandbox.register_app(Provider::Tidal, "stagedoor-demo", "new-secret");
    let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let app = &saved["tidal"]["apps"]["stagedoor-demo"];
    let expected =
        json!({ "client_secret": "new-secret", "mode": "development", "redirect_uris": [callback] });
    assert_eq!(app, &expected);

    // Ending one old consent leaves the other alone, although neither had a name.
    let url = |end: &str| format!("{}/tidal/auth/v1/oauth2/{end}", stage.base);
    let post = |end: &str, form: &[(&str, &str)]| {
        send(stage.client.post(url(end)).basic_auth("stagedoor-demo", Some("new-secret")).form(form))
    };
    assert_eq!(post("revoke", &[("token", "one")]).await.0, StatusCode::OK);
    let refresh = |token| [("grant_type", "refresh_token"), ("refresh_token", token)];
    assert_eq!(post("token", &refresh("one")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post("token", &refresh("two")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_broken_state_file_is_set_aside_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.json");
    std::fs::write(&file, "{ half").unwrap();
    let stage =
        Stage::with(SandboxConfig { state_file: Some(file.clone()), ..SandboxConfig::default() }).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("sandbox.json.unreadable")).unwrap(), "{ half");
    assert_eq!(send(stage.spotify(Method::GET, "/me")).await.0, StatusCode::OK);
    let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(saved["spotify"]["accounts"][&stage.accounts[0]].is_object());
}
