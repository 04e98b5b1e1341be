//! Nothing of a person reaches a collector: what callers write is marked and searched for in every byte of it.

use serde_json::json;
use stagedoor_testkit::{GatewayProcess, Stage};

use super::collector::{Collector, text};
use super::end;
use crate::limits_hot_reload::until;

/// Every attribute that a span may have. One more is a decision of its own, about what may leave.
const ATTRIBUTES: [&str; 28] = [
    "error.type",
    "gen_ai.operation.name",
    "gen_ai.prompt.name",
    "gen_ai.tool.name",
    "http.request.method",
    "http.request.resend_count",
    "http.response.status_code",
    "mcp.method.name",
    "mcp.protocol.version",
    "network.protocol.name",
    "network.protocol.version",
    "network.transport",
    "rpc.response.status_code",
    "server.address",
    "server.port",
    "stagedoor.audit.class",
    "stagedoor.auth.method",
    "stagedoor.cache.class",
    "stagedoor.cache.level",
    "stagedoor.call",
    "stagedoor.error",
    "stagedoor.limits.backend",
    "stagedoor.limits.class",
    "stagedoor.limits.outcome",
    "stagedoor.operation",
    "stagedoor.page",
    "stagedoor.provider",
    "stagedoor.tenant",
];

#[tokio::test]
async fn what_callers_write_is_in_nothing_that_leaves() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let collector = Collector::start("http").await;
    let mut gateway =
        GatewayProcess::start(&stage, "marked", &collector.settings("traces,metrics,logs")).await;
    let client = gateway
        .client("ada", &ada.key)
        .named("canary-software", "canary-version")
        .with_header("user-agent", "canary-agent")
        .with_header("baggage", "userId=canary-baggage")
        .with_header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa01a902b7-01")
        .with_header("tracestate", "vendor=canary-tracestate");
    // Also where the person lets use be counted, which is when most is told.
    let consent = json!({ "purpose": "analytics", "granted": true, "policy_version": "1" });
    client.call("consent_set", consent).await;
    for provider in ["spotify", "tidal"] {
        client.tool("search", json!({ "query": "canary-query", "provider": provider })).await;
        let key = format!("canary-key-{provider}");
        let made = json!({ "name": "canary-playlist", "provider": provider, "idempotency_key": key });
        client.call("playlist_create", made).await;
        client.call("playlists_list", json!({ "provider": provider })).await;
        let item = format!("{provider}:track:canaryItem");
        client.tool("track_get", json!({ "ref": item })).await;
        client.tool("playlist_get", json!({ "ref": format!("{provider}:playlist:canaryItem") })).await;
    }
    client.tool("canary_tool", json!({ "canary-argument": "canary-value" })).await;
    client.rpc("canary/method", json!({})).await;
    client.rpc("resources/read", json!({ "uri": "stagedoor://canary-resource" })).await;
    client
        .rpc(
            "prompts/get",
            json!({ "name": "build_playlist", "arguments": { "occasion": "canary-occasion" } }),
        )
        .await;
    client.rpc("prompts/get", json!({ "name": "canary-prompt" })).await;
    let call = json!({ "name": "accounts_list", "arguments": {}, "_meta": { "baggage": "a=canary-meta" } });
    client.send(&client.message(json!("canary-id"), "tools/call", call)).await.unwrap();
    // Whoever is refused again and again is told of in the log.
    let limits = json!({
        "limits": { "api": [{ "capacity": 1, "window_seconds": 3600 }] },
        "penalties": [{ "refusals": 3, "within_seconds": 600, "block_seconds": 60 }],
    });
    stage.sql(&format!("UPDATE tenants SET settings = settings || '{limits}' WHERE slug = 'ada'")).await;
    until("a penalty", async || {
        client.tool("accounts_list", json!({})).await;
        gateway.program().said().contains("is shut out")
    })
    .await;
    let shown = gateway.metrics().await.text().to_owned();
    end(&mut gateway).await;

    let received = collector.received();
    assert!(received.spans.len() > 40 && !received.logs.is_empty() && !received.metrics.is_empty());
    let everything = String::from_utf8_lossy(&received.bytes).to_lowercase();
    let key = crate::agent_keys::id_of(&ada.key).to_string().to_lowercase();
    let people = ["canary", "robin", &ada.user.to_string(), &key, "127.0.0.1:"];
    for mark in people {
        for (place, text) in [("a collector", &everything), ("/metrics", &shown.to_lowercase())] {
            let found = text.find(mark).map(|at| {
                let around = text.as_bytes();
                String::from_utf8_lossy(&around[at.saturating_sub(80)..(at + 80).min(around.len())])
                    .into_owned()
            });
            assert_eq!(found, None, "{mark} is in what {place} gets");
        }
    }
    for span in &received.spans {
        for attribute in &span.attributes {
            assert!(ATTRIBUTES.contains(&attribute.key.as_str()), "{} of {}", attribute.key, span.name);
        }
        assert!(span.events.is_empty(), "{span:?}");
        assert_eq!(span.status.as_ref().map_or("", |status| &status.message), "");
    }
}

#[tokio::test]
async fn a_person_who_has_not_agreed_is_not_said_to_use_anything() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let collector = Collector::start("http").await;
    let mut gateway = GatewayProcess::start(&stage, "unnamed", &collector.settings("traces")).await;
    let client = gateway.client("ada", &ada.key);
    client.call("search", json!({ "query": "a", "provider": "tidal" })).await;
    client.call("playlists_list", json!({ "provider": "tidal" })).await;
    end(&mut gateway).await;
    let received = collector.received();
    let names: Vec<_> = received.spans.iter().map(|span| span.name.as_str()).collect();
    assert!(names.contains(&"tools/call") && names.contains(&"cache") && names.contains(&"GET"), "{names:?}");
    for span in &received.spans {
        for key in [
            "gen_ai.tool.name",
            "stagedoor.cache.class",
            "stagedoor.cache.level",
            "stagedoor.limits.class",
            "stagedoor.operation",
            "stagedoor.unnamed",
        ] {
            assert_eq!(text(&span.attributes, key), None, "{span:?}");
        }
        assert!(!span.name.contains("search") && !span.name.contains("playlists"), "{}", span.name);
    }
}
