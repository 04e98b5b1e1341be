//! What the store remembers of playlists, seen through the front door: one memory for all replicas, calls that happen
//! once whichever replica dies, damage, what unlinking takes along, and that nothing of it can be read at rest.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Client, GatewayProcess, Stage, TestGateway};

use crate::music::{self, known_tracks};
use crate::playlist_scene::Scene;

/// Added by a playlist's write.
const fn adds(provider: Provider) -> &'static str {
    match provider {
        Provider::Spotify => "POST /playlists/{id}/items",
        Provider::Tidal => "POST /playlists/{id}/relationships/items",
    }
}

fn tracks(stage: &Stage, provider: Provider) -> Vec<String> {
    known_tracks(stage, provider).iter().map(|track| format!("{provider}:track:{}", track.id)).collect()
}

async fn playlist(client: &Client, provider: Provider) -> String {
    let made =
        client.call("playlist_create", json!({ "name": "Winter journey", "provider": provider })).await;
    made["playlist"]["ref"].as_str().unwrap().to_owned()
}

/// What the service itself holds.
fn held(stage: &Stage, provider: Provider, playlist: &str) -> Vec<String> {
    let held = stage.sandbox().playlist_tracks(provider, playlist.rsplit(':').next().unwrap()).unwrap();
    held.iter().map(|id| format!("{provider}:track:{id}")).collect()
}

fn requests(stage: &Stage, provider: Provider, operation: &str) -> u64 {
    stage.sandbox().requests(provider).get(operation).copied().unwrap_or_default()
}

/// All versions, newest first, two a page.
async fn versions(client: &Client, playlist: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut arguments = json!({ "ref": playlist, "limit": 2 });
    loop {
        let page = client.call("playlist_versions", arguments.clone()).await;
        all.extend(page["versions"].as_array().unwrap().iter().cloned());
        match page.get("next_cursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => return all,
        }
    }
}

#[tokio::test]
async fn replicas_that_edit_at_once_lose_nothing_and_number_without_gaps() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = [music::client(&gateways[0], &ada), music::client(&gateways[1], &ada)];
    for provider in Provider::ALL.iter().copied() {
        let (tracks, playlist) = (tracks(&stage, provider), playlist(&clients[0], provider).await);
        let add = async |number: usize| {
            let arguments = json!({ "ref": playlist, "tracks": [tracks[number]] });
            let answer = clients[number % 2].tool("playlist_add", arguments).await;
            (number, answer)
        };
        let answers = join_all((0..8).map(add)).await;
        let (mut done, mut wanted) = (0, BTreeSet::new());
        for (number, answer) in answers {
            match answer.code().as_deref() {
                None => {
                    done += 1;
                    wanted.insert(tracks[number].clone());
                }
                Some("conflict") => {}
                Some(_) => panic!("{}", answer.text()),
            }
        }
        assert!(done >= 1);
        let now = held(&stage, provider, &playlist);
        assert_eq!((now.len(), now.iter().cloned().collect::<BTreeSet<_>>()), (done, wanted));

        let all = versions(&clients[1], &playlist).await;
        let numbers: Vec<u64> = all.iter().map(|version| version["version"].as_u64().unwrap()).collect();
        let newest = numbers[0];
        assert_eq!(numbers, (1..=newest).rev().collect::<Vec<_>>());
        let diff = json!({ "ref": playlist, "from": 1, "to": "now" });
        let diff = clients[0].call("playlist_diff", diff).await;
        assert_eq!((&diff["added"], &diff["to"]["version"]), (&json!(done), &json!(newest)), "{diff}");
        let emptied = clients[1].call("playlist_undo", json!({ "ref": playlist, "to_version": 1 })).await;
        assert_eq!((&emptied["removed"], held(&stage, provider, &playlist).len()), (&json!(done), 0));
        assert_eq!(emptied["version"], newest + 1, "{emptied}");
    }
}

#[tokio::test]
async fn one_key_at_two_replicas_at_once_writes_once() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = [music::client(&gateways[0], &ada), music::client(&gateways[1], &ada)];
    for provider in Provider::ALL.iter().copied() {
        let (tracks, playlist) = (tracks(&stage, provider), playlist(&clients[0], provider).await);
        let call =
            json!({ "ref": playlist, "tracks": &tracks[..2], "idempotency_key": format!("k-{provider}") });
        let before = requests(&stage, provider, adds(provider));
        let answers =
            join_all((0..6).map(|number| clients[number % 2].tool("playlist_add", call.clone()))).await;
        let mut told = 0;
        for answer in &answers {
            match answer.code().as_deref() {
                None => told += 1,
                Some("idempotency_underway") => {}
                Some(_) => panic!("{}", answer.text()),
            }
        }
        assert!(told >= 1, "{}", answers[0].text());
        assert_eq!(requests(&stage, provider, adds(provider)) - before, 1);
        let late = clients[1].call("playlist_add", call).await;
        assert_eq!((&late["added"], &late["version"]), (&json!(2), &json!(2)), "{late}");
        assert_eq!(held(&stage, provider, &playlist), tracks[..2]);
    }
}

/// The replica is killed while the service writes: nobody was told anything. The same call at another replica finds
/// that it was done.
#[tokio::test]
async fn a_killed_replicas_call_is_done_once() {
    let stage = Stage::start().await;
    let mut doomed = GatewayProcess::start(&stage, "doomed", &[]).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let mut made = Vec::new();
    for provider in Provider::ALL.iter().copied() {
        let (tracks, playlist) = (tracks(&stage, provider), playlist(&client, provider).await);
        let slow = FaultRule::new(provider, Effect::Delay { milliseconds: 60_000 }).operation(adds(provider));
        stage.sandbox().faults().push(slow.after_work());
        let call =
            json!({ "ref": playlist, "tracks": &tracks[..3], "idempotency_key": format!("k-{provider}") });
        made.push((provider, playlist, tracks, call));
    }
    let lost = made.iter().map(|(_, _, _, call)| {
        let (client, call) = (doomed.client(ada.tenant.slug(), &ada.key), call.clone());
        async move {
            let params = json!({ "name": "playlist_add", "arguments": call });
            client.try_rpc("tools/call", params).await
        }
    });
    let mut lost: tokio::task::JoinSet<_> = lost.collect();
    for (provider, playlist, tracks, _) in &made {
        while held(&stage, *provider, playlist) != tracks[..3] {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    doomed.kill().await;
    while let Some(call) = lost.join_next().await {
        assert!(call.unwrap().is_err(), "nobody was told");
    }
    stage.sandbox().faults().clear();
    for (_, _, _, call) in &made {
        let early = client.tool("playlist_add", call.clone()).await;
        assert_eq!(early.verdict(), "200 idempotency_underway", "{}", early.text());
    }
    stage.sql("UPDATE idempotency_keys SET claimed_until = now() - interval '1 s'").await;
    for (provider, playlist, tracks, call) in made {
        let done = client.call("playlist_add", call.clone()).await;
        assert_eq!((&done["added"], &done["count"]), (&json!(3), &json!(3)), "{done}");
        assert_eq!(client.call("playlist_add", call).await["added"], 3);
        assert_eq!(held(&stage, provider, &playlist), tracks[..3]);
    }
}

#[tokio::test]
async fn a_key_is_the_principals_own() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let other = ada.tenant.key(&stagedoor_testkit::KeySpec::for_user(ada.user)).await;
    let clients = [music::client(&gateway, &ada), gateway.client(ada.tenant.slug(), &other)];
    let provider = Provider::Spotify;
    let (tracks, playlist) = (tracks(&stage, provider), playlist(&clients[0], provider).await);
    for (client, track) in clients.iter().zip(&tracks) {
        let call = json!({ "ref": playlist, "tracks": [track], "idempotency_key": "the-same" });
        client.call("playlist_add", call).await;
    }
    assert_eq!(held(&stage, provider, &playlist), tracks[..2]);
}

#[tokio::test]
async fn damage_at_rest_refuses_nothing_but_the_damaged_version() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL.iter().copied() {
        let (tracks, playlist) = (tracks(&stage, provider), playlist(&client, provider).await);
        client.call("playlist_add", json!({ "ref": playlist, "tracks": &tracks[..30] })).await;
        client.call("playlist_replace", json!({ "ref": playlist, "tracks": &tracks[40..60] })).await;
        let damage = "UPDATE playlist_chunks SET entries = set_byte(entries, 90, get_byte(entries, 90) # 1)";
        stage.sql(damage).await;
        let undo = json!({ "ref": playlist, "to_version": 2 });
        let refused = client.tool("playlist_undo", undo).await;
        assert_eq!(refused.verdict(), "200 version_unknown", "{}", refused.text());
        assert!(refused.text().contains("damaged"), "{}", refused.text());
        assert_eq!(held(&stage, provider, &playlist), tracks[40..60]);

        // What the playlist holds now is read again, and then it is remembered again.
        client.call("playlist_add", json!({ "ref": playlist, "tracks": [tracks[0]] })).await;
        client.call("playlist_undo", json!({ "ref": playlist, "to_version": 3 })).await;
        assert_eq!(held(&stage, provider, &playlist), tracks[40..60]);
    }
}

#[tokio::test]
async fn memory_is_sealed_and_goes_with_the_account() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let mut private = BTreeSet::from(["Winter journey".to_owned()]);
    for one in [&ada, &bob] {
        let client = music::client(&gateway, one);
        for provider in Provider::ALL.iter().copied() {
            let (tracks, playlist) = (tracks(&stage, provider), playlist(&client, provider).await);
            let call = json!({ "ref": playlist, "tracks": &tracks[..20], "idempotency_key": format!("k-{provider}") });
            client.call("playlist_add", call).await;
            private.extend(tracks[..20].iter().map(|track| track.rsplit(':').next().unwrap().to_owned()));
        }
    }
    for table in ["playlist_versions", "playlist_chunks", "idempotency_keys"] {
        let rows = stage.sql(&format!("SELECT t::text FROM {table} t")).await;
        assert!(rows.lines().count() >= 4, "{table}");
        // Short numbers of tracks occur in any long text of digits.
        for secret in private.iter().filter(|secret| secret.len() > 12) {
            let hex = secret.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            assert!(!rows.contains(secret.as_str()) && !rows.contains(&hex), "{secret} in {table}");
        }
    }

    let of = async |tenant: &str, account: &str| {
        let count = |table: &str| {
            format!(
                "(SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}' AND account_id = '{account}')"
            )
        };
        let counts = ["playlist_versions", "playlist_chunks", "idempotency_keys"].map(count);
        stage.sql(&format!("SELECT {}", counts.join(" + "))).await.parse::<u32>().unwrap()
    };
    let accounts = [&ada, &bob].map(|one| {
        Provider::ALL
            .iter()
            .map(|provider| (one.tenant.id(), one.account(*provider).id.to_string()))
            .collect()
    });
    let [of_ada, of_bob]: [Vec<(String, String)>; 2] = accounts;
    music::client(&gateway, &ada).call("account_unlink", json!({ "provider": Provider::ALL[0] })).await;
    assert_eq!(of(&of_ada[0].0, &of_ada[0].1).await, 0, "disconnecting deletes what came from the account");
    for (tenant, account) in of_ada[1..].iter().chain(&of_bob) {
        assert!(of(tenant, account).await >= 4, "and nothing else");
    }
}

#[tokio::test]
async fn a_playlist_that_is_read_whole_is_remembered_beside() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    for provider in Provider::ALL {
        let scene = Scene::set(&stage, &gateway, &ada, *provider).await;
        scene.change_elsewhere(&[4, 5]);
        scene.call("playlist_get", json!({})).await;
        gateway.settle().await;
        stage.sandbox().faults().push(FaultRule::new(*provider, Effect::status(503)));
        let versions = scene.call("playlist_versions", json!({})).await;
        stage.sandbox().faults().clear();
        assert_eq!(versions["versions"][0]["cause"], "elsewhere", "{versions}");
        assert_eq!(versions["versions"][0]["count"], 2, "{versions}");
    }
}
