//! Tidal's API as a client meets it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};

use crate::common::{Stage, send};

#[tokio::test]
async fn search_carries_its_hits_and_what_belongs_to_them() {
    let stage = Stage::new().await;
    let wanted = stage.tracks(Provider::Tidal, 25).pop().unwrap();
    let query = [
        ("filter[query]", &*format!("{} {}", wanted.title, wanted.artists[0])),
        ("include", "tracks.artists,tracks.albums,artists"),
    ];
    let (status, body) = send(stage.tidal(Method::GET, "/searchResults").query(&query)).await;
    assert_eq!(status, StatusCode::OK);
    let hits = body["data"][0]["relationships"]["tracks"]["data"].as_array().unwrap();
    assert!(hits.iter().any(|hit| hit["id"] == *wanted.id), "{wanted:?}");
    let track = included(&body, "tracks", &wanted.id).unwrap();
    assert_eq!(track["attributes"]["isrc"], *wanted.isrc.clone().unwrap());
    let artist = track["relationships"]["artists"]["data"][0]["id"].as_str().unwrap();
    assert_eq!(included(&body, "artists", artist).unwrap()["attributes"]["name"], *wanted.artists[0]);
    assert!(included(&body, "albums", &wanted.album_id).is_some());
    let all = body["included"].as_array().unwrap();
    let keys: std::collections::HashSet<_> =
        all.iter().map(|item| (item["type"].to_string(), item["id"].to_string())).collect();
    assert_eq!(keys.len(), all.len(), "every resource once");
}

#[tokio::test]
async fn the_hits_of_a_search_are_paged_by_opaque_cursors() {
    let stage = Stage::new().await;
    let (_, body) = send(stage.tidal(Method::GET, "/searchResults?filter[query]=blue")).await;
    let id = body["data"][0]["id"].as_str().unwrap();
    assert_eq!(body["data"][0]["relationships"]["tracks"].get("data"), None);
    let mut next = Some(format!("/searchResults/{id}/relationships/tracks?include=tracks"));
    let mut seen = std::collections::HashSet::new();
    while let Some(path) = next {
        let (status, page) = send(stage.tidal(Method::GET, &path)).await;
        assert_eq!(status, StatusCode::OK);
        let data = page["data"].as_array().unwrap();
        assert_eq!(data.len(), page["included"].as_array().unwrap().len());
        assert!(data.iter().all(|hit| seen.insert(hit["id"].to_string())));
        next = page["links"]["next"].as_str().map(str::to_owned);
        if let Some(next) = &next {
            assert!(next.contains(page["links"]["meta"]["nextCursor"].as_str().unwrap()));
        }
    }
    assert!(seen.len() > 20);
    let (status, _) =
        send(stage.tidal(Method::GET, &format!("/searchResults/{id}/relationships/tracks?page[cursor]=abc")))
            .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn filters_find_by_isrc_barcode_and_id() {
    let stage = Stage::new().await;
    let wanted = stage.tracks(Provider::Tidal, 3);
    let isrc = wanted[0].isrc.clone().unwrap();
    let (_, one) = send(stage.tidal(Method::GET, &format!("/tracks?filter[isrc]={isrc}"))).await;
    assert!(one["data"].as_array().unwrap().iter().any(|track| track["id"] == *wanted[0].id));
    let both = format!("{isrc},{}", wanted[1].isrc.clone().unwrap());
    let (_, two) = send(stage.tidal(Method::GET, &format!("/tracks?filter[isrc]={both}"))).await;
    assert_eq!(two["data"].as_array().unwrap().len(), 2);
    let (_, album) =
        send(stage.tidal(Method::GET, &format!("/albums?filter[barcodeId]={}", wanted[2].upc))).await;
    assert_eq!(album["data"][0]["id"], *wanted[2].album_id);
    let (status, body) = send(stage.tidal(Method::GET, "/tracks?filter[mood]=blue")).await;
    assert_eq!(
        (status, &body["errors"][0]["source"]["parameter"]),
        (StatusCode::BAD_REQUEST, &"filter[mood]".into())
    );
    let (status, _) = send(stage.tidal(Method::GET, "/tracks/1?include=albums.items.artists.albums")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = send(stage.tidal(Method::GET, "/tracks/1?include=lovers")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn media_types_methods_and_countries_are_minded() {
    let stage = Stage::new().await;
    let (status, _) = send(stage.tidal(Method::POST, "/playlists").json(&json!({ "data": {} }))).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let plain = stage
        .client
        .get(format!("{}/tidal/v2/users/me", stage.base))
        .bearer_auth(&stage.grants[1].access_token);
    assert_eq!(send(plain.header("accept", "text/html")).await.0, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(send(stage.tidal(Method::PUT, "/tracks/1")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(stage.tidal(Method::GET, "/nothing")).await.0, StatusCode::NOT_FOUND);
    let blocked =
        stage.sandbox.catalogue(Provider::Tidal).tracks().find(|track| track.blocked_in == ["US"]).unwrap();
    let path = format!("/tracks/{}", blocked.id);
    assert_eq!(send(stage.tidal(Method::GET, &path)).await.0, StatusCode::OK);
    assert_eq!(
        send(stage.tidal(Method::GET, &format!("{path}?countryCode=US"))).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        send(stage.tidal(Method::GET, &format!("{path}?countryCode=usa"))).await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_playlist_lives_through_its_whole_life() {
    let stage = Stage::new().await;
    let tracks: Vec<Value> = stage
        .tracks(Provider::Tidal, 60)
        .iter()
        .map(|track| json!({ "type": "tracks", "id": track.id }))
        .collect();
    let id = create(&stage, "Night Drive").await;
    let items = format!("/playlists/{id}/relationships/items");
    let before = modified_at(&stage, &id).await;
    let mut first: Vec<Value> = tracks[..49].to_vec();
    first.push(json!({ "type": "tracks", "id": "1" }));
    let (status, added) = send(stage.tidal_body(Method::POST, &items, &json!({ "data": first }))).await;
    assert_eq!((status, added["data"].as_array().unwrap().len()), (StatusCode::OK, 49));
    assert_eq!(added["meta"]["skipped"], json!([{ "id": "1", "type": "tracks", "reason": "NOT_FOUND" }]));
    assert!(
        modified_at(&stage, &id).await > before,
        "a write moves lastModifiedAt even while the clock stands"
    );
    let (status, _) = send(stage.tidal_body(Method::POST, &items, &json!({ "data": tracks[..51] }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let (_, page) = send(stage.tidal(Method::GET, &format!("{items}?include=items.artists"))).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 20);
    let next = page["links"]["next"].as_str().unwrap();
    let (_, second) = send(stage.tidal(Method::GET, next)).await;
    assert_eq!(second["data"][0]["id"], tracks[20]["id"]);

    let entry = |at: usize| added["data"][at].clone();
    let moved = json!({ "data": [entry(5), entry(3)], "meta": { "positionBefore": added["data"][0]["meta"]["itemId"] } });
    assert_eq!(send(stage.tidal_body(Method::PATCH, &items, &moved)).await.0, StatusCode::OK);
    assert_eq!(
        send(stage.tidal_body(Method::DELETE, &items, &json!({ "data": [entry(0)] }))).await.0,
        StatusCode::OK
    );
    let (_, page) = send(stage.tidal(Method::GET, &items)).await;
    let order: Vec<&Value> = (0..3).map(|at| &page["data"][at]["id"]).collect();
    assert_eq!(order, [&tracks[5]["id"], &tracks[3]["id"], &tracks[1]["id"]]);
    let (status, _) = send(stage.tidal_body(Method::DELETE, &items, &json!({ "data": [entry(0)] }))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let renamed = json!({ "data": { "type": "playlists", "id": id, "attributes": { "name": "Later", "accessType": "UNLISTED" } } });
    let (_, body) = send(stage.tidal_body(Method::PATCH, &format!("/playlists/{id}"), &renamed)).await;
    assert_eq!(
        (&body["data"]["attributes"]["name"], &body["data"]["attributes"]["accessType"]),
        (&"Later".into(), &"UNLISTED".into())
    );
    let (_, mine) = send(stage.tidal(Method::GET, "/playlists?filter[owners.id]=me&include=owners")).await;
    assert_eq!(
        (mine["data"].as_array().unwrap().len(), &mine["included"][0]["attributes"]["username"]),
        (1, &"Ada".into())
    );
    assert_eq!(send(stage.tidal(Method::DELETE, &format!("/playlists/{id}"))).await.0, StatusCode::OK);
    assert_eq!(send(stage.tidal(Method::GET, &format!("/playlists/{id}"))).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_collection_holds_own_playlists_and_those_of_others() {
    let stage = Stage::new().await;
    let own = create(&stage, "Mine").await;
    let (_, found) =
        send(stage.tidal(Method::GET, "/searchResults?filter[query]=essentials&include=playlists")).await;
    let house = found["data"][0]["relationships"]["playlists"]["data"][0].clone();
    let items = "/userCollectionPlaylists/me/relationships/items";
    let (_, added) = send(stage.tidal_body(
        Method::POST,
        items,
        &json!({ "data": [house, { "type": "playlists", "id": own }] }),
    ))
    .await;
    assert_eq!(added["meta"]["skipped"][0]["reason"], "ALREADY_PRESENT");
    let (_, listed) = send(stage.tidal(Method::GET, &format!("{items}?include=items"))).await;
    assert_eq!(
        (listed["data"].as_array().unwrap().len(), listed["included"].as_array().unwrap().len()),
        (2, 2)
    );
    send(stage.tidal_body(Method::DELETE, items, &json!({ "data": [house] }))).await;
    let (_, read) = send(stage.tidal(Method::GET, "/userCollectionPlaylists/me")).await;
    assert_eq!(read["data"]["attributes"]["numberOfItems"], 1);
}

#[tokio::test]
async fn a_repeated_write_is_done_once() {
    let mut stage = Stage::new().await;
    let body = |name: &str| json!({ "data": { "type": "playlists", "attributes": { "name": name } } });
    let write = |stage: &Stage, name: &str| {
        stage.tidal_body(Method::POST, "/playlists", &body(name)).header("idempotency-key", "k1")
    };
    let first = send(write(&stage, "A")).await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(send(write(&stage, "A")).await, first);
    let (status, mismatch) = send(write(&stage, "B")).await;
    assert_eq!(
        (status, &mismatch["errors"][0]["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &"IDEMPOTENT_REQUEST_PAYLOAD_MISMATCH".into())
    );
    let (_, mine) = send(stage.tidal(Method::GET, "/playlists?filter[owners.id]=me")).await;
    assert_eq!(mine["data"].as_array().unwrap().len(), 1);
    stage.clock.advance(chrono::TimeDelta::minutes(59));
    assert_eq!(send(write(&stage, "A")).await, first);
    stage.clock.advance(chrono::TimeDelta::minutes(2));
    stage.grants[1] =
        stage.sandbox.grant(Provider::Tidal, &stage.accounts[1], "app", crate::common::TIDAL_SCOPES);
    let again = send(write(&stage, "A")).await;
    assert_ne!(again.1["data"]["id"], first.1["data"]["id"]);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_and_a_write_under_way_cannot() {
    let stage = Stage::new().await;
    let body = json!({ "data": { "type": "playlists", "attributes": { "name": "A" } } });
    let write = || stage.tidal_body(Method::POST, "/playlists", &body).header("idempotency-key", "k2");
    stage
        .sandbox
        .faults()
        .push(FaultRule::new(Provider::Tidal, Effect::CloseConnection).after_work().times(1));
    assert!(write().send().await.is_err());
    assert_eq!(send(write()).await.0, StatusCode::CREATED);
    let (_, mine) = send(stage.tidal(Method::GET, "/playlists?filter[owners.id]=me")).await;
    assert_eq!(mine["data"].as_array().unwrap().len(), 1);

    let slow = std::time::Duration::from_hours(1);
    stage
        .sandbox
        .faults()
        .push(FaultRule::new(Provider::Tidal, Effect::delay(slow)).operation("POST /playlists").times(1));
    let write = || stage.tidal_body(Method::POST, "/playlists", &body).header("idempotency-key", "k3");
    let mut under_way = Box::pin(write().send());
    loop {
        tokio::select! {
            _ = &mut under_way => panic!("the delayed write answered"),
            () = tokio::task::yield_now() => {}
        }
        if stage.sandbox.faults().list().is_empty() {
            break;
        }
    }
    let (status, body) = send(write()).await;
    assert_eq!(
        (status, &body["errors"][0]["code"]),
        (StatusCode::CONFLICT, &"IDEMPOTENT_REQUEST_IN_PROGRESS".into())
    );
}

async fn create(stage: &Stage, name: &str) -> String {
    let body = json!({ "data": { "type": "playlists", "attributes": { "name": name } } });
    let (status, body) = send(stage.tidal_body(Method::POST, "/playlists", &body)).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body["data"]["id"].as_str().unwrap().to_owned()
}

async fn modified_at(stage: &Stage, id: &str) -> String {
    let (_, body) = send(stage.tidal(Method::GET, &format!("/playlists/{id}"))).await;
    body["data"]["attributes"]["lastModifiedAt"].as_str().unwrap().to_owned()
}

fn included<'a>(body: &'a Value, kind: &str, id: &str) -> Option<&'a Value> {
    body["included"].as_array().unwrap().iter().find(|item| item["type"] == kind && item["id"] == id)
}
