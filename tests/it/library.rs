//! What people have saved, what they listen to, and music found from music: as the services tell it, page by page.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::{Client, Stage, TestGateway};

use crate::music::{self, known_tracks};

fn references(stage: &Stage, provider: Provider, count: usize) -> Vec<String> {
    let known = known_tracks(stage, provider);
    known.iter().take(count).map(|track| format!("{provider}:track:{}", track.id)).collect()
}

/// Every page of a list, by the references of what is on it.
async fn all(client: &Client, tool: &str, arguments: Value) -> Vec<String> {
    let (mut found, mut arguments) = (Vec::new(), arguments);
    for _ in 0..50 {
        let page = client.call(tool, arguments.clone()).await;
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| {
            let reference = item["ref"].as_str().or_else(|| item["track"]["ref"].as_str());
            reference.unwrap_or_else(|| panic!("{tool}: {item}")).to_owned()
        }));
        match &page["next_cursor"] {
            Value::String(cursor) => arguments["cursor"] = json!(cursor),
            _ => return found,
        }
    }
    panic!("{tool} {arguments} does not end");
}

#[tokio::test]
async fn what_is_saved_is_there_at_once_and_gone_at_once() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let list = |kind: &str| json!({ "kind": kind, "provider": provider });
        let track = &known_tracks(&stage, *provider)[0];
        let found =
            client.call("track_get", json!({ "ref": format!("{provider}:track:{}", track.id) })).await;
        let of = |value: &Value| value["ref"].as_str().unwrap().to_owned();
        let (song, album, artist) =
            (of(&found["track"]), of(&found["track"]["album"]), of(&found["track"]["artists"][0]));
        for kind in ["track", "album", "artist"] {
            assert_eq!(
                all(&client, "library_list", list(kind)).await,
                Vec::<String>::new(),
                "{provider} {kind}"
            );
        }
        let refs = json!({ "refs": [song, album, artist] });
        assert_eq!(client.call("library_save", refs.clone()).await["items"], 3);
        assert_eq!(client.call("library_save", refs.clone()).await["items"], 3, "again is no failure");
        for (kind, saved) in [("track", &song), ("album", &album), ("artist", &artist)] {
            assert_eq!(all(&client, "library_list", list(kind)).await, [saved.as_str()], "{provider}");
        }
        if *provider == Provider::Spotify {
            let saved = async || {
                let answer = client.call("library_contains", refs.clone()).await;
                answer["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["saved"] == true)
                    .collect::<Vec<_>>()
            };
            assert_eq!(saved().await, [true; 3]);
            client.call("library_remove", json!({ "refs": [album] })).await;
            assert_eq!(saved().await, [true, false, true]);
        } else {
            client.call("library_remove", json!({ "refs": [album] })).await;
        }
        assert!(all(&client, "library_list", list("album")).await.is_empty(), "{provider}");
        assert_eq!(all(&client, "library_list", list("track")).await, [song.as_str()], "{provider}");
    }
}

#[tokio::test]
async fn many_are_saved_in_batches_and_listed_in_pages() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let many = references(&stage, *provider, 110);
        assert_eq!(client.call("library_save", json!({ "refs": many })).await["items"], 110);
        let listed =
            all(&client, "library_list", json!({ "kind": "track", "provider": provider, "limit": 40 })).await;
        let (listed_once, saved): (BTreeSet<_>, BTreeSet<_>) =
            (listed.iter().collect(), many.iter().collect());
        assert_eq!((listed.len(), listed_once), (110, saved), "{provider}");
    }
}

#[tokio::test]
async fn a_batch_that_fails_says_what_is_in() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let mut refs = references(&stage, *provider, 60);
        let nothing = match provider {
            Provider::Spotify => "spotify:track:0000000000000000000000",
            Provider::Tidal => "tidal:track:999999999",
        };
        refs.push(nothing.to_owned());
        let before = client.call("library_list", json!({ "kind": "track", "provider": provider })).await;
        assert_eq!(before["items"], json!([]), "what is listed now must not be shown afterwards");
        let partly = client.tool("library_save", json!({ "refs": refs })).await;
        assert_eq!(partly.verdict(), "200 partly_done", "{provider}: {}", partly.text());
        let told = &partly.result()["_meta"]["dev.stagedoor/error"]["details"];
        let done: BTreeSet<String> =
            told["done"].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect();
        assert!(done.len() >= 40 && !done.contains(nothing), "{provider}: {told}");
        let listed =
            all(&client, "library_list", json!({ "kind": "track", "provider": provider, "limit": 50 })).await;
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), done, "{provider}");
    }
}

#[tokio::test]
async fn what_cannot_be_saved_or_removed_is_refused_before_anything_is_sent() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for (tool, refs, told) in [
        ("library_save", json!([]), "must have 1 to 200"),
        ("library_save", json!(["spotify:track:1", "tidal:track:1"]), "refs[1]"),
        ("library_save", json!(["tidal:mix:1"]), "another kind of item"),
        ("library_contains", json!(["77646169"]), "only an id"),
        ("library_remove", json!(["spotify:playlist:1"]), "playlist_delete"),
    ] {
        let refused = client.tool(tool, json!({ "refs": refs })).await;
        assert_eq!(refused.verdict(), "200 invalid_arguments", "{tool} {refs}: {}", refused.text());
        assert!(refused.message().contains(told), "{tool} {refs}: {}", refused.message());
    }
    assert!(Provider::ALL.iter().all(|provider| stage.sandbox().requests(*provider).is_empty()));
}

#[tokio::test]
async fn what_is_listened_to_is_told_by_the_service_that_knows() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let tracks = all(&client, "top_items", json!({ "limit": 10 })).await;
    let artists = all(&client, "top_items", json!({ "kind": "artist", "range": "long", "limit": 50 })).await;
    assert!(
        tracks.len() > 10 && tracks.iter().all(|track| track.starts_with("spotify:track:")),
        "{tracks:?}"
    );
    assert!(!artists.is_empty() && artists.iter().all(|artist| artist.starts_with("spotify:artist:")));
    let asked = || stage.sandbox().requests(Provider::Spotify).values().sum::<u64>();
    let before = asked();
    client.call("top_items", json!({ "limit": 10 })).await;
    assert_eq!(asked(), before, "it is kept");
    let played = all(&client, "recently_played", json!({ "limit": 7 })).await;
    assert_eq!(played.len(), 20, "the sandbox's accounts begin with 20 plays");
    let before = asked();
    let first = client.call("recently_played", json!({ "limit": 7 })).await;
    assert!(asked() > before, "what was played last is never kept");
    assert!(first["items"][0]["played_at"].is_string(), "{first}");
    let profile = client.call("profile", json!({ "provider": "tidal" })).await;
    assert_eq!(profile["account"], json!(ada.account(Provider::Tidal).id), "{profile}");
}

#[tokio::test]
async fn music_is_found_from_music() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let track = format!("{provider}:track:{}", known_tracks(&stage, *provider)[0].id);
        let found = client.call("track_get", json!({ "ref": track })).await;
        let artist = &found["track"]["artists"][0]["ref"];
        let albums = all(&client, "artist_albums", json!({ "ref": artist, "limit": 2 })).await;
        let once: BTreeSet<_> = albums.iter().collect();
        assert!(!albums.is_empty() && once.len() == albums.len(), "{provider}: {albums:?}");
        assert!(albums.contains(&found["track"]["album"]["ref"].as_str().unwrap().to_owned()), "{albums:?}");
        if *provider == Provider::Spotify {
            for tool in ["similar", "radio"] {
                let lacks = client.tool(tool, json!({ "ref": track })).await;
                assert_eq!(lacks.verdict(), "200 provider_rejected", "{tool}");
                assert!(lacks.message().contains("Spotify cannot do this"), "{}", lacks.message());
            }
            continue;
        }
        for (reference, of) in [
            (track.clone(), "tidal:track:"),
            (artist.as_str().unwrap().to_owned(), "tidal:artist:"),
            (albums[0].clone(), "tidal:album:"),
        ] {
            let similar = client.call("similar", json!({ "ref": reference })).await;
            let items = similar["items"].as_array().unwrap();
            assert!(!items.is_empty(), "{reference}: {similar}");
            assert!(items.iter().all(|item| item["ref"].as_str().unwrap().starts_with(of)), "{similar}");
        }
        for reference in [&track, &artist.as_str().unwrap().to_owned()] {
            let radio = all(&client, "radio", json!({ "ref": reference })).await;
            assert!(
                radio.iter().all(|item| item.starts_with("tidal:track:")) && !radio.is_empty(),
                "{radio:?}"
            );
        }
        let wrong = client.tool("radio", json!({ "ref": albums[0] })).await;
        assert_eq!(wrong.verdict(), "200 invalid_arguments");
        assert!(wrong.message().contains("tidal:track:ID or"), "{}", wrong.message());
    }
    let mixes = client.call("mixes_list", json!({})).await;
    let mixes: Vec<&str> =
        mixes["items"].as_array().unwrap().iter().map(|mix| mix["ref"].as_str().unwrap()).collect();
    assert!(mixes.iter().all(|mix| mix.starts_with("tidal:mix:")) && !mixes.is_empty(), "{mixes:?}");
    let tracks = all(&client, "mix_items", json!({ "ref": mixes[0], "limit": 5 })).await;
    assert!(tracks.iter().all(|track| track.starts_with("tidal:track:")) && !tracks.is_empty());
    let wrong = client.tool("playlist_get", json!({ "ref": mixes[0] })).await;
    assert!(wrong.message().contains("a playlist is needed"), "{}", wrong.message());
}
