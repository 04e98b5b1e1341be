//! Answers that may be others soon: what is fetched just after a write, and what the caller says so of.

use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use stagedoor_domain::{Provider, TenantContext};

use super::{
    MINUTE, answer, ask, catalogue, context, forgiving, local, manual_clock, peek, playlists, reuse, running,
    server, user,
};
use crate::{Cache, CacheKey, Cached, DataScope, Fetched, Level};

const SECOND: Duration = Duration::from_secs(1);

async fn fetch(cache: &Cache, ctx: &TenantContext, key: &CacheKey, fetched: Fetched) -> Cached {
    let fetch = ready(Ok::<_, ()>(fetched));
    cache.get_or_fetch(ctx, reuse(key), fetch, forgiving(|()| true)).await.unwrap()
}

fn absent() -> Fetched {
    Fetched::Absent { body: Bytes::new() }
}

async fn write(cache: &Cache, ctx: &TenantContext) {
    cache.bump(ctx, user(1), Provider::Spotify, DataScope::Playlists).await.unwrap();
}

#[tokio::test]
async fn what_is_fetched_soon_after_a_write_is_soon_fetched_again() {
    let (ctx, clock) = (context(1), manual_clock());
    let (cache, key) = (local(&clock), playlists(&ctx, 1));
    clock.advance(MINUTE);
    write(&cache, &ctx).await;
    ask(&cache, &ctx, &key, "from before the write").await;
    clock.advance(9 * SECOND);
    assert_eq!(ask(&cache, &ctx, &key, "").await.level, Level::L1);
    clock.advance(SECOND);
    assert_eq!(peek(&cache, &ctx, &key).await, None, "also in place of an error");
    assert_eq!(&ask(&cache, &ctx, &key, "from after it").await.body[..], b"from after it");
    clock.advance(20 * SECOND);
    // Half a minute after the write an answer lives as long as any.
    assert_eq!(ask(&cache, &ctx, &key, "").await.level, Level::Fetched);
    clock.advance(59 * SECOND);
    assert_eq!(ask(&cache, &ctx, &key, "").await.level, Level::L1);
}

#[tokio::test]
async fn that_there_is_no_such_thing_is_not_kept_soon_after_a_write() {
    let (ctx, clock) = (context(1), manual_clock());
    let (cache, key) = (local(&clock), playlists(&ctx, 1));
    write(&cache, &ctx).await;
    assert!(fetch(&cache, &ctx, &key, absent()).await.absent);
    assert_eq!(&ask(&cache, &ctx, &key, "there it is").await.body[..], b"there it is");
    // Another person has written nothing.
    let other = playlists(&ctx, 2);
    assert!(fetch(&cache, &ctx, &other, absent()).await.absent);
    assert_eq!(peek(&cache, &ctx, &other).await.map(|cached| cached.level), Some(Level::L1));
}

#[tokio::test]
async fn all_replicas_know_of_the_write() {
    let (server, ctx, clock) = (server().await, context(1), manual_clock());
    let (one, two) = (running(server.cache(&clock)), running(server.cache(&clock)));
    let key = playlists(&ctx, 1);
    write(&one, &ctx).await;
    ask(&two, &ctx, &key, "from before the write").await;
    clock.advance(9 * SECOND);
    assert_eq!(ask(&one, &ctx, &key, "").await.level, Level::L2);
    clock.advance(SECOND);
    assert_eq!(peek(&one, &ctx, &key).await, None);
    assert_eq!(ask(&two, &ctx, &key, "from after it").await.level, Level::Fetched);
}

#[tokio::test]
async fn an_answer_lives_no_longer_than_its_fetcher_says_and_teaches_nothing() {
    let (server, ctx, clock) = (server().await, context(1), manual_clock());
    let (one, two, key) = (server.cache(&clock), server.cache(&clock), catalogue(&ctx, "nobody yet"));
    let nothing = || {
        let Fetched::Answer { body, fingerprint, next, .. } = answer("nothing") else { unreachable!() };
        Fetched::Answer { body, fingerprint, next, life_at_most: Some(20 * SECOND) }
    };
    for _ in 0..3 {
        assert_eq!(fetch(&one, &ctx, &key, nothing()).await.level, Level::Fetched);
        clock.advance(19 * SECOND);
        assert_eq!(ask(&one, &ctx, &key, "").await.level, Level::L1);
        assert!(peek(&two, &ctx, &key).await.is_some());
        clock.advance(SECOND);
        assert_eq!(peek(&one, &ctx, &key).await, None, "not while it is fetched again, nor for an error");
        assert_eq!(peek(&two, &ctx, &key).await, None);
    }
    ask(&one, &ctx, &key, "found").await;
    clock.advance(59 * SECOND);
    assert_eq!(ask(&one, &ctx, &key, "").await.level, Level::L1, "the first life");
    clock.advance(SECOND);
    assert_eq!(ask(&one, &ctx, &key, "").await.level, Level::L1);
}
