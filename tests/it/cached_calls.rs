//! A second call: no provider, no database, at most one trip to Redis; and nothing old after a write, anywhere.

use serde_json::{Value, json};
use stagedoor_bootstrap::config::Config;
use stagedoor_domain::Provider;
use stagedoor_testkit::{FaultProxy, Stage, TestGateway, Weather};

use crate::music;

fn provider_requests(stage: &Stage) -> u64 {
    Provider::ALL.iter().flat_map(|provider| stage.sandbox().requests(*provider).into_values()).sum()
}

async fn redis_trips(gateway: &TestGateway) -> u64 {
    gateway.metric("cache_redis_trips").await + gateway.metric("limiter_redis_trips").await
}

/// What calls have waited for Redis for, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waits {
    /// Trips of the cache, without those beside the calls.
    cache: u64,
    /// Of these, readings of people's generations: one where the lease on them is over.
    readings: u64,
    /// Calls that the shared buckets counted, a trip each: all without a lease.
    decisions: u64,
}

impl Waits {
    /// Until two readings in a row agree, so that none is of the middle of something.
    async fn of(gateway: &TestGateway) -> Self {
        let mut before = Self::read(gateway).await;
        loop {
            let now = Self::read(gateway).await;
            if now == before {
                return now;
            }
            before = now;
        }
    }

    async fn read(gateway: &TestGateway) -> Self {
        let metrics = gateway.metrics().await;
        let sum = |name| metrics.sum(name, &[]);
        Self {
            cache: sum("cache_redis_trips").saturating_sub(sum("cache_redis_trips_beside")),
            readings: sum("cache_generation_reads"),
            decisions: sum("limiter_redis"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            cache: self.cache - before.cache,
            readings: self.readings - before.readings,
            decisions: self.decisions - before.decisions,
        }
    }
}

/// An answer that took long to get, as one does whose tokens waited for a database that comes back, may be fetched again
/// long before its life is over.
fn without_early_fetches(config: &mut Config) {
    config.cache.stale_while_revalidate_seconds = 0;
}

#[tokio::test]
async fn a_known_answer_needs_neither_provider_nor_database() {
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.storage.database_url = stage.database_url_at(postgres.address()).into();
        config.rate_limiting.lease_tokens = 0;
        without_early_fetches(config);
    })
    .await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    for provider in Provider::ALL {
        let calls = [
            (
                "track_get",
                json!({ "ref": format!("{provider}:track:{}", music::known_tracks(&stage, *provider)[0].id) }),
            ),
            ("search", json!({ "query": "a", "provider": provider })),
            ("playlists_list", json!({ "provider": provider })),
        ];
        let mut first = Vec::new();
        for (tool, arguments) in &calls {
            first.push(client.call(tool, arguments.clone()).await);
        }
        gateway.flush_audit().await;
        // From here on a query would wait for an answer that never comes.
        postgres.set(Weather::Silent);
        let asked = provider_requests(&stage);
        for ((tool, arguments), first) in calls.iter().zip(&first) {
            let mut before = Waits::of(&gateway).await;
            for _ in 0..5 {
                assert_eq!(client.call(tool, arguments.clone()).await, *first, "{tool} {provider}");
                let now = Waits::of(&gateway).await;
                let waits = now.since(before);
                // One to count the call, and one more where what is remembered of a person for two seconds is over.
                assert_eq!(waits.decisions, 1, "{tool} {provider}: {waits:?}");
                assert!(waits.readings <= 1, "{tool} {provider}: {waits:?}");
                assert_eq!(waits.cache, waits.readings, "{tool} {provider}: {waits:?}");
                before = now;
            }
        }
        assert_eq!(provider_requests(&stage), asked);
        postgres.set(Weather::Broken);
        postgres.set(Weather::Fair);
    }
}

#[tokio::test]
async fn a_known_answer_needs_nothing_at_all_while_a_lease_holds() {
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.storage.database_url = stage.database_url_at(postgres.address()).into();
        without_early_fetches(config);
    })
    .await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let track = format!("tidal:track:{}", music::known_tracks(&stage, Provider::Tidal)[0].id);
    let calls = [
        ("track_get", json!({ "ref": track })),
        ("search", json!({ "query": "a", "provider": "spotify" })),
        ("playlists_list", json!({ "provider": "spotify" })),
    ];
    for (tool, arguments) in &calls {
        client.call(tool, arguments.clone()).await;
    }
    gateway.flush_audit().await;
    // From here on a query would wait for an answer that never comes.
    postgres.set(Weather::Silent);
    for (tool, arguments) in &calls {
        // A lease is taken when a key is busy, and a person's generations are remembered for two seconds.
        let mut without = 0;
        let mut before = Waits::of(&gateway).await;
        for _ in 0..30 {
            client.call(tool, arguments.clone()).await;
            let now = Waits::of(&gateway).await;
            let waits = now.since(before);
            assert!(waits.readings <= 1 && waits.decisions <= 1, "{tool}: {waits:?}");
            assert_eq!(waits.cache, waits.readings, "{tool}: only for a lease that is over");
            without += usize::from(waits.cache + waits.decisions == 0);
            before = now;
        }
        assert!(without >= 10, "{tool}: {without} of 30 calls went without Redis");
    }
}

#[tokio::test]
async fn a_busy_key_pays_ahead_and_asks_redis_less_than_once_a_call() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start_with(&stage, |config| config.rate_limiting.lease_tokens = 100).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    let track =
        json!({ "ref": format!("tidal:track:{}", music::known_tracks(&stage, Provider::Tidal)[0].id) });
    for _ in 0..100 {
        client.call("track_get", track.clone()).await;
    }
    let before = redis_trips(&gateway).await;
    for _ in 0..300 {
        client.call("track_get", track.clone()).await;
    }
    let trips = redis_trips(&gateway).await - before;
    assert!(trips < 150, "{trips} trips for 300 calls");
}

#[tokio::test]
async fn another_replica_is_given_what_one_fetched() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let track =
        json!({ "ref": format!("tidal:track:{}", music::known_tracks(&stage, Provider::Tidal)[0].id) });
    let first = clients[0].call("track_get", track.clone()).await;
    let asked = provider_requests(&stage);
    assert_eq!(clients[1].call("track_get", track).await, first);
    assert_eq!(provider_requests(&stage), asked);
    assert_eq!(gateways[1].metrics().await.sum("cache_calls", &[("outcome", "hit_l2")]), 1);
}

#[tokio::test]
async fn many_equal_calls_at_once_are_one_request() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let client = music::client(&gateway, &ada);
    client.call("search", json!({ "query": "warm", "provider": "spotify" })).await;
    stage.sandbox().reset_requests();
    let calls = (0..40).map(|_| client.call("search", json!({ "query": "crowd", "provider": "spotify" })));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(stage.sandbox().requests(Provider::Spotify)["GET /search"], 1);
}

#[tokio::test]
async fn a_write_through_one_replica_is_read_through_the_other() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    for provider in Provider::ALL {
        let created =
            clients[0].call("playlist_create", json!({ "name": "Shared", "provider": provider })).await;
        let playlist = created["playlist"]["ref"].clone();
        let known = music::known_tracks(&stage, *provider);
        for round in 0..20 {
            let (writer, reader) = (&clients[round % 2], &clients[(round + 1) % 2]);
            let track = format!("{provider}:track:{}", known[round].id);
            // Both have read before the write, so both hold what is about to be old.
            for client in &clients {
                let held = client.call("playlist_get", json!({ "ref": playlist })).await;
                assert_eq!(
                    held["items"].as_array().unwrap().len(),
                    round,
                    "{provider}, before write {round}"
                );
            }
            writer.call("playlist_add", json!({ "ref": playlist, "tracks": [track] })).await;
            let read = reader.call("playlist_get", json!({ "ref": playlist })).await;
            let last: Option<&Value> = read["items"].as_array().unwrap().last();
            assert_eq!(last.unwrap()["track"]["ref"], track, "{provider}, after write {round}");
        }
    }
}
