//! Everything that is said to Redis, said to a cluster of three nodes.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_bootstrap::private_servers::PrivateRedisCluster;
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{Clock, Provider, SystemClock};
use tokio::time::sleep;

use super::{TestSealer, ask, catalogue, context, manual_clock, playlists, refetch, running, user};
use crate::{Cache, CacheOptions, DataScope, Level, RedisOptions};

#[tokio::test]
async fn three_nodes_hold_what_one_server_would() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = PrivateRedisCluster::start(folder.path()).await.unwrap();
    let clock = manual_clock();
    let cache = || {
        let redis = RedisOptions {
            command_timeout: Duration::from_secs(10),
            cluster: true,
            ..RedisOptions::new(cluster.urls())
        };
        let options = CacheOptions { redis: Some(redis), ..CacheOptions::default() };
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        running(Cache::new(&options, Some(Arc::new(TestSealer)), clock, Arc::new(SystemEntropy)).unwrap())
    };
    let (one, two) = (cache(), cache());
    // Enough keys for every node to have some.
    for number in 0..24 {
        let ctx = context(number / 8 + 1);
        let key = catalogue(&ctx, &number.to_string());
        assert_eq!(ask(&one, &ctx, &key, "catalogue").await.level, Level::Fetched);
        assert_eq!(ask(&two, &ctx, &key, "").await.level, Level::L2);
        assert_eq!(super::put(&two, &ctx, refetch(&key), "again").await.level, Level::Fetched);

        let mine = playlists(&ctx, number);
        ask(&one, &ctx, &mine, "before").await;
        assert_eq!(&ask(&two, &ctx, &mine, "").await.body[..], b"before");
        one.bump(&ctx, user(number), Provider::Spotify, DataScope::Playlists).await.unwrap();
        assert_eq!(&ask(&two, &ctx, &mine, "after").await.body[..], b"after");
        assert_eq!(&ask(&one, &ctx, &mine, "").await.body[..], b"after");
        one.bump(&ctx, user(number), Provider::Spotify, DataScope::Account).await.unwrap();
    }
    one.flush_usage().await;
    one.flush_popular().await;
    assert!(two.usage(&context(1)).await.replicas);
    assert_eq!(one.counters().degraded + two.counters().degraded, 0);
    assert_eq!(one.counters().flights.led + two.counters().flights.led, 24 * 4);
    for node in cluster.nodes() {
        let client = redis::Client::open(node.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        assert!(keys > 0, "every node has its part");
    }
}

#[tokio::test]
async fn a_node_that_is_gone_and_back_fails_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = PrivateRedisCluster::start(folder.path()).await.unwrap();
    let redis = RedisOptions { cluster: true, ..RedisOptions::new(cluster.urls()) };
    let options = CacheOptions { redis: Some(redis), ..CacheOptions::default() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let cache = Cache::new(&options, Some(Arc::new(TestSealer)), clock, Arc::new(SystemEntropy)).unwrap();
    let ctx = context(1);
    cluster.nodes()[1].kill().await;
    for number in 0..12 {
        let found = ask(&cache, &ctx, &catalogue(&ctx, &number.to_string()), "answer").await;
        assert_eq!(found.level, Level::Fetched);
    }
    for node in cluster.nodes() {
        node.restart().await.unwrap();
    }
    // Its nodes know each other from their files, and Redis is used again without a restart of ours.
    let before = cache.counters().degraded;
    let mut number = 12;
    loop {
        let (degraded, key) = (cache.counters().degraded, catalogue(&ctx, &number.to_string()));
        ask(&cache, &ctx, &key, "answer").await;
        if cache.counters().degraded == degraded && cache.counters().flights.led > 0 {
            break;
        }
        number += 1;
        sleep(Duration::from_millis(50)).await;
    }
    assert!(cache.counters().degraded >= before);
}
