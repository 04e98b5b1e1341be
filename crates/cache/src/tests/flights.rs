//! Flights over replicas: one replica fetches, the others wait, take over, or are fenced out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::SystemClock;
use stagedoor_redis_link::RedisLink;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Server, answer, catalogue, context, forgiving, manual_clock, reuse, server};
use crate::shared_flight::{FlightCounters, Lease, SharedFlights, Turn};
use crate::{Cached, RedisOptions};

const ENTRY: &str = "sd:one:cache:v2:search:search:{0f}:tenant";
const LOCK: &str = "sd:one:flight:v2:search:search:{0f}:tenant";
const LIFE: Duration = Duration::from_mins(1);

fn flights(server: &Server, patience: Duration) -> SharedFlights {
    let options = RedisOptions { command_timeout: patience, ..RedisOptions::new(server.redis.url()) };
    let link = RedisLink::new(&options, Arc::new(SystemClock::new())).unwrap();
    SharedFlights::new(Arc::new(link), &SystemEntropy)
}

fn replica(server: &Server) -> SharedFlights {
    flights(server, Duration::from_secs(10))
}

async fn lead(flights: &SharedFlights) -> Lease<'_> {
    match flights.turn(ENTRY, None).await {
        Turn::Lead(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn found(flights: &SharedFlights) -> Vec<u8> {
    match flights.turn(ENTRY, None).await {
        Turn::Found(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

async fn exists(server: &Server, key: &str) -> bool {
    redis::cmd("EXISTS").arg(key).query_async(&mut server.connection().await).await.unwrap()
}

/// Waits until the other replica waits for its turn.
async fn until_held(flights: &SharedFlights) {
    while flights.counters().held == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn one_replica_fetches_and_the_others_find_it() {
    let server = server().await;
    let [one, two] = [(); 2].map(|()| replica(&server));
    let lease = lead(&one).await;
    let store = async {
        until_held(&two).await;
        assert!(lease.store(b"answer", LIFE).await);
    };
    let (bytes, ()) = join(found(&two), store).await;
    assert_eq!(bytes, b"answer");
    assert!(!exists(&server, LOCK).await, "the lock is passed on with the answer");
    assert_eq!(one.counters(), FlightCounters { led: 1, ..FlightCounters::default() });
    assert_eq!(two.counters(), FlightCounters { held: 1, ..FlightCounters::default() });
}

#[tokio::test]
async fn an_entry_that_is_known_and_not_wanted_is_fetched_again() {
    let server = server().await;
    let flights = replica(&server);
    server.overwrite(ENTRY, b"2026-old").await;
    assert_eq!(found(&flights).await, b"2026-old");
    let Turn::Lead(lease) = flights.turn(ENTRY, Some(b"2026")).await else { panic!("it is known") };
    drop(lease);
    let Turn::Found(bytes) = flights.turn(ENTRY, Some(b"2025")).await else { panic!("it is another") };
    assert_eq!(bytes, b"2026-old");
}

#[tokio::test]
async fn a_failure_passes_the_turn_on_at_once_to_one_after_the_other() {
    let server = server().await;
    let replicas = [(); 3].map(|()| replica(&server));
    let first = lead(&replicas[0]).await;
    let fail = async {
        join_all(replicas[1..].iter().map(until_held)).await;
        first.release().await;
    };
    let waiting = join_all(replicas[1..].iter().map(|flights| async {
        match flights.turn(ENTRY, None).await {
            Turn::Lead(lease) => {
                assert!(lease.store(b"answer", LIFE).await);
                None
            }
            Turn::Found(bytes) => Some(bytes),
            Turn::Alone => panic!("Redis is here"),
        }
    }));
    let (outcomes, ()) = join(waiting, fail).await;
    assert_eq!(outcomes.iter().flatten().count(), 1, "one took over, and the other found what it stored");
    let taken_over: u64 = replicas.iter().map(|flights| flights.counters().taken_over).sum();
    assert_eq!(taken_over, 1);
}

#[tokio::test]
async fn a_holder_that_is_gone_is_replaced_when_its_lock_runs_out() {
    let server = server().await;
    let [one, two] = [(); 2].map(|()| replica(&server));
    // Nothing says that it is dropped: as if the process had been killed.
    drop(lead(&one).await);
    assert!(exists(&server, LOCK).await);
    assert!(lead(&two).await.store(b"answer", LIFE).await);
    assert_eq!((two.counters().held, two.counters().taken_over), (1, 1));
}

#[tokio::test]
async fn a_dropped_turn_is_released_or_taken_up_by_the_same_replica() {
    let server = server().await;
    let [one, two] = [(); 2].map(|()| replica(&server));
    drop(lead(&one).await);
    drop(lead(&one).await);
    assert_eq!(one.counters(), FlightCounters { led: 2, ..FlightCounters::default() }, "it waits for nobody");

    let stop = CancellationToken::new();
    let take = async {
        while exists(&server, LOCK).await {
            sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    join(one.run(&stop), take).await;
    drop(lead(&two).await);
    assert_eq!(two.counters().held, 0);
}

#[tokio::test]
async fn who_was_frozen_too_long_stores_nothing() {
    let server = server().await;
    let [frozen, quick, last] = [(); 3].map(|()| replica(&server));
    let old = lead(&frozen).await;
    redis::cmd("DEL").arg(LOCK).exec_async(&mut server.connection().await).await.unwrap();
    let new = lead(&quick).await;
    assert!(!old.store(b"old", LIFE).await);
    assert!(!exists(&server, ENTRY).await);
    assert!(exists(&server, LOCK).await, "the other's lock stays");
    assert!(new.store(b"new", LIFE).await);
    assert_eq!(found(&last).await, b"new");
    assert_eq!((frozen.counters().fenced_out, quick.counters().fenced_out), (1, 0));

    redis::cmd("DEL").arg(ENTRY).exec_async(&mut server.connection().await).await.unwrap();
    let old = lead(&frozen).await;
    redis::cmd("DEL").arg(LOCK).exec_async(&mut server.connection().await).await.unwrap();
    assert!(!old.store(b"old", LIFE).await, "also when nobody holds the lock any more");
    assert!(!exists(&server, ENTRY).await);
}

#[tokio::test]
async fn a_long_fetch_keeps_its_turn() {
    let server = server().await;
    let [one, two] = [(); 2].map(|()| replica(&server));
    let lease = lead(&one).await;
    let fetch = async {
        // Longer than the lock lives, as the other's looks tell.
        while two.counters().held == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(1_300)).await;
        "answer"
    };
    let work = async {
        let body = lease.renew_while(fetch).await;
        assert!(lease.store(body.as_bytes(), LIFE).await);
    };
    let (bytes, ()) = join(found(&two), work).await;
    assert_eq!(bytes, b"answer");
    assert_eq!(two.counters().taken_over, 0);
}

#[tokio::test]
async fn without_redis_each_fetches_alone() {
    let server = server().await;
    let flights = flights(&server, RedisOptions::COMMAND_TIMEOUT);
    server.redis.kill().await;
    for _ in 0..3 {
        assert!(matches!(flights.turn(ENTRY, None).await, Turn::Alone));
    }
    assert_eq!(flights.counters(), FlightCounters { alone: 3, ..FlightCounters::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_who_miss_on_all_replicas_make_one_fetch() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let caches = [(); 3].map(|()| server.cache(&clock));
    let (fetches, begun) = (std::sync::atomic::AtomicU32::new(0), Notify::new());
    let key = catalogue(&ctx, "miles");
    let calls = caches.iter().flat_map(|cache| (0..500).map(move |_| cache)).map(|cache| {
        let fetch = async {
            fetches.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // Until the others wait, so that they cannot simply have come later.
            begun.notified().await;
            Ok::<_, ()>(answer("answer"))
        };
        cache.get_or_fetch(&ctx, reuse(&key), fetch, forgiving(|()| false))
    });
    let flown = |cache: &crate::Cache| cache.counters().flights;
    let all_wait = async {
        while caches.iter().map(|cache| flown(cache).held).sum::<u64>() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        begun.notify_one();
    };
    let (answers, ()) = join(join_all(calls), all_wait).await;
    let bodies: Vec<Bytes> =
        answers.into_iter().map(|found: Result<Cached, ()>| found.unwrap().body).collect();
    assert!(bodies.len() == 1_500 && bodies.iter().all(|body| &body[..] == b"answer"));
    assert_eq!(fetches.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(caches.iter().map(|cache| flown(cache).led).sum::<u64>(), 1);
}
