//! Texts with characters that nobody types or nobody sees, and shapes that no tool takes: refused by field or mended at the
//! edge, before any tool.

use serde_json::json;
use stagedoor_testkit::{Era, Stage, TestGateway};

use crate::bad_input::{JSON, headers, refused, still_serves};
use crate::music;

#[tokio::test]
async fn texts_that_nobody_types_reach_no_tool() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (tool, arguments, named) in [
        ("search", json!({ "query": "a\0", "provider": "tidal" }), "`query`"),
        ("playlist_create", json!({ "name": "\u{1b}[2J", "provider": "tidal" }), "`name`"),
        ("playlist_add", json!({ "ref": "spotify:playlist:1", "tracks": ["a", "b\u{85}"] }), "`tracks[1]`"),
        ("preferences_set", json!({ "preferences": { "a": { "b\u{202e}": 1 } } }), "`preferences.a`"),
        (
            "preferences_set",
            json!({ "preferences": { "$serde_json::private::RawValue": "{}" } }),
            "`preferences`",
        ),
        ("search", json!({ "query": "x".repeat(70_000), "provider": "tidal" }), "`query`"),
        ("playlist_add", json!({ "ref": "spotify:playlist:1", "tracks": vec!["x"; 10_001] }), "10000 values"),
        ("usage_status", json!({ "x".repeat(300): 1 }), "`arguments`"),
    ] {
        let answer = client.tool(tool, arguments).await;
        assert_eq!(refused(&answer), "200 invalid_arguments", "{tool} {named}: {}", answer.text());
        assert!(answer.message().contains(named), "{tool} {named}: {}", answer.message());
        assert!(answer.text().len() < 2_000, "a refusal does not repeat what it was sent");
    }
    let legacy = music::client(&gateway, &ada).speaking(Era::Legacy("2025-11-25"));
    for (body, named) in [
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"search","arguments":{"query":"a","query":"b"}}}"#,
            "`query` stands twice",
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"stagedoor://\u0000"}}"#,
            "`params.uri`",
        ),
    ] {
        let answer = legacy.post(body, &headers(&[JSON])).await.unwrap();
        assert_eq!(
            (answer.json()["id"].clone(), answer.code().as_deref()),
            (json!(5), Some("invalid_arguments"))
        );
        assert!(answer.text().contains(named), "{}", answer.text());
    }
    let long = format!("\"{}\"", "x".repeat(100_000));
    let answer = legacy.post(long, &headers(&[JSON])).await.unwrap();
    assert_eq!(refused(&answer), "400 invalid_request");
    assert!(answer.text().len() < 2_000, "a refusal does not repeat what it was sent");
    let sent = stage.sandbox().request_log();
    assert!(sent.is_empty(), "nothing of it reaches a provider: {sent:?}");

    // What honest keyboards and clip-boards leave in a text is mended on the way in.
    let arguments =
        json!({ "name": "Cafe\u{301} \u{2068}del\u{2069}\u{200b} Mar\u{feff}", "provider": "tidal" });
    let made = client.call("playlist_create", arguments).await;
    let reference = made["playlist"]["ref"].as_str().unwrap();
    let read = client.call("playlist_get", json!({ "ref": format!("{reference}\u{200b}") })).await;
    assert_eq!(read["playlist"]["name"], "Caf\u{e9} del Mar", "{read}");
    still_serves(&client).await;
}
