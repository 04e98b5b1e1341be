//! Changes reach those who listen, on whichever replica they were made, and nobody else.

use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_testkit::{Client, Era, Stage, TestGateway};

use super::{Band, GET};
use crate::music;

/// An open stream.
struct Stream {
    response: reqwest::Response,
    held: String,
}

impl Stream {
    async fn open(client: &Client, key: &str, uris: &[String]) -> Self {
        let wanted = json!({ "notifications": { "resourceSubscriptions": uris } });
        let message = client.message(json!("sub"), "subscriptions/listen", wanted);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = http.post(client.url()).bearer_auth(key).body(message.to_string());
        for (name, value) in client.headers_of(&message) {
            request = request.header(name, value);
        }
        Self { response: request.send().await.unwrap(), held: String::new() }
    }

    /// The next message; `None` if none comes in time, or the stream is over.
    async fn next(&mut self, patience: Duration) -> Option<Value> {
        let read = async {
            loop {
                if let Some(end) = self.held.find("\n\n") {
                    let event: String = self.held.drain(..end + 2).collect();
                    if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                        return serde_json::from_str(data).ok();
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.ok()??;
                self.held.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        tokio::time::timeout(patience, read).await.ok().flatten()
    }
}

const SOON: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn a_change_reaches_listeners_of_other_replicas() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let band = Band::form(&stage, &gateways[0], &ada).await;
    let uri = format!("stagedoor://queue/{}", band.queue);
    let listener = music::client(&gateways[1], &ada);
    let mut stream = Stream::open(&listener, &ada.key, &[uri.clone(), "stagedoor://usage".to_owned()]).await;
    let acknowledged = stream.next(SOON).await.unwrap();
    assert_eq!(
        acknowledged["params"]["notifications"]["resourceSubscriptions"],
        json!([uri]),
        "{acknowledged}"
    );
    let updated = stream.next(SOON).await.unwrap();
    assert_eq!(
        (&updated["method"], &updated["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!(uri))
    );
    assert_eq!(stream.next(QUIET).await, None, "nothing has changed");
    band.add(0..1).await;
    assert_eq!(stream.next(SOON).await.unwrap()["params"]["uri"], uri);
    let read = listener.rpc("resources/read", json!({ "uri": uri })).await;
    assert!(read.text().contains(&band.tracks[0]), "{}", read.text());

    let thief = music::client(&gateways[1], &bob);
    let mut foreign = Stream::open(&thief, &bob.key, std::slice::from_ref(&uri)).await;
    foreign.next(SOON).await.unwrap();
    band.add(1..2).await;
    assert_eq!(foreign.next(QUIET).await, None, "it is not theirs");
    assert_eq!(
        thief.rpc("resources/read", json!({ "uri": uri })).await.code().as_deref(),
        Some("queue_unknown")
    );
}

#[tokio::test]
async fn who_is_put_out_hears_of_it_last_and_a_revoked_keys_stream_ends() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let user = ada.tenant.person("Bea").await;
    let key = ada.tenant.key(&stagedoor_testkit::KeySpec::for_user(user)).await;
    band.invite(user, "listener").await;
    let bea = gateway.client("ada", &key);
    let uri = format!("stagedoor://queue/{}", band.queue);
    let mut stream = Stream::open(&bea, &key, std::slice::from_ref(&uri)).await;
    stream.next(SOON).await.unwrap();
    stream.next(SOON).await.unwrap();
    band.call(json!({ "action": "invite", "person": user, "role": "none" })).await;
    assert_eq!(stream.next(SOON).await.unwrap()["params"]["uri"], uri);
    band.add(0..1).await;
    assert_eq!(stream.next(QUIET).await, None, "it is open to them no more");
    stage.sql(&format!("UPDATE api_keys SET revoked_at = now() WHERE user_id = '{user}'")).await;
    let last = stream.next(SOON).await.unwrap();
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
}

#[tokio::test]
async fn who_cannot_listen_polls() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let legacy = music::client(&gateway, &ada).speaking(Era::Legacy("2025-06-18"));
    let hello = legacy.rpc("initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } })).await;
    assert_ne!(hello.result()["capabilities"]["resources"]["subscribe"], true);
    let seen = legacy.call(GET, json!({ "queue": band.queue })).await;
    let poll = json!({ "queue": band.queue, "since_version": seen["queue"]["version"] });
    assert_eq!(legacy.call(GET, poll.clone()).await["changed"], false);
    band.add(0..1).await;
    let changed = legacy.call(GET, poll).await;
    assert!(changed["changed"] == true && changed["items"].as_array().unwrap().len() == 1, "{changed}");
}
