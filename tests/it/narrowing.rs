//! Less than the key has, by path or by header: in lists and calls, in both eras, never more.

use serde_json::{Value, json};
use stagedoor_domain::{ToolName, Toolset, ToolsetSet};
use stagedoor_testkit::{Client, Era, KeySpec, Stage, TestGateway};

use crate::music;

async fn shown(client: &Client) -> Vec<String> {
    let list = client.rpc("tools/list", json!({})).await.result();
    let tools = list["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn of(toolsets: &[Toolset], writes: bool) -> Vec<String> {
    let in_them = ToolName::ALL.iter().filter(|tool| toolsets.contains(&tool.toolset()));
    in_them.filter(|tool| writes || !tool.writes()).map(ToString::to_string).collect()
}

#[tokio::test]
async fn paths_and_headers_take_away_alike() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let some = [Toolset::Catalog, Toolset::Playlists, Toolset::Jobs];
    for era in [Era::Modern, Era::Legacy("2025-11-25")] {
        let client = || music::client(&gateway, &ada).speaking(era);
        let all = Toolset::ALL;
        assert_eq!(shown(&client().below("/readonly")).await, of(all, false));
        assert_eq!(shown(&client().with_header("X-MCP-Readonly", "true")).await, of(all, false));
        assert_eq!(shown(&client().below("/x/playlists,catalog")).await, of(&some, true), "jobs come along");
        assert_eq!(shown(&client().below("/x/playlists%2Ccatalog")).await, of(&some, true));
        assert_eq!(
            shown(&client().with_header("X-MCP-Toolsets", "catalog, playlists")).await,
            of(&some, true)
        );
        assert_eq!(shown(&client().below("/x/playlists,catalog/readonly")).await, of(&some, false));
        let both = client().below("/x/playlists,usage").with_header("X-MCP-Toolsets", "usage,catalog");
        assert_eq!(shown(&both).await, of(&[Toolset::Usage], true), "both take away");
        for nothing_less in ["/x/all", ""] {
            let client = client().below(nothing_less).with_header("X-MCP-Readonly", "false");
            assert_eq!(shown(&client).await, of(all, true));
        }
    }
}

#[tokio::test]
async fn what_is_taken_away_is_not_there() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let whole = music::client(&gateway, &ada);
    let before = whole.call("usage_status", json!({})).await;

    let reader = music::client(&gateway, &ada).below("/readonly");
    let hidden = reader.tool("playlist_create", json!({ "name": "x", "provider": "spotify" })).await;
    assert_eq!(hidden.verdict(), "200 unknown_tool");
    let narrow = music::client(&gateway, &ada).with_header("X-MCP-Toolsets", "usage");
    assert_eq!(
        narrow.tool("playlists_list", json!({ "provider": "tidal" })).await.verdict(),
        "200 unknown_tool"
    );
    assert!(stage.sandbox().requests(stagedoor_domain::Provider::Spotify).is_empty());
    assert!(stage.sandbox().requests(stagedoor_domain::Provider::Tidal).is_empty());

    // Resources and prompts stand on tools, and go with them.
    let uris = |list: Value, of: &str, by: &str| -> Vec<String> {
        let entries = list[of].as_array().unwrap().iter();
        entries.map(|entry| entry[by].as_str().unwrap().to_owned()).collect()
    };
    let listed = narrow.rpc("resources/list", json!({})).await.result();
    assert_eq!(uris(listed, "resources", "uri"), ["stagedoor://usage"]);
    let read = narrow.rpc("resources/read", json!({ "uri": "stagedoor://accounts" })).await;
    assert_eq!(read.verdict(), "200 unknown_resource");
    let prompts = narrow.rpc("prompts/list", json!({})).await.result();
    assert!(uris(prompts, "prompts", "name").is_empty());
    let prompts = reader.rpc("prompts/list", json!({})).await.result();
    assert_eq!(uris(prompts, "prompts", "name"), ["what_changed"]);

    // What is counted and remembered is the key's, narrowed or not.
    let usage = narrow.call("usage_status", json!({})).await;
    assert_eq!((&usage["tenant"], &usage["principal"]), (&before["tenant"], &before["principal"]));
    assert_eq!(usage["toolsets"], json!(["usage"]));
}

#[tokio::test]
async fn nobody_gets_more_than_the_key_has() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let toolsets = ToolsetSet::empty().with(Toolset::Catalog);
    let spec = KeySpec { toolsets: Some(toolsets), read_only: true, ..KeySpec::for_user(ada.user) };
    let key = ada.tenant.key(&spec).await;
    let client = || gateway.client("ada", &key);
    let has = of(&[Toolset::Catalog], false);
    assert_eq!(shown(&client().below("/x/all")).await, has);
    assert_eq!(shown(&client().with_header("X-MCP-Readonly", "false")).await, has);
    assert_eq!(shown(&client().below("/x/catalog,playlists")).await, has);
    assert!(shown(&client().with_header("X-MCP-Toolsets", "playlists")).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_shows_nothing_and_says_what_there_is() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = || music::client(&gateway, &ada);
    let refused = client().below("/x/musik").rpc("tools/list", json!({})).await;
    assert_eq!(refused.verdict(), "404 not_found");
    assert!(
        refused.message().contains("\"musik\"") && refused.message().contains("playlists"),
        "{}",
        refused.text()
    );
    for (header, value) in [
        ("X-MCP-Toolsets", "musik"),
        ("X-MCP-Toolsets", "catalog,,usage"),
        ("X-MCP-Toolsets", " "),
        ("X-MCP-Readonly", "maybe"),
    ] {
        let refused = client().with_header(header, value).rpc("tools/list", json!({})).await;
        assert_eq!(refused.verdict(), "400 invalid_request", "{header}: {value:?}");
        assert!(refused.message().to_lowercase().contains(&header.to_lowercase()), "{}", refused.text());
    }
    let twice = client().with_header("X-MCP-Toolsets", "usage").with_header("X-MCP-Toolsets", "catalog");
    assert_eq!(twice.rpc("tools/list", json!({})).await.verdict(), "400 invalid_request");
    // A stranger is told nothing but that the key is not valid.
    let stranger = gateway.client("ada", "sd_test_nothing").below("/x/musik");
    assert_eq!(stranger.rpc("tools/list", json!({})).await.status, 401);
    for path in ["/x", "/x/", "/readonly/x", "/x/catalog/writable"] {
        assert_eq!(client().below(path).rpc("tools/list", json!({})).await.status, 404, "{path}");
    }
}
