//! Three gateway processes, one Redis, one PostgreSQL, a client that goes round: killed and stopped in the middle.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::{Client, Era, GatewayProcess, Stage};

use crate::music;

const REPLICAS: usize = 3;
const WORKERS: usize = 8;

async fn replicas(stage: &Stage, variables: &[(&str, String)]) -> Vec<GatewayProcess> {
    join_all((0..REPLICAS).map(|number| {
        let name = format!("replica-{number}");
        async move { GatewayProcess::start(stage, &name, variables).await }
    }))
    .await
}

/// Calls until `stop`; each call goes to the next replica, and again to the next if there was no answer.
struct Load<'a> {
    clients: Vec<Vec<Client>>,
    next: AtomicUsize,
    calls: AtomicUsize,
    retries: AtomicUsize,
    stop: AtomicBool,
    playlist: Value,
    tracks: &'a [stagedoor_sandbox::SampleTrack],
    acknowledged: Mutex<BTreeSet<String>>,
    failures: Mutex<Vec<String>>,
}

impl<'a> Load<'a> {
    async fn new(
        replicas: &[GatewayProcess],
        key: &str,
        tracks: &'a [stagedoor_sandbox::SampleTrack],
    ) -> Self {
        let eras = [Era::Modern, Era::Legacy("2025-11-25")];
        let clients: Vec<Vec<Client>> = replicas
            .iter()
            .map(|replica| eras.iter().map(|era| replica.client("ada", key).speaking(*era)).collect())
            .collect();
        let created =
            clients[0][0].call("playlist_create", json!({ "name": "Load", "provider": "spotify" })).await;
        Self {
            clients,
            next: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            retries: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            playlist: created["playlist"]["ref"].clone(),
            tracks,
            acknowledged: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    async fn work(&self, wants: &(dyn Fn(usize) -> bool + Sync)) {
        while !self.stop.load(Ordering::Acquire) {
            let number = self.calls.fetch_add(1, Ordering::Relaxed);
            let track = format!("spotify:track:{}", self.tracks[number / 5 % self.tracks.len()].id);
            let (tool, arguments) = match number % 5 {
                0 => ("playlist_add", json!({ "ref": self.playlist, "tracks": [track] })),
                1 => ("track_get", json!({ "ref": track })),
                2 => ("search", json!({ "query": format!("a {}", number % 7), "provider": "tidal" })),
                3 => ("playlist_get", json!({ "ref": self.playlist, "limit": 5 })),
                _ => ("accounts_list", json!({})),
            };
            self.call(number, tool, arguments, wants).await;
        }
    }

    async fn call(
        &self,
        number: usize,
        tool: &str,
        arguments: Value,
        wants: &(dyn Fn(usize) -> bool + Sync),
    ) {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for attempt in 0..2 * REPLICAS {
            let at = (first + attempt) % REPLICAS;
            if !wants(at) {
                continue;
            }
            let client = &self.clients[at][number % 2];
            let params = json!({ "name": tool, "arguments": arguments });
            match client.try_rpc("tools/call", params).await {
                Ok(answer) if answer.verdict() == "200 ok" => {
                    if tool == "playlist_add" {
                        self.acknowledged
                            .lock()
                            .unwrap()
                            .insert(arguments["tracks"][0].as_str().unwrap().to_owned());
                    }
                    return;
                }
                Ok(answer) => {
                    return self.failures.lock().unwrap().push(format!("{tool} at {at}: {}", answer.text()));
                }
                Err(_) => _ = self.retries.fetch_add(1, Ordering::Relaxed),
            }
        }
        self.failures.lock().unwrap().push(format!("{tool}: no replica answered"));
    }

    async fn until_calls(&self, calls: usize) {
        while self.calls.load(Ordering::Relaxed) < calls {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn end(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn assert_no_failures(&self) {
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} failed, first: {}", failures.len(), failures[0]);
    }
}

async fn tracks_in(client: &Client, playlist: &Value) -> BTreeSet<String> {
    let (mut tracks, mut cursor) = (BTreeSet::new(), Value::Null);
    loop {
        let mut arguments = json!({ "ref": playlist, "limit": 100 });
        if cursor.is_string() {
            arguments["cursor"] = cursor;
        }
        let page = client.call("playlist_get", arguments).await;
        let items = page["items"].as_array().unwrap().iter();
        tracks.extend(items.map(|item| item["track"]["ref"].as_str().unwrap().to_owned()));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            return tracks;
        }
    }
}

#[tokio::test]
async fn a_replica_that_is_killed_loses_nothing_that_was_acknowledged() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let mut replicas = replicas(&stage, &[]).await;
    let known = music::known_tracks(&stage, Provider::Spotify);
    let load = Load::new(&replicas, &ada.key, &known).await;
    let workers = join_all((0..WORKERS).map(|_| load.work(&|_| true)));
    let (killed, others) = replicas.split_at_mut(1);
    let kill = async {
        load.until_calls(150).await;
        killed[0].kill().await;
        load.until_calls(500).await;
        load.end();
    };
    tokio::join!(workers, kill);
    load.assert_no_failures();
    assert!(load.retries.load(Ordering::Relaxed) > 0, "nobody noticed the kill");

    let client = others[0].client("ada", &ada.key);
    let found = tracks_in(&client, &load.playlist).await;
    let acknowledged = load.acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");

    // Every acknowledged write has both of its records; the killed replica may have left openings without an end.
    let trail = ada.tenant.audit_trail().await;
    let closed = trail.iter().filter(|view| view.record.kind == 2).count();
    assert!(closed > acknowledged.len(), "{closed} closed records of {} writes", acknowledged.len() + 1);
    assert_eq!(ada.tenant.verify_chain().await.faults, []);
}

#[tokio::test]
async fn a_replica_that_is_stopped_under_load_fails_no_request() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let grace = [("STAGEDOOR_SERVER__DRAIN_GRACE_MS", "1500".to_owned())];
    let mut replicas = replicas(&stage, &grace).await;
    let known = music::known_tracks(&stage, Provider::Spotify);
    let load = Load::new(&replicas, &ada.key, &known).await;
    let ready: [AtomicBool; REPLICAS] = std::array::from_fn(|_| AtomicBool::new(true));
    let wants = |at: usize| ready[at].load(Ordering::Acquire);
    let workers = join_all((0..WORKERS).map(|_| load.work(&wants)));
    let (stopped, _) = replicas.split_at_mut(1);
    let stop = async {
        load.until_calls(100).await;
        stopped[0].program().signal(Signal::TERM);
        // What a load balancer's probe does.
        while stopped[0].is_ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ready[0].store(false, Ordering::Release);
        let status = stopped[0].program().ended().await;
        assert!(status.success(), "{status}: {}", stopped[0].program().said());
        load.until_calls(load.calls.load(Ordering::Relaxed) + 100).await;
        load.end();
    };
    tokio::join!(workers, stop);
    load.assert_no_failures();
    assert_eq!(load.retries.load(Ordering::Relaxed), 0, "connections were cut off");
}

#[tokio::test]
async fn a_replica_that_is_about_to_end_closes_each_connection_with_its_answer() {
    let stage = Stage::start().await;
    let ada = stage.inhabit("ada").await;
    let grace = [("STAGEDOOR_SERVER__DRAIN_GRACE_MS", "5000".to_owned())];
    let mut replica = GatewayProcess::start(&stage, "replica", &grace).await;
    let client = replica.client("ada", &ada.key);
    let before = client.tool("accounts_list", json!({})).await;
    assert_eq!((before.status, before.header("connection")), (200, None));
    replica.program().signal(Signal::TERM);
    while replica.is_ready().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Who sends the next request elsewhere cannot send it while the connection is being closed.
    for era in [Era::Modern, Era::Legacy("2025-11-25")] {
        let client = replica.client("ada", &ada.key).speaking(era);
        let leaving = client.tool("accounts_list", json!({})).await;
        assert_eq!((leaving.status, leaving.header("connection")), (200, Some("close")));
    }
}
