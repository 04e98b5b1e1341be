//! Tokens instead of keys: what a good one may do, what every wrong one is told, what clients learn beforehand, and what
//! becomes of it all when issuers rotate, fall silent, or are no longer welcome.

mod attacks;
mod discovery;
mod outages;
mod people;
mod rights;

use serde_json::Value;
use stagedoor_domain::TenantSettings;
use stagedoor_testkit::{Answer, Client, Inhabited, Stage, TestGateway, TestIssuer, generous};

/// The subject of the person whom tokens are about.
const SUBJECT: &str = "robin|7";

/// Every scope, by our own names.
const ALL_SCOPES: &str = "catalog:read library:read library:write playlists:read playlists:write playback:read \
    playback:write history:read recommendations:read queues:write preferences:write privacy:manage audit:read";

/// The tenant's endpoint, as tokens name it in `aud`.
fn resource(gateway: &TestGateway, slug: &str) -> String {
    format!("http://{}/t/{slug}/mcp", gateway.address())
}

/// A tenant that accepts tokens of an issuer, and whose person they call [`SUBJECT`].
async fn welcome<'a>(stage: &'a Stage, slug: &str, issuer: &TestIssuer) -> Inhabited<'a> {
    welcome_with(stage, slug, issuer, generous()).await
}

/// The same with other settings.
async fn welcome_with<'a>(
    stage: &'a Stage,
    slug: &str,
    issuer: &TestIssuer,
    settings: TenantSettings,
) -> Inhabited<'a> {
    let inhabited = stage.inhabit_with(slug, settings).await;
    stage
        .sql(&format!("UPDATE users SET external_subject = '{SUBJECT}' WHERE user_id = '{}'", inhabited.user))
        .await;
    inhabited.tenant.register(issuer, |_| {}).await;
    inhabited
}

/// Calls the tool that needs no scope.
async fn knock(client: &Client) -> Answer {
    client.tool("usage_status", Value::Object(serde_json::Map::default())).await
}

/// Asserts the one answer that every wrong token has, with the challenge that leads to a good one.
fn assert_challenged(answer: &Answer, gateway: &TestGateway, slug: &str, what: &str) {
    assert_eq!(answer.verdict(), "401 unauthenticated", "{what}: {}", answer.text());
    let metadata = format!("http://{}/.well-known/oauth-protected-resource/t/{slug}/mcp", gateway.address());
    let wanted = format!(
        "Bearer realm=\"stagedoor\", error=\"invalid_token\", resource_metadata=\"{metadata}\", scope=\"{ALL_SCOPES}\""
    );
    assert_eq!(answer.header("www-authenticate"), Some(wanted.as_str()), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
}
