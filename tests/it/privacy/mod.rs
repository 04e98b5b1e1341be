//! A person's copy of their data and its deletion, from the agent's question to the receipt, as agents, people and
//! replicas do it.

mod copy;
mod deletion;
pub(crate) mod held;
mod kills;
mod refusals;
mod settling;
mod tenant;

use stagedoor_audit::AuditView;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use stagedoor_crypto::VerifyingKey;
use stagedoor_crypto::signed_lines::SignedLinesReader;
use stagedoor_domain::Provider;
use stagedoor_storage::{provider_sessions, signing_keys};
use stagedoor_testkit::{Browser, Client, Inhabited, Page, Stage, TestTenant};
use url::Url;

/// Where Tidal ends grants.
pub(crate) const REVOKE: &str = "/auth/v1/oauth2/revoke";

/// Lines of a signed file, which is what was signed.
pub(crate) fn lines(file: &[u8], keys: &[VerifyingKey]) -> Vec<Value> {
    let manifest = SignedLinesReader::new(file).verify(keys).unwrap_or_else(|error| panic!("{error}"));
    let text = std::str::from_utf8(file).unwrap();
    let count = usize::try_from(manifest.lines).unwrap();
    text.lines().take(count).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The public keys with which a tenant ever signed.
pub(crate) async fn keys(stage: &Stage, tenant: &TestTenant<'_>) -> Vec<VerifyingKey> {
    let store = stage.reader().store();
    let keys = store.with_tenant(tenant.context(), signing_keys::public_keys).await;
    keys.unwrap().into_iter().map(|known| known.key).collect()
}

/// The page that a tool's answer names.
pub(crate) async fn ask(client: &Client, tool: &str) -> Url {
    let answer = client.call(tool, json!({})).await;
    assert_eq!(answer["request"]["state"], "requested", "{answer}");
    page_of(&answer)
}

pub(crate) fn page_of(answer: &Value) -> Url {
    answer["url"].as_str().unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
}

/// Opens a page and answers it.
pub(crate) async fn answer(browser: &Browser, page: &Url, decision: &str) -> Page {
    let shown = browser.open(page).await;
    assert_eq!(shown.verdict(), "200 ok", "{}", shown.text());
    browser.submit(&shown, &[("decision", decision)]).await
}

/// Has everything about the person deleted, as far as it was confirmed.
pub(crate) async fn confirm_deletion(client: &Client) -> Url {
    let page = ask(client, "delete_my_data").await;
    let confirmed = answer(&Browser::new(), &page, "delete").await;
    assert_eq!(confirmed.verdict(), "200 ok", "{}", confirmed.text());
    assert!(confirmed.heading().starts_with("Everything is"), "{}", confirmed.heading());
    page
}

/// The receipt of a deletion, once it is done.
pub(crate) async fn receipt(page: &Url) -> Vec<u8> {
    loop {
        let browser = Browser::new();
        let shown = browser.open(page).await;
        assert_eq!(shown.verdict(), "200 ok", "{}", shown.text());
        if shown.heading() == "Everything is deleted" {
            let file = browser.submit(&shown, &[("decision", "receipt")]).await;
            assert_eq!(file.status(), 200, "{}", file.text());
            return file.answer.body.to_vec();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The state of the only request of that kind.
pub(crate) async fn state(stage: &Stage, kind: &str) -> String {
    let sql = format!("SELECT state FROM privacy_requests WHERE kind = '{kind}'");
    stage.sql(&sql).await.trim().to_owned()
}

/// Waits until the only request of that kind is in that state.
pub(crate) async fn reached(stage: &Stage, kind: &str, wanted: &str) {
    while state(stage, kind).await != wanted {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Uses what a person has, so that there is something in most tables: playlists with versions, preferences, devices,
/// answers in the cache.
pub(crate) async fn live(client: &Client, stage: &Stage, who: &Inhabited<'_>, name: &str) {
    for provider in Provider::ALL {
        let list = json!({ "name": format!("{name} {provider}"), "provider": provider });
        let made = client.call("playlist_create", list).await;
        let track = stage.sandbox().catalogue(*provider).tracks().next().unwrap().id;
        let add = json!({
            "ref": made["playlist"]["ref"],
            "tracks": [format!("{provider}:track:{track}")],
            "idempotency_key": format!("{name}-{provider}"),
        });
        client.call("playlist_add", add).await;
        let account = who.account(*provider).id.to_string();
        client.call("profile", json!({ "account": account })).await;
        client.call("playlists_list", json!({ "account": account })).await;
    }
    let wishes = json!({ "preferences": { "cache_preferences": { "cache_duration": 77 } } });
    client.call("preferences_set", wishes).await;
}

/// What gives access to a person's accounts.
pub(crate) async fn tokens(stage: &Stage, who: &Inhabited<'_>) -> Vec<String> {
    let mut tokens = Vec::new();
    for provider in Provider::ALL {
        let account = who.account(*provider).id;
        let session =
            provider_sessions::load(stage.reader(), who.tenant.context(), account).await.unwrap().unwrap();
        tokens.push(session.access_token.expose_secret().to_owned());
        tokens.extend(session.refresh_token.map(|token| token.expose_secret().to_owned()));
    }
    tokens
}

/// What the audit trail says, as far as it can be read.
pub(crate) async fn trail(tenant: &TestTenant<'_>) -> String {
    let views = tenant.audit_trail().await;
    views.iter().filter_map(AuditView::json).map(|json| json.to_string()).collect()
}
