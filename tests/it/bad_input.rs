//! Requests that no good client sends: each gets its documented answer, and the gateway goes on serving.

use serde_json::{Value, json};
use stagedoor_testkit::{Answer, Client, Era, Stage, TestGateway};

use crate::music;

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// The verdict, after a look at the form that every refusal has.
pub(crate) fn refused(answer: &Answer) -> String {
    let json = answer.json();
    if answer.header("content-type") == Some("application/problem+json") {
        assert!(json["title"].is_string() && json["status"] == answer.status, "{json}");
        assert!(json["type"].as_str().unwrap().ends_with(&answer.code().unwrap()), "{json}");
    } else {
        assert_eq!(json["jsonrpc"], "2.0", "{json}");
        assert!(json["error"]["code"].is_i64() || json["result"]["isError"] == true, "{json}");
    }
    answer.verdict()
}

pub(crate) async fn still_serves(client: &Client) {
    client.call("usage_status", json!({})).await;
}

#[tokio::test]
async fn bodies_that_are_no_request() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deep_request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}}}}}"#, deep(63));
    let unclosed = "[".repeat(900_000);
    for (body, verdict, rpc) in [
        ("", "400 malformed_json", -32700),
        ("{", "400 malformed_json", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, "400 malformed_json", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, "400 malformed_json", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":01}}"#, "400 malformed_json", -32700),
        ("nonsense", "400 malformed_json", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, "400 malformed_json", -32700),
        ("[]", "400 batch_unsupported", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "400 batch_unsupported", -32600),
        (&deep_request, "400 body_too_deep", -32600),
        (&unclosed, "400 body_too_deep", -32600),
        ("7", "400 invalid_request", -32600),
        ("null", "400 invalid_request", -32600),
        (r#""text""#, "400 invalid_request", -32600),
        ("{}", "400 invalid_request", -32600),
        (r#"{"id":1,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "400 invalid_request", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#, "400 invalid_request", -32600),
    ] {
        let answer = client.post(body.to_owned(), &headers(&[JSON])).await.unwrap();
        let shown: String = body.chars().take(80).collect();
        assert_eq!(refused(&answer), verdict, "{shown}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], rpc, "{shown}");
    }
    let bad_utf8 = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}".to_vec();
    let answer = client.post(bad_utf8, &headers(&[JSON])).await.unwrap();
    assert_eq!(refused(&answer), "400 malformed_json");
    let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(300));
    assert_eq!(refused(&client.post(long_id, &headers(&[JSON])).await.unwrap()), "400 invalid_request");
    still_serves(&client).await;
}

#[tokio::test]
async fn parameters_of_a_wrong_form() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada).speaking(Era::Legacy("2025-11-25"));
    for params in [json!([]), json!(7), json!("x"), json!({ "name": 7 }), json!({}), json!({ "name": null })]
    {
        let message = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params });
        let answer = client.send(&message).await.unwrap();
        let json = answer.json();
        assert_eq!((&json["id"], &json["error"]["code"]), (&json!(5), &json!(-32602)), "{params}: {json}");
        assert_eq!(answer.code().as_deref(), Some("invalid_arguments"), "{json}");
    }
    let strange = client.tool("search\u{202e}", json!({})).await;
    assert_eq!(refused(&strange), "200 unknown_tool");
    let long = client.tool(&"x".repeat(10_000), json!({})).await;
    assert_eq!(refused(&long), "200 unknown_tool");
    assert!(long.text().len() < 1_000, "a refusal does not repeat what it was sent");
    still_serves(&client).await;
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (tool, arguments, named) in [
        ("search", json!({}), "query"),
        ("search", json!({ "query": 7 }), "query"),
        ("search", json!({ "query": "" }), "query"),
        ("search", json!({ "query": " \t" }), "query"),
        ("search", json!({ "query": "x".repeat(251) }), "query"),
        ("search", json!({ "query": "a", "provider": "deezer" }), "provider"),
        ("search", json!({ "query": "a" }), "provider"),
        ("search", json!({ "query": "a", "provider": "tidal", "limit": 0 }), "limit"),
        ("search", json!({ "query": "a", "provider": "tidal", "limit": 51 }), "limit"),
        ("search", json!({ "query": "a", "provider": "tidal", "limit": "10" }), "limit"),
        ("search", json!({ "query": "a", "provider": "tidal", "limit": -1 }), "limit"),
        ("search", json!({ "query": "a", "provider": "tidal", "kinds": [] }), "kinds"),
        ("search", json!({ "query": "a", "provider": "tidal", "kinds": ["song"] }), "kinds[0]"),
        ("search", json!({ "query": "a", "provider": "tidal", "extra": 1 }), "extra"),
        ("track_get", json!({}), "ref"),
        ("track_get", json!({ "ref": "spotify:album:1" }), "ref"),
        ("track_get", json!({ "ref": "spotify:track:../../me" }), "ref"),
        ("track_get", json!({ "ref": "https://evil.example/track/1" }), "ref"),
        ("track_get", json!({ "ref": "isrc:USRC17607839" }), "ref"),
        ("resolve", json!({ "ref": "isrc:short", "provider": "tidal" }), "ref"),
        ("resolve", json!({ "ref": "spotify:track:1", "provider": "tidal" }), "provider"),
        ("playlist_create", json!({ "name": "" }), "name"),
        ("playlist_create", json!({ "name": "x".repeat(101) }), "name"),
        ("playlist_create", json!({ "name": "a", "public": "yes" }), "public"),
        ("playlist_add", json!({ "ref": "spotify:playlist:1", "tracks": [] }), "tracks"),
        ("playlist_add", json!({ "ref": "spotify:playlist:1", "tracks": ["not an id"] }), "tracks[0]"),
        ("playlist_add", json!({ "ref": "spotify:playlist:1", "tracks": ["tidal:track:1"] }), "tracks[0]"),
        (
            "playlist_add",
            json!({ "ref": "spotify:playlist:1", "tracks": vec!["spotify:track:1"; 501] }),
            "tracks",
        ),
        (
            "playlist_add",
            json!({ "ref": "spotify:playlist:1", "tracks": ["spotify:track:1"], "position": -1 }),
            "position",
        ),
        ("playlist_get", json!({ "ref": "spotify:playlist:1", "limit": 101 }), "limit"),
        ("accounts_list", json!({ "provider": "tidal" }), "provider"),
        ("usage_status", json!([]), "arguments"),
        ("usage_status", json!("x"), "arguments"),
    ] {
        let answer = client.tool(tool, arguments.clone()).await;
        assert_eq!(refused(&answer), "200 invalid_arguments", "{tool} {arguments}: {}", answer.text());
        assert!(answer.message().contains(&format!("`{named}`")), "{tool} {arguments}: {}", answer.message());
    }
    let sent = stage.sandbox().request_log();
    assert!(sent.is_empty(), "nothing wrong reaches a provider: {sent:?}");
    still_serves(&client).await;
}

#[tokio::test]
async fn media_types() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (sent, verdict) in [
        (headers(&[]), "415 unsupported_media_type"),
        (headers(&[("content-type", "text/plain")]), "415 unsupported_media_type"),
        (headers(&[("content-type", "application/x-www-form-urlencoded")]), "415 unsupported_media_type"),
        (headers(&[JSON, ("accept", "text/html")]), "406 not_acceptable"),
        (headers(&[JSON, ("accept", "application/json;q=0")]), "406 not_acceptable"),
        (headers(&[("content-type", "Application/JSON; charset=utf-8"), ("accept", "*/*")]), "200 ok"),
    ] {
        let answer = client.post(ping, &sent).await.unwrap();
        assert_eq!(answer.verdict(), verdict, "{sent:?}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_long() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.server.body_limit_bytes = 64 * 1024).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada).speaking(Era::Legacy("2025-11-25"));
    let of_length = |length: usize| {
        let empty = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":""}}"#;
        empty.replace("\"\"", &format!("\"{}\"", "x".repeat(length - empty.len())))
    };
    let fits = client.post(of_length(64 * 1024), &headers(&[JSON])).await.unwrap();
    assert_eq!(fits.verdict(), "200 ok");
    let long = client.post(of_length(64 * 1024 + 1), &headers(&[JSON])).await.unwrap();
    assert_eq!(refused(&long), "413 body_too_large");
    // In chunks there is no length to look at first. A client that is still writing may see the connection
    // close before it sees the answer.
    let chunks = futures_util::stream::iter((0..200).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 8 * 1024])));
    if let Ok(answer) = client.post(reqwest::Body::wrap_stream(chunks), &headers(&[JSON])).await {
        assert_eq!(refused(&answer), "413 body_too_large");
    }
    still_serves(&client).await;
}

#[tokio::test]
async fn headers_that_contradict_the_body() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let message = client.message(json!(1), "tools/call", json!({ "name": "usage_status", "arguments": {} }));
    let good = client.headers_of(&message);
    let with = |name: &'static str, value: Option<&str>| {
        let mut changed: Vec<_> = good.iter().filter(|(other, _)| *other != name).cloned().collect();
        changed.extend(value.map(|value| (name, value.to_owned())));
        changed
    };
    let twice = |name: &'static str| {
        let mut changed = good.clone();
        changed.extend(good.iter().find(|(other, _)| *other == name).cloned());
        changed
    };
    assert_eq!(client.post(message.to_string(), &good).await.unwrap().verdict(), "200 ok");
    for changed in [
        with("mcp-method", Some("tools/list")),
        with("mcp-method", Some("TOOLS/CALL")),
        with("mcp-method", None),
        with("mcp-name", Some("search")),
        with("mcp-name", None),
        with("mcp-name", Some("=?base64?c2VhcmNo?=")),
        with("mcp-name", Some("=?base64?***?=")),
        with("mcp-protocol-version", Some("2025-11-25")),
        with("mcp-protocol-version", None),
        twice("mcp-method"),
        twice("mcp-name"),
        twice("mcp-protocol-version"),
    ] {
        let answer = client.post(message.to_string(), &changed).await.unwrap();
        assert_eq!(refused(&answer), "400 header_mismatch", "{changed:?}");
        assert_eq!((&answer.json()["error"]["code"], &answer.json()["id"]), (&json!(-32020), &json!(1)));
    }
    let encoded = with("mcp-name", Some("=?base64?dXNhZ2Vfc3RhdHVz?="));
    assert_eq!(client.post(message.to_string(), &encoded).await.unwrap().verdict(), "200 ok");

    for (path, verdict) in [
        ("io.modelcontextprotocol/protocolVersion", "400 invalid_request_meta"),
        ("io.modelcontextprotocol/clientCapabilities", "400 invalid_request_meta"),
    ] {
        let mut lacking = message.clone();
        lacking["params"]["_meta"].as_object_mut().unwrap().remove(path);
        let answer = client.post(lacking.to_string(), &good).await.unwrap();
        assert_eq!(
            (refused(&answer).as_str(), &answer.json()["error"]["code"]),
            (verdict, &json!(-32602)),
            "{path}"
        );
    }
    let mut wrong = message.clone();
    wrong["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!("none");
    assert_eq!(refused(&client.post(wrong.to_string(), &good).await.unwrap()), "400 invalid_request_meta");

    let mut future = message;
    future["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2031-01-01");
    let changed = with("mcp-protocol-version", Some("2031-01-01"));
    let answer = client.post(future.to_string(), &changed).await.unwrap();
    assert_eq!(refused(&answer), "400 unsupported_protocol_version");
    still_serves(&client).await;
}

#[tokio::test]
async fn strange_hosts_and_origins() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.server.allowed_origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let ada = stage.inhabit("ada").await;
    for (name, value, verdict) in [
        ("host", "evil.example".to_owned(), "403 invalid_host"),
        ("host", format!("{}.evil.example", gateway.address().ip()), "403 invalid_host"),
        ("origin", "https://evil.example".to_owned(), "403 invalid_origin"),
        ("origin", "null".to_owned(), "403 invalid_origin"),
        ("origin", "http://app.example".to_owned(), "403 invalid_origin"),
        ("origin", "https://app.example".to_owned(), "200 ok"),
        ("origin", format!("http://{}", gateway.address()), "200 ok"),
    ] {
        let client = music::client(&gateway, &ada).with_header(name, value.clone());
        assert_eq!(client.tool("usage_status", json!({})).await.verdict(), verdict, "{name}: {value}");
    }
}

#[tokio::test]
async fn two_keys_in_one_request_are_none() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let client = music::client(&gateway, &ada).with_header("authorization", format!("Bearer {}", bob.key));
    assert_eq!(client.tool("usage_status", json!({})).await.verdict(), "401 unauthenticated");
    let basic = Client::new(gateway.address(), "ada", None)
        .with_header("authorization", format!("Basic {}", ada.key));
    assert_eq!(basic.tool("usage_status", Value::Null).await.verdict(), "401 unauthenticated");
}
