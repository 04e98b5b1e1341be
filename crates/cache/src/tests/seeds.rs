//! Answers that came along inside others.

use std::time::Duration;

use super::{BOUNDS, answer, ask, catalogue, context, manual_clock, peek, playlists, server};
use crate::{CacheKey, Level, Seed};

fn seed(key: &CacheKey, body: &str) -> Seed {
    Seed { key: key.clone(), ttl: BOUNDS, fetched: answer(body) }
}

#[tokio::test]
async fn what_came_along_is_an_answer_here_and_elsewhere() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let keys: Vec<_> = (0..50).map(|number| catalogue(&ctx, &number.to_string())).collect();
    let seeds = keys.iter().map(|key| seed(key, "along")).collect();
    assert_eq!(one.seed(&ctx, seeds).await, 50);
    let counted = one.counters();
    assert_eq!((counted.seeded, counted.redis_trips_beside, counted.redis_trips), (50, 50, 50));
    for key in &keys {
        assert_eq!(peek(&one, &ctx, key).await.unwrap().level, Level::L1);
        let found = peek(&two, &ctx, key).await.unwrap();
        assert_eq!((found.level, &found.body[..]), (Level::L2, &b"along"[..]));
    }
}

#[tokio::test]
async fn it_takes_no_fresh_answers_place() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let key = catalogue(&ctx, "miles");
    ask(&one, &ctx, &key, "asked").await;
    assert_eq!(one.seed(&ctx, vec![seed(&key, "along")]).await, 0);
    // A replica that does not know the one in Redis keeps its own to itself.
    assert_eq!(two.seed(&ctx, vec![seed(&key, "along")]).await, 1);
    assert_eq!(&peek(&server.cache(&clock), &ctx, &key).await.unwrap().body[..], b"asked");

    clock.advance(BOUNDS.first + Duration::from_secs(1));
    assert_eq!(one.seed(&ctx, vec![seed(&key, "asked")]).await, 1);
    let found = peek(&server.cache(&clock), &ctx, &key).await.unwrap();
    assert_eq!((&found.body[..], found.stale), (&b"asked"[..], None));
    let entry = one.level_one.get(&key.render(None)).await.unwrap();
    assert_eq!(entry.entry.life, BOUNDS.first * 3 / 2, "it was found unchanged");
}

#[tokio::test]
async fn neither_persons_nor_other_tenants_answers_can_be_planted() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let foreign = catalogue(&context(2), "miles");
    let planted = cache.seed(&ctx, vec![seed(&playlists(&ctx, 1), "mine"), seed(&foreign, "theirs")]).await;
    assert_eq!((planted, server.answer_keys().await.len()), (0, 0));
    assert_eq!(peek(&cache, &context(2), &foreign).await, None);
    assert_eq!(peek(&cache, &ctx, &playlists(&ctx, 1)).await, None);
}
