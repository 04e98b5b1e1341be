//! Prompts and completion: what a person picks and types before an agent begins.

use serde_json::{Value, json};
use stagedoor_domain::{Provider, Scope, ScopeSet, ToolName};
use stagedoor_testkit::{Answer, Client, Era, KeySpec, Stage, TestGateway};

use crate::music;

async fn words(client: &Client, name: &str, arguments: Value) -> String {
    let answer = client.rpc("prompts/get", json!({ "name": name, "arguments": arguments })).await;
    let result = answer.result();
    assert_eq!(result["messages"][0]["role"], "user", "{}", answer.text());
    result["messages"][0]["content"]["text"].as_str().unwrap().to_owned()
}

async fn complete(client: &Client, of: Value, name: &str, typed: &str) -> Answer {
    let argument = json!({ "name": name, "value": typed });
    client.rpc("completion/complete", json!({ "ref": of, "argument": argument })).await
}

fn prompt(name: &str) -> Value {
    json!({ "type": "ref/prompt", "name": name })
}

fn template(uri: &str) -> Value {
    json!({ "type": "ref/resource", "uri": uri })
}

fn values(answer: &Answer) -> Vec<String> {
    let completion = answer.result()["completion"].clone();
    assert!(completion["hasMore"].is_boolean(), "{}", answer.text());
    completion["values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_prompt_says_what_to_do_with_tools_that_there_are() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for era in [Era::Modern, Era::Legacy("2025-11-25")] {
        let client = music::client(&gateway, &ada).speaking(era);
        let list = client.rpc("prompts/list", json!({})).await.result();
        let names: Vec<&str> = list["prompts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|prompt| prompt["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["build_playlist", "tidy_playlist", "what_changed", "move_playlist"]);
        assert_eq!(list.get("ttlMs").is_some(), era == Era::Modern);

        let given = json!({ "occasion": "a late dinner", "minutes": "90", "provider": "tidal" });
        let text = words(&client, "build_playlist", given).await;
        for part in ["a late dinner", "90 minutes", "at tidal", "playlist_create"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let by_name = words(&client, "tidy_playlist", json!({ "playlist": "Late Jazz" })).await;
        assert!(by_name.contains("\"Late Jazz\"") && by_name.contains("playlists_list"), "{by_name}");
        let by_link = json!({ "playlist": "https://open.spotify.com/playlist/4", "to": "tidal" });
        let text = words(&client, "move_playlist", by_link).await;
        assert!(text.contains("spotify:playlist:4") && text.contains("playlist_transfer"), "{text}");
        let text = words(&client, "what_changed", json!({})).await;
        assert!(text.contains("playlist_diff"), "{text}");
    }
}

#[tokio::test]
async fn what_a_prompt_names_is_shown_to_those_who_get_it() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let given = json!({ "occasion": "a run" });
    for path in ["", "/x/catalog,playlists", "/x/playlists,usage", "/readonly", "/x/catalog"] {
        let client = music::client(&gateway, &ada).below(path);
        let listed = client.rpc("tools/list", json!({})).await.result();
        let has = |tool: &ToolName| listed["tools"].to_string().contains(&format!("\"name\":\"{tool}\""));
        let prompts = client.rpc("prompts/list", json!({})).await.result();
        for entry in prompts["prompts"].as_array().unwrap() {
            let name = entry["name"].as_str().unwrap();
            let arguments = match name {
                "build_playlist" => given.clone(),
                "tidy_playlist" => json!({ "playlist": "Mix" }),
                "move_playlist" => json!({ "playlist": "Mix", "to": "tidal" }),
                _ => json!({}),
            };
            let text = words(&client, name, arguments).await;
            let named = ToolName::ALL.iter().filter(|tool| {
                let whole = |character: char| !(character.is_alphanumeric() || character == '_');
                tool.as_str().contains('_') && text.split(whole).any(|word| word == tool.as_str())
            });
            for tool in named {
                // A playlist may be given by reference where it cannot be listed.
                assert!(has(tool) || *tool == ToolName::PlaylistsList, "{path} {name}: {tool}");
            }
        }
    }
    let narrow = music::client(&gateway, &ada).below("/x/catalog");
    let hidden = narrow.rpc("prompts/get", json!({ "name": "build_playlist", "arguments": given })).await;
    let unknown = narrow.rpc("prompts/get", json!({ "name": "no_such" })).await;
    assert_eq!(
        (hidden.verdict(), unknown.verdict()),
        ("200 unknown_prompt".into(), "200 unknown_prompt".into())
    );
    assert_eq!(hidden.json()["error"]["code"], -32602);
}

#[tokio::test]
async fn arguments_of_prompts_are_checked() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (name, arguments) in [
        ("build_playlist", json!({})),
        ("build_playlist", json!({ "occasion": "run", "minutes": "soon" })),
        ("build_playlist", json!({ "occasion": "run", "mood": "good" })),
        ("build_playlist", json!(["run"])),
        ("move_playlist", json!({ "playlist": "Mix", "to": "deezer" })),
        ("tidy_playlist", json!({ "playlist": "spotify:track:4" })),
    ] {
        let answer = client.rpc("prompts/get", json!({ "name": name, "arguments": arguments })).await;
        assert_eq!(answer.verdict(), "200 invalid_arguments", "{name} {arguments}");
        assert_eq!(answer.json()["error"]["code"], -32602);
    }
}

#[tokio::test]
async fn playlists_complete_by_name_and_by_reference() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let bob = stage.inhabit("bob").await;
    for era in [Era::Modern, Era::Legacy("2025-11-25")] {
        let client = music::client(&gateway, &ada).speaking(era);
        let mut references = Vec::new();
        for (provider, name) in [("spotify", "Night Train"), ("tidal", "Nightfall"), ("tidal", "Late Night")]
        {
            let made = client.call("playlist_create", json!({ "name": name, "provider": provider })).await;
            references.push(made["playlist"]["ref"].as_str().unwrap().to_owned());
        }
        let found = values(&complete(&client, prompt("tidy_playlist"), "playlist", "nIGHT").await);
        assert_eq!(found.last().map(String::as_str), Some("Late Night"), "beginnings come first: {found:?}");
        for name in ["Night Train", "Nightfall"] {
            assert_eq!(found.iter().filter(|found| *found == name).count(), 1, "{found:?}");
        }
        let at = "stagedoor://playlist/{ref}";
        let found = values(&complete(&client, template(at), "ref", "night tr").await);
        assert!(found.contains(&references[0]), "{found:?}");
        let found = values(&complete(&client, template(at), "ref", "tidal:").await);
        assert!(found.contains(&references[1]) && found.iter().all(|found| found.starts_with("tidal:")));
        let found = values(&complete(&client, prompt("move_playlist"), "to", "T").await);
        assert_eq!(found, ["tidal"]);
        let found =
            values(&complete(&client, template("stagedoor://toolset/{toolset}"), "toolset", "pl").await);
        assert_eq!(found, ["playlists", "playback"]);
        assert!(values(&complete(&client, prompt("build_playlist"), "occasion", "d").await).is_empty());
        assert!(
            values(&complete(&client, template("stagedoor://track/{ref}"), "ref", "spo").await).is_empty()
        );
    }
    // Nobody is shown what others have.
    let others =
        values(&complete(&music::client(&gateway, &bob), prompt("tidy_playlist"), "playlist", "night").await);
    assert!(others.is_empty(), "{others:?}");
    // Playlists are fetched once, whatever is typed.
    let asked = || stage.sandbox().requests(Provider::Spotify).get("GET /me/playlists").copied().unwrap_or(0);
    let client = music::client(&gateway, &ada);
    complete(&client, prompt("tidy_playlist"), "playlist", "n").await;
    let before = asked();
    for typed in ["ni", "nig", "nigh"] {
        complete(&client, prompt("tidy_playlist"), "playlist", typed).await;
    }
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn nothing_is_completed_that_the_key_may_not_see() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let scopes: ScopeSet =
        Scope::ALL.iter().copied().filter(|scope| *scope != Scope::PlaylistsRead).collect();
    let spec = KeySpec { scopes, ..KeySpec::for_user(ada.user) };
    let poor = gateway.client("ada", &ada.tenant.key(&spec).await);
    let refused = complete(&poor, template("stagedoor://playlist/{ref}"), "ref", "a").await;
    assert_eq!(refused.verdict(), "403 insufficient_scope");

    let spec = KeySpec { user: None, ..KeySpec::for_user(ada.user) };
    let nobodys = gateway.client("ada", &ada.tenant.key(&spec).await);
    assert!(values(&complete(&nobodys, prompt("tidy_playlist"), "playlist", "").await).is_empty());

    let narrow = music::client(&gateway, &ada).below("/x/catalog");
    let client = music::client(&gateway, &ada);
    for answer in [
        complete(&narrow, prompt("tidy_playlist"), "playlist", "a").await,
        complete(&narrow, template("stagedoor://playlist/{ref}"), "ref", "a").await,
        complete(&client, prompt("no_such"), "playlist", "a").await,
        complete(&client, prompt("tidy_playlist"), "no_such", "a").await,
        complete(&client, json!({ "type": "ref/tool", "name": "search" }), "query", "a").await,
    ] {
        assert_eq!(answer.verdict(), "200 invalid_arguments", "{}", answer.text());
    }
}
