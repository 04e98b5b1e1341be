//! Redis killed, frozen, back again: catalogue answers go on from here, a person's are fetched, and a write that
//! Redis did not hear of is told before the person's answers are trusted again.

use std::time::Duration;

use stagedoor_domain::Provider;

use super::{TestSealer, ask, catalogue, context, manual_clock, playlists, server, user};
use crate::{DataScope, Level, RedisOptions};

#[tokio::test]
async fn a_killed_redis_leaves_the_catalogue_and_bypasses_persons() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    ask(&cache, &ctx, &catalogue(&ctx, "miles"), "catalogue").await;
    ask(&cache, &ctx, &playlists(&ctx, 1), "mine").await;
    server.redis.kill().await;

    assert_eq!(ask(&cache, &ctx, &catalogue(&ctx, "miles"), "").await.level, Level::L1);
    assert_eq!(ask(&cache, &ctx, &catalogue(&ctx, "other"), "fetched").await.level, Level::Fetched);
    assert_eq!(ask(&cache, &ctx, &catalogue(&ctx, "other"), "").await.level, Level::L1);
    loop {
        let answer = ask(&cache, &ctx, &playlists(&ctx, 1), "fetched").await;
        if answer.level == Level::Bypassed {
            break;
        }
        assert_eq!((answer.level, &answer.body[..]), (Level::L1, &b"mine"[..]), "while the lease holds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for body in ["one", "two"] {
        let answer = ask(&cache, &ctx, &playlists(&ctx, 1), body).await;
        assert_eq!((answer.level, &answer.body[..]), (Level::Bypassed, body.as_bytes()));
    }
    assert!(cache.counters().degraded > 0);

    server.redis.restart().await.unwrap();
    while ask(&cache, &ctx, &playlists(&ctx, 1), "new").await.level == Level::Bypassed {
        clock.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = ask(&cache, &ctx, &playlists(&ctx, 1), "").await;
    assert_eq!((answer.level, &answer.body[..]), (Level::L1, &b"new"[..]), "nothing of before came back");
}

#[tokio::test]
async fn a_write_during_an_outage_is_seen_after_it() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let sealer = || Some(std::sync::Arc::new(TestSealer) as _);
    let writer = server.cache_with(&clock, RedisOptions::COMMAND_TIMEOUT, sealer());
    let key = playlists(&ctx, 1);
    while ask(&writer, &ctx, &key, "old").await.level == Level::Bypassed {
        clock.advance(Duration::from_secs(1));
    }
    server.redis.pause();
    writer.bump(&ctx, user(1), Provider::Spotify, DataScope::Playlists).await.unwrap_err();
    assert_eq!(&ask(&writer, &ctx, &key, "new").await.body[..], b"new");
    server.redis.resume();
    let level = loop {
        let answer = ask(&writer, &ctx, &key, "new").await;
        assert_eq!(&answer.body[..], b"new", "what was fetched before the write is never found");
        if answer.level != Level::Bypassed {
            break answer.level;
        }
        clock.advance(Duration::from_millis(500));
    };
    assert_eq!(level, Level::Fetched);
    let replica = server.cache(&clock);
    assert_eq!(&ask(&replica, &ctx, &key, "other").await.body[..], b"new", "the other replica knows as well");
}

#[tokio::test]
async fn a_frozen_redis_is_waited_for_once() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let sealer = Some(std::sync::Arc::new(TestSealer) as _);
    let cache = server.cache_with(&clock, RedisOptions::COMMAND_TIMEOUT, sealer);
    while ask(&cache, &ctx, &playlists(&ctx, 1), "mine").await.level == Level::Bypassed {
        clock.advance(Duration::from_secs(1));
    }
    server.redis.pause();
    let trips = cache.counters().redis_trips;
    for number in 0..50 {
        ask(&cache, &ctx, &catalogue(&ctx, &number.to_string()), "answer").await;
        ask(&cache, &ctx, &playlists(&ctx, 1), "mine").await;
    }
    assert_eq!(cache.counters().redis_trips, trips + 1);
    server.redis.resume();
}
