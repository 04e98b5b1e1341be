//! Recorded exchanges: all there is to check them by, and no secret.

use reqwest::Method;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, SandboxConfig};

use crate::common::{Stage, send};

#[tokio::test]
async fn exchanges_are_recorded_whole_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let config = SandboxConfig { record: Some(folder.path().join("new")), ..SandboxConfig::default() };
    let stage = Stage::with(config).await;
    let made = stage.spotify(Method::POST, "/me/playlists?a=b").json(&json!({ "name": "n" }));
    let (_, made) = send(made.header("cookie", "who=me")).await;
    stage.sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::Garbage).times(1));
    assert!(
        stage.tidal(Method::GET, "/users/me").send().await.unwrap().text().await.unwrap().contains("<html>")
    );
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &*stage.grants[0].refresh_token)];
    stage.token(Provider::Spotify, &refresh).await;

    let files: Vec<_> = std::fs::read_dir(folder.path().join("new")).unwrap().collect();
    let [Ok(file)] = &files[..] else { panic!("one file: {files:?}") };
    let text = std::fs::read_to_string(file.path()).unwrap();
    for secret in stage.sandbox.secrets() {
        assert!(!text.contains(&secret));
    }
    assert!(!text.contains("who=me"));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, second] = &lines[..] else { panic!("two exchanges: {text}") };
    assert_eq!(
        (&first["method"], &first["path"], &first["query"]),
        (&"POST".into(), &"/v1/me/playlists".into(), &"a=b".into())
    );
    assert_eq!(first["body"], r#"{"name":"n"}"#);
    assert_eq!((&first["mode"], &first["answer"]["status"]), (&"development".into(), &201.into()));
    let body: Value = serde_json::from_str(first["answer"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body, made);
    assert_eq!((&second["path"], &second["answer"]), (&"/v2/users/me".into(), &Value::Null));
}
