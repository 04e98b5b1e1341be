//! The link against a real server and a real cluster.

use std::sync::Arc;
use std::time::Duration;

use redis::Script;
use stagedoor_bootstrap::private_servers::{PrivateRedis, PrivateRedisCluster};
use stagedoor_domain::SystemClock;
use stagedoor_redis_link::{Message, RedisLink, RedisOptions, Unavailable};

fn link(url: String, cluster: bool) -> RedisLink {
    let options =
        RedisOptions { command_timeout: Duration::from_secs(10), cluster, ..RedisOptions::new(url) };
    RedisLink::new(&options, Arc::new(SystemClock::new())).expect("the address is one")
}

async fn publish(link: &RedisLink, channel: &str, payload: &str) {
    let mut command = redis::cmd("PUBLISH");
    command.arg(channel).arg(payload);
    let sent = link.run(|mut connection| async move { command.exec_async(&mut connection).await }).await;
    sent.expect("Redis is here");
}

#[tokio::test]
async fn a_cluster_takes_scripts_by_their_keys_and_passes_messages_on() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = PrivateRedisCluster::start(folder.path()).await.unwrap();
    let link = link(cluster.urls(), true);
    // One listener for each node: attempts go round.
    let channels = ["news".to_owned(), "letters".to_owned()];
    let mut listeners = Vec::new();
    for _ in cluster.nodes() {
        listeners.push(link.subscribe(&channels).await.unwrap());
    }
    let script = Script::new(
        "redis.call('SET', KEYS[1], ARGV[1]); redis.call('PUBLISH', 'news', ARGV[1]); return ARGV[1]",
    );
    for number in 0..12_u64 {
        let mut call = script.key(format!("song:{{{number}}}"));
        call.arg(number);
        let answer: u64 =
            link.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await.unwrap();
        assert_eq!(answer, number);
        for listener in &mut listeners {
            let heard = Message { channel: "news".to_owned(), payload: number.to_string().into_bytes() };
            assert_eq!(listener.next().await, Some(heard));
        }
    }
    publish(&link, "letters", "to you").await;
    for listener in &mut listeners {
        assert_eq!(listener.next().await.map(|message| message.channel).as_deref(), Some("letters"));
    }
    assert_eq!(link.failures(), 0);
}

#[tokio::test]
async fn a_lost_server_ends_the_stream_and_is_remembered_as_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let redis = PrivateRedis::start(folder.path()).await.unwrap();
    let link = link(redis.url(), false);
    let mut listener = link.subscribe(&["news".to_owned()]).await.unwrap();
    publish(&link, "news", "first").await;
    assert_eq!(listener.next().await.map(|message| message.payload), Some(b"first".to_vec()));
    assert!(link.down_for().is_none() && !link.failed_within(Duration::from_hours(1)));

    redis.kill().await;
    assert_eq!(listener.next().await, None);
    assert!(link.subscribe(&["news".to_owned()]).await.is_err());
    assert!(!link.failed_within(Duration::from_hours(1)), "commands have not failed yet");
    let ping =
        || link.run(|mut connection| async move { redis::cmd("PING").exec_async(&mut connection).await });
    assert!(matches!(ping().await, Err(Unavailable::Failed(_) | Unavailable::Timeout)));
    assert!(link.down_for().is_some() && link.failed_within(Duration::from_hours(1)));

    redis.restart().await.unwrap();
    while ping().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(link.down_for().is_none() && link.failed_within(Duration::from_hours(1)));
    assert!(link.subscribe(&["news".to_owned()]).await.is_ok());
}
