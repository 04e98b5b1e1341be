//! Tidal's answers.

use reqwest::Method;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule, Other};

use super::Contract;
use crate::common::{Stage, send};

#[tokio::test]
async fn tidals_answers_satisfy_its_description() {
    let Some(contract) = Contract::load("tidal-third-party.slice.json") else { return };
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Tidal, 30).pop().unwrap();
    let (id, album) = (&track.id, &track.album_id);
    let get = |path: &str| stage.tidal(Method::GET, path);
    let (_, found) = send(get(&format!("/tracks/{id}?include=artists"))).await;
    let artist = found["included"][0]["id"].as_str().unwrap();
    let (_, search) = send(get("/searchResults?filter[query]=blue")).await;
    let search = search["data"][0]["id"].as_str().unwrap();
    let create = json!({ "data": { "type": "playlists", "attributes": { "name": "n", "description": "d", "accessType": "PUBLIC" } } });
    let (_, made) = send(stage.tidal_body(Method::POST, "/playlists", &create)).await;
    let playlist = made["data"]["id"].as_str().unwrap();
    let items = format!("/playlists/{playlist}/relationships/items");
    let add = json!({ "data": [{ "type": "tracks", "id": id }, { "type": "tracks", "id": "1" }, { "type": "tracks", "id": id }] });
    let (_, added) = send(stage.tidal_body(Method::POST, &items, &add)).await;
    let update = json!({ "data": { "type": "playlists", "id": playlist, "attributes": { "name": "m" } } });
    let body = |method, path: &str, body: &Value| stage.tidal_body(method, path, body);
    let collect =
        json!({ "data": [{ "type": "playlists", "id": playlist }, { "type": "playlists", "id": "none" }] });
    let collection = "/userCollectionPlaylists/me/relationships/items";
    for (template, method, request) in [
        (
            "/searchResults",
            "get",
            get(
                "/searchResults?filter[query]=blue&include=tracks.artists,tracks.albums,albums,artists,playlists,topHits,videos",
            ),
        ),
        ("/searchResults", "get", get("/searchResults")),
        (
            "/searchResults/{id}/relationships/tracks",
            "get",
            get(&format!("/searchResults/{search}/relationships/tracks?include=tracks")),
        ),
        (
            "/searchResults/{id}/relationships/topHits",
            "get",
            get(&format!("/searchResults/{search}/relationships/topHits?include=topHits")),
        ),
        (
            "/searchResults/{id}/relationships/videos",
            "get",
            get(&format!("/searchResults/{search}/relationships/videos")),
        ),
        (
            "/tracks",
            "get",
            get(&format!("/tracks?filter[id]={id}&include=albums,artists,lyrics,usageRules,replacement")),
        ),
        ("/tracks", "get", get("/tracks?filter[nothing]=1")),
        ("/tracks/{id}", "get", get(&format!("/tracks/{id}?include=albums.items.artists"))),
        ("/tracks/{id}", "get", get("/tracks/1")),
        (
            "/tracks/{id}/relationships/artists",
            "get",
            get(&format!("/tracks/{id}/relationships/artists?include=artists")),
        ),
        ("/albums", "get", get(&format!("/albums?filter[barcodeId]={}&include=artists", track.upc))),
        (
            "/albums/{id}",
            "get",
            get(&format!("/albums/{album}?include=items.artists,artists,coverArt,usageRules")),
        ),
        (
            "/albums/{id}/relationships/items",
            "get",
            get(&format!("/albums/{album}/relationships/items?include=items")),
        ),
        ("/artists", "get", get(&format!("/artists?filter[id]={artist}"))),
        ("/artists/{id}", "get", get(&format!("/artists/{artist}?include=albums.artists,tracks,biography"))),
        (
            "/artists/{id}/relationships/albums",
            "get",
            get(&format!("/artists/{artist}/relationships/albums?include=albums")),
        ),
        ("/playlists", "get", get("/playlists?filter[owners.id]=me&include=items,owners")),
        ("/playlists", "post", body(Method::POST, "/playlists", &create)),
        ("/playlists", "post", body(Method::POST, "/playlists", &json!({ "data": { "type": "tracks" } }))),
        ("/playlists/{id}", "get", get(&format!("/playlists/{playlist}?include=items.albums"))),
        ("/playlists/{id}", "patch", body(Method::PATCH, &format!("/playlists/{playlist}"), &update)),
        ("/playlists/{id}/relationships/items", "post", body(Method::POST, &items, &add)),
        (
            "/playlists/{id}/relationships/items",
            "get",
            get(&format!("{items}?include=items.artists&sort=-addedAt")),
        ),
        (
            "/playlists/{id}/relationships/items",
            "patch",
            body(Method::PATCH, &items, &json!({ "data": [added["data"][1]] })),
        ),
        (
            "/playlists/{id}/relationships/items",
            "delete",
            body(Method::DELETE, &items, &json!({ "data": [added["data"][0]] })),
        ),
        ("/users/{id}", "get", get("/users/me")),
        (
            "/userCollectionPlaylists/{id}/relationships/items",
            "post",
            body(Method::POST, collection, &collect),
        ),
        ("/userCollectionPlaylists/{id}", "get", get("/userCollectionPlaylists/me?include=items,owners")),
        (
            "/userCollectionPlaylists/{id}/relationships/items",
            "get",
            get(&format!("{collection}?include=items")),
        ),
        (
            "/userCollectionPlaylists/{id}/relationships/items",
            "delete",
            body(Method::DELETE, collection, &collect),
        ),
        ("/users/{id}", "get", get("/users/me").header("accept", "text/html")),
        ("/playlists", "post", stage.tidal(Method::POST, "/playlists").json(&create)),
        ("/playlists/{id}", "delete", stage.tidal(Method::DELETE, &format!("/playlists/{playlist}"))),
    ] {
        contract.check(template, method, request).await;
    }
    let keyed =
        |body: &Value| stage.tidal_body(Method::POST, "/playlists", body).header("idempotency-key", "k");
    contract.check("/playlists", "post", keyed(&create)).await;
    let other = json!({ "data": { "type": "playlists", "attributes": { "name": "other" } } });
    contract.check("/playlists", "post", keyed(&other)).await;
    for status in [429, 500, 503] {
        stage.sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::status(status)).times(1));
        contract.check("/users/{id}", "get", get("/users/me")).await;
    }
}

#[tokio::test]
async fn what_tidal_finds_from_music_satisfies_its_description() {
    let Some(contract) = Contract::load("tidal-third-party.slice.json") else { return };
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Tidal, 30).pop().unwrap();
    let (track, album, artist) = (&track.id, &track.album_id, &track.artist_ids[0]);
    let get = |path: &str| stage.tidal(Method::GET, path);
    let (_, radio) = send(get(&format!("/tracks/{track}/relationships/radio"))).await;
    let radio = radio["data"][0]["id"].as_str().unwrap();
    let odd = stage.sandbox.make_playlist(Provider::Tidal, &stage.accounts[1], "Odd", &[track]);
    stage.sandbox.add_other(Provider::Tidal, &odd, Other::Video);
    for (template, path) in [
        (
            "/tracks/{id}/relationships/similarTracks",
            format!("/tracks/{track}/relationships/similarTracks?include=similarTracks.artists"),
        ),
        (
            "/albums/{id}/relationships/similarAlbums",
            format!("/albums/{album}/relationships/similarAlbums?include=similarAlbums.artists"),
        ),
        (
            "/artists/{id}/relationships/similarArtists",
            format!("/artists/{artist}/relationships/similarArtists?include=similarArtists"),
        ),
        (
            "/tracks/{id}/relationships/radio",
            format!("/tracks/{track}/relationships/radio?include=radio.items.artists"),
        ),
        (
            "/artists/{id}/relationships/radio",
            format!("/artists/{artist}/relationships/radio?include=radio.items"),
        ),
        ("/playlists/{id}", format!("/playlists/{radio}?include=items,owners")),
        (
            "/playlists/{id}/relationships/items",
            format!("/playlists/{radio}/relationships/items?include=items.albums"),
        ),
        ("/playlists", format!("/playlists?filter[id]={radio}")),
        (
            "/playlists/{id}/relationships/items",
            format!("/playlists/{odd}/relationships/items?include=items"),
        ),
        ("/userDailyMixes/{id}", "/userDailyMixes/me?include=items.items".to_owned()),
        (
            "/userDailyMixes/{id}/relationships/items",
            "/userDailyMixes/me/relationships/items?include=items".to_owned(),
        ),
        ("/userDiscoveryMixes/{id}", "/userDiscoveryMixes/me?include=items".to_owned()),
        (
            "/userDiscoveryMixes/{id}/relationships/items",
            "/userDiscoveryMixes/me/relationships/items".to_owned(),
        ),
        ("/userNewReleaseMixes/{id}", "/userNewReleaseMixes/me?include=items.items".to_owned()),
        (
            "/userNewReleaseMixes/{id}/relationships/items",
            "/userNewReleaseMixes/me/relationships/items?include=items".to_owned(),
        ),
        ("/userDailyMixes/{id}", "/userDailyMixes/someone".to_owned()),
    ] {
        contract.check(template, "get", get(&path)).await;
    }
}

#[tokio::test]
async fn collections_satisfy_tidals_description() {
    let Some(contract) = Contract::load("tidal-third-party.slice.json") else { return };
    let stage = Stage::new().await;
    let track = stage.tracks(Provider::Tidal, 1).pop().unwrap();
    for (collection, kind, id) in [
        ("userCollectionTracks", "tracks", &track.id),
        ("userCollectionAlbums", "albums", &track.album_id),
        ("userCollectionArtists", "artists", &track.artist_ids[0]),
    ] {
        let path = format!("/{collection}/me/relationships/items");
        let body = json!({ "data": [{ "type": kind, "id": id }, { "type": kind, "id": "1" }] });
        let wrong = json!({ "data": [{ "type": "videos", "id": id }] });
        let items = format!("/{collection}/{{id}}/relationships/items");
        for (template, method, request) in [
            (&items, "post", stage.tidal_body(Method::POST, &path, &body)),
            (&items, "post", stage.tidal_body(Method::POST, &path, &body)),
            (&items, "post", stage.tidal_body(Method::POST, &path, &wrong)),
            (&items, "get", stage.tidal(Method::GET, &format!("{path}?include=items&sort=-addedAt"))),
            (&items, "get", stage.tidal(Method::GET, &format!("{path}?sort=loudness"))),
            (
                &format!("/{collection}/{{id}}"),
                "get",
                stage.tidal(Method::GET, &format!("/{collection}/me?include=items,owners")),
            ),
            (&items, "delete", stage.tidal_body(Method::DELETE, &path, &body)),
        ] {
            contract.check(template, method, request).await;
        }
    }
}
