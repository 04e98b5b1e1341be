//! MCP in both eras: handshake, discovery, lists, calls, notifications, and which revision a request speaks.

use serde_json::{Value, json};
use stagedoor_domain::ToolName;
use stagedoor_testkit::{Era, Stage, TestGateway};

use crate::music;

const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

fn names(list: &Value) -> Vec<String> {
    let tools = list["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn every_tool() -> Vec<String> {
    ToolName::ALL.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_newest_revision_needs_no_handshake() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);

    let discovered = client.rpc("server/discover", json!({})).await.result();
    assert_eq!(
        discovered["supportedVersions"],
        json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"])
    );
    assert_eq!(discovered["resultType"], "complete");
    assert_eq!(discovered["cacheScope"], "private");
    assert!(discovered["ttlMs"].is_u64() && discovered["capabilities"]["tools"].is_object(), "{discovered}");
    assert_eq!(discovered["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "stagedoor");

    let list = client.rpc("tools/list", json!({})).await.result();
    assert_eq!(names(&list), every_tool());
    assert_eq!((&list["cacheScope"], list["ttlMs"].is_u64()), (&json!("private"), true));
    let again = client.rpc("tools/list", json!({})).await.result();
    assert_eq!(list, again, "the list's order is stable");

    for removed in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such"] {
        let params =
            if removed == "initialize" { json!({ "protocolVersion": "2026-07-28" }) } else { json!({}) };
        let answer = client.rpc(removed, params).await;
        assert_eq!(answer.verdict(), "404 unknown_method", "{removed}");
        assert_eq!(answer.json()["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn older_revisions_shake_hands_and_keep_no_session() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for revision in LEGACY {
        let client = music::client(&gateway, &ada).speaking(Era::Legacy(revision));
        let hello = json!({
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": { "name": "testkit", "version": "1" },
        });
        let answer = client.rpc("initialize", hello).await;
        assert!(answer.header("mcp-session-id").is_none(), "there are no sessions");
        let result = answer.result();
        assert_eq!(result["protocolVersion"], revision);
        assert_eq!(result["serverInfo"]["name"], "stagedoor");
        assert!(result.get("resultType").is_none(), "members of 2026-07-28 stay out of older answers");

        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let accepted = client.send(&ready).await.unwrap();
        assert_eq!((accepted.status, accepted.body.len()), (202, 0));

        assert_eq!(client.rpc("ping", json!({})).await.result(), json!({}));
        let list = client.rpc("tools/list", json!({})).await.result();
        assert_eq!(names(&list), every_tool());
        assert!(list.get("ttlMs").is_none());
        let unknown = client.rpc("no/such", json!({})).await;
        assert_eq!((unknown.status, unknown.json()["error"]["code"].as_i64()), (200, Some(-32601)));
        let usage = client.call("usage_status", json!({})).await;
        assert_eq!(usage["tenant"], "ada");
    }
}

#[tokio::test]
async fn a_handshake_for_an_unknown_revision_offers_the_newest_that_has_one() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada).speaking(Era::Legacy("2024-11-05"));
    let hello = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    assert_eq!(client.rpc("initialize", hello).await.result()["protocolVersion"], "2025-11-25");

    let answer = client.rpc("tools/list", json!({})).await;
    assert_eq!(answer.verdict(), "400 unsupported_protocol_version");
    let error = &answer.json()["error"];
    assert_eq!((error["code"].as_i64(), &error["data"]["requested"]), (Some(-32022), &json!("2024-11-05")));
    assert_eq!(error["data"]["supported"][0], "2026-07-28");
}

#[tokio::test]
async fn ids_come_back_as_they_were_sent() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for id in [json!(0), json!(-7), json!(9_007_199_254_740_993_u64), json!("a \"quoted\" id"), json!("")] {
        let answer = client.send(&client.message(id.clone(), "tools/list", json!({}))).await.unwrap();
        assert_eq!(answer.json()["id"], id);
    }
}

#[tokio::test]
async fn only_post_is_served() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for method in ["GET", "DELETE", "PUT", "PATCH"] {
        let answer = bare(method, client.url(), &ada.key).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["allow"]),
            (405, &"POST".parse().unwrap()),
            "{method}"
        );
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let elsewhere = format!("http://{}/t/ada/other", gateway.address());
    assert_eq!(bare("POST", &elsewhere, &ada.key).await.status(), 404);
}

async fn bare(method: &str, url: &str, key: &str) -> reqwest::Response {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.request(method.parse().unwrap(), url).bearer_auth(key).send().await.unwrap()
}

#[tokio::test]
async fn a_listener_hears_that_it_is_heard_and_the_stream_ends_with_the_gateway() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    let message = client.message(json!("sub"), "subscriptions/listen", wanted);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.post(client.url()).bearer_auth(&ada.key).body(message.to_string());
    for (name, value) in client.headers_of(&message) {
        request = request.header(name, value);
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let first = response.chunk().await.unwrap().unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("notifications/subscriptions/acknowledged"), "{first}");
    let (rest, ()) = tokio::join!(response.text(), gateway.stop());
    let last: Value = serde_json::from_str(rest.unwrap().trim().rsplit_once("data: ").unwrap().1).unwrap();
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!("sub"), &json!("complete")));
}

#[tokio::test]
async fn operators_and_agents_have_ports_of_their_own() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    music::client(&gateway, &ada).call("usage_status", json!({})).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |address: std::net::SocketAddr, path: &str| {
        let response = http.get(format!("http://{address}{path}")).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for path in ["/livez", "/startupz"] {
        assert_eq!(get(gateway.ops_address(), path).await.0, 200, "{path}");
    }
    while get(gateway.ops_address(), "/readyz").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    assert!(get(gateway.ops_address(), "/readyz").await.1.contains("postgres"));
    let (status, metrics) = get(gateway.ops_address(), "/metrics").await;
    assert!(
        status == 200 && metrics.contains("stagedoor_http_requests_total") && metrics.ends_with("# EOF\n")
    );
    let names_it = |name: &str| metrics.contains(&format!("\"{name}\""));
    assert!(!names_it("ada") && !names_it(&ada.tenant.id()), "a label that grows with the tenants");
    for path in ["/livez", "/readyz", "/startupz", "/metrics"] {
        assert_eq!(get(gateway.address(), path).await.0, 404, "{path} on the public port");
    }
    assert_eq!(
        bare("POST", &format!("http://{}/t/ada/mcp", gateway.ops_address()), &ada.key).await.status(),
        404
    );
}
