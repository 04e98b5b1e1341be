//! Every tool on both providers: answers fit their schemas, pages follow each other, writes can be read back.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use stagedoor_domain::{Provider, ToolName};
use stagedoor_testkit::{Client, Era, Stage, TestGateway};
use stagedoor_tools::descriptors::answer_schema;

use crate::music::{self, Music};

async fn output_schemas(client: &Client) -> BTreeMap<String, jsonschema::Validator> {
    let list = client.rpc("tools/list", json!({})).await.result();
    let tools = list["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| {
            let schema = jsonschema::validator_for(&tool["outputSchema"]).unwrap();
            jsonschema::validator_for(&tool["inputSchema"]).unwrap();
            assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
            (tool["name"].as_str().unwrap().to_owned(), schema)
        })
        .collect()
}

#[tokio::test]
async fn every_answer_fits_its_schema_and_its_text() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    for era in [Era::Modern, Era::Legacy("2025-06-18")] {
        let client = music::client(&gateway, &ada).speaking(era);
        let schemas = output_schemas(&client).await;
        assert_eq!(schemas.len(), ToolName::ALL.len());
        for provider in Provider::ALL {
            let music = Music::of_all_tools(&stage, &client, *provider).await;
            for tool in ToolName::ALL {
                let mut arguments = music.arguments(*tool);
                if *tool == ToolName::AccountUnlink {
                    arguments = json!({ "account": ada.tenant.link(ada.user, *provider).await.id });
                }
                let answer = client.tool(tool.as_str(), arguments).await;
                let result = answer.result();
                if !music::has(*provider, *tool) {
                    assert_eq!(
                        answer.code().as_deref(),
                        Some("provider_rejected"),
                        "{tool} {provider}: {result}"
                    );
                    assert!(answer.message().contains("cannot do this"), "{tool} {provider}: {result}");
                    continue;
                }
                assert_eq!(
                    (answer.status, &result["isError"]),
                    (200, &json!(false)),
                    "{tool} {provider}: {result}"
                );
                let structured = &result["structuredContent"];
                // What is listed is short; what it stands for says each member of each item.
                let whole = jsonschema::validator_for(&Value::Object(answer_schema(*tool))).unwrap();
                for schema in [&schemas[tool.as_str()], &whole] {
                    let faults: Vec<String> =
                        schema.iter_errors(structured).map(|fault| fault.to_string()).collect();
                    assert!(faults.is_empty(), "{tool} {provider}: {faults:?} in {structured}");
                }
                let text: Value =
                    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
                assert_eq!(&text, structured, "{tool}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_found_is_what_was_asked_for() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let music = Music::of(&stage, &client, *provider).await;
        let track = client.call("track_get", json!({ "ref": music.track })).await;
        assert_eq!(
            (&track["track"]["ref"], &track["track"]["isrc"]),
            (&json!(music.track), &json!(music.isrc))
        );
        let resolved = client.call("resolve", music.arguments(ToolName::Resolve)).await;
        let same: Vec<&Value> =
            resolved["tracks"].as_array().unwrap().iter().map(|track| &track["isrc"]).collect();
        assert!(!same.is_empty() && same.iter().all(|isrc| **isrc == music.isrc), "{resolved}");
        let album = client.call("album_get", json!({ "ref": music.album })).await;
        assert!(!album["album"]["tracks"].as_array().unwrap().is_empty(), "{album}");
        let found = client.call("search", music.arguments(ToolName::Search)).await;
        assert!(!found["tracks"]["items"].as_array().unwrap().is_empty(), "{found}");
        let missing = client.tool("track_get", json!({ "ref": format!("{provider}:track:999999999") })).await;
        assert!(missing.verdict().starts_with("200 "), "{}", missing.text());
        assert!(["item_not_found", "provider_rejected"].contains(&missing.code().unwrap().as_str()));
    }
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end_without_gaps_or_repeats() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let music = Music::of(&stage, &client, *provider).await;
        let (mut positions, mut tracks, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
        loop {
            let mut arguments = json!({ "ref": music.playlist, "limit": 50 });
            if let Value::String(cursor) = &cursor {
                arguments["cursor"] = json!(cursor);
            }
            let page = client.call("playlist_get", arguments).await;
            for item in page["items"].as_array().unwrap() {
                positions.push(item["position"].as_u64().unwrap());
                tracks.push(item["track"]["ref"].as_str().unwrap().to_owned());
            }
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(positions, (0..120).collect::<Vec<_>>(), "{provider}");
        assert_eq!(tracks, music.many, "{provider}");

        let mut seen = HashSet::new();
        let mut cursor = Value::Null;
        for page in 0..3 {
            let mut arguments = json!({ "query": "a", "provider": provider, "limit": 10 });
            if let Value::String(cursor) = &cursor {
                arguments["cursor"] = json!(cursor);
            }
            let found = client.call("search", arguments).await;
            for item in found["tracks"]["items"].as_array().unwrap() {
                assert!(
                    seen.insert(item["ref"].as_str().unwrap().to_owned()),
                    "{provider}, page {page}: {item} again"
                );
            }
            cursor = found["tracks"]["next_cursor"].clone();
            assert!(cursor.is_string() || page == 2, "{provider}: search ended on page {page}");
        }
    }
}

#[tokio::test]
async fn a_cursor_works_only_where_it_was_given_out() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let (client, other) = (music::client(&gateway, &ada), music::client(&gateway, &bob));
    let music = Music::of(&stage, &client, Provider::Spotify).await;
    let search =
        |query: &str, cursor: &str| json!({ "query": query, "provider": "spotify", "cursor": cursor });
    let first = client.call("search", json!({ "query": "a", "provider": "spotify" })).await;
    let cursor = first["tracks"]["next_cursor"].as_str().unwrap();
    client.call("search", search("a", cursor)).await;

    let page = client.call("playlist_get", json!({ "ref": music.playlist })).await;
    let of_playlist = page["next_cursor"].as_str().unwrap();
    let mut altered = cursor.to_owned();
    let last = if altered.ends_with('A') { "B" } else { "A" };
    altered.replace_range(altered.len() / 2..=altered.len() / 2, last);
    for (whose, tool, arguments) in [
        (&other, "search", search("a", cursor)),
        (&client, "search", search("b", cursor)),
        (&client, "search", json!({ "query": "a", "provider": "tidal", "cursor": cursor })),
        (&client, "search", search("a", of_playlist)),
        (&client, "search", search("a", &altered)),
        (&client, "search", search("a", "made up!")),
        (&client, "search", search("a", "")),
        (&client, "playlist_get", json!({ "ref": music.playlist, "cursor": cursor })),
        (&client, "playlists_list", json!({ "provider": "spotify", "cursor": of_playlist })),
    ] {
        let answer = whose.tool(tool, arguments.clone()).await;
        assert_eq!(answer.verdict(), "200 invalid_cursor", "{tool} {arguments}: {}", answer.text());
        assert_eq!(answer.result()["isError"], true);
    }
}

#[tokio::test]
async fn a_write_can_be_read_back_at_once() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for (provider, era) in [(Provider::Spotify, Era::Modern), (Provider::Tidal, Era::Legacy("2025-11-25"))] {
        let client = music::client(&gateway, &ada).speaking(era);
        let before = client.call("playlists_list", json!({ "provider": provider })).await;
        let music = Music::of(&stage, &client, provider).await;
        let after = client.call("playlists_list", json!({ "provider": provider })).await;
        let count = |list: &Value| list["playlists"].as_array().unwrap().len();
        assert_eq!(count(&after), count(&before) + 1, "{after}");

        let extra = &music::known_tracks(&stage, provider)[130];
        let extra = format!("{provider}:track:{}", extra.id);
        let arguments = json!({ "ref": music.playlist, "tracks": [extra], "position": 0 });
        assert_eq!(client.call("playlist_add", arguments).await["added"], 1);
        let page = client.call("playlist_get", json!({ "ref": music.playlist, "limit": 2 })).await;
        let refs: Vec<&Value> =
            page["items"].as_array().unwrap().iter().map(|item| &item["track"]["ref"]).collect();
        assert_eq!(refs, [&json!(extra), &json!(music.many[0])], "{provider}");
    }
}
