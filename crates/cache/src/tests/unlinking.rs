//! What an account brought goes with it: from the memory of every replica, and from Redis.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{CacheClass, Provider, SystemClock, TenantContext};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Server, answer, ask, catalogue, context, forgiving, local, manual_clock, playlists, reuse, running,
    server, user,
};
use crate::generation::{EntryIndex, Noted, Person};
use crate::{Cache, CacheKey, CacheOptions, DataScope, Level, Reader, RedisOptions};

async fn unlink(cache: &Cache, ctx: &TenantContext) {
    cache.bump(ctx, user(1), Provider::Spotify, DataScope::Account).await.unwrap();
}

/// What the person asked another provider.
fn elsewhere(ctx: &TenantContext) -> CacheKey {
    let reader = Reader::User { user: user(1), scope: DataScope::Playlists };
    CacheKey::new(ctx, CacheClass::Playlist, "list", &(), reader, Provider::Tidal).unwrap()
}

async fn until_it_has(cache: &Cache, entries: u64) {
    loop {
        cache.settle().await;
        if cache.counters().l1_entries == entries {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn one_replica_forgets_what_the_account_brought() {
    let (ctx, cache) = (context(1), local(&manual_clock()));
    let others = [playlists(&ctx, 2), elsewhere(&ctx), catalogue(&ctx, "miles")];
    for key in others.iter().chain([&playlists(&ctx, 1)]) {
        ask(&cache, &ctx, key, "answer").await;
    }
    cache.bump(&ctx, user(1), Provider::Spotify, DataScope::Library).await.unwrap();
    cache.settle().await;
    assert_eq!(cache.counters().l1_entries, 4, "a write removes nothing");
    unlink(&cache, &ctx).await;
    until_it_has(&cache, 3).await;
    for key in &others {
        assert_eq!(ask(&cache, &ctx, key, "").await.level, Level::L1);
    }
}

#[tokio::test]
async fn all_replicas_and_redis_forget_what_the_account_brought() {
    let (server, ctx, clock) = (server().await, context(1), manual_clock());
    let (one, two) = (running(server.cache(&clock)), running(server.cache(&clock)));
    let others = [playlists(&ctx, 2), elsewhere(&ctx), catalogue(&ctx, "miles")];
    for key in others.iter().chain([&playlists(&ctx, 1)]) {
        ask(&one, &ctx, key, "answer").await;
        ask(&two, &ctx, key, "answer").await;
    }
    assert_eq!(server.answer_keys().await.len(), 4);
    unlink(&one, &ctx).await;
    assert_eq!(server.answer_keys().await.len(), 3);
    until_it_has(&one, 3).await;
    until_it_has(&two, 3).await;
    // Linked again, it begins anew.
    assert_eq!(ask(&one, &ctx, &playlists(&ctx, 1), "new").await.level, Level::Fetched);
    assert_eq!(&ask(&two, &ctx, &playlists(&ctx, 1), "").await.body[..], b"new");
    unlink(&two, &ctx).await;
    assert_eq!(server.answer_keys().await.len(), 3);
}

#[tokio::test]
async fn a_fetch_that_ends_after_the_account_is_gone_leaves_nothing() {
    let (server, ctx, clock) = (server().await, context(1), manual_clock());
    for cache in [local(&clock), server.cache(&clock)] {
        let key = playlists(&ctx, 1);
        let fetch = async {
            unlink(&cache, &ctx).await;
            Ok::<_, ()>(answer("from before"))
        };
        let fetched = cache.get_or_fetch(&ctx, reuse(&key), fetch, forgiving(|()| false)).await.unwrap();
        assert_eq!(fetched.level, Level::Fetched, "the call began before");
        until_it_has(&cache, 0).await;
    }
    assert_eq!(server.answer_keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_index_of_a_person_is_bounded_and_ends_with_its_entries() {
    let (server, ctx, clock) = (server().await, context(1), manual_clock());
    let cache = server.cache(&clock);
    let account = cache.account_generation(&ctx, user(1), Provider::Spotify).await.unwrap();
    let level = cache.level_two.as_ref().unwrap();
    let owner = (Person::of(&ctx, user(1)), Provider::Spotify);
    let index = EntryIndex::new();
    let note = async |number: u64, life: Duration| {
        index.note(&level.link, owner, account, (&format!("entry {number}"), life)).await.unwrap()
    };
    for number in 0..1_000 {
        assert_eq!(note(number, Duration::from_secs(1_000 + number)).await, Noted::Instead(Vec::new()));
    }
    assert_eq!(note(1_000, Duration::from_hours(2)).await, Noted::Instead(vec!["entry 0".to_owned()]));
    assert_eq!(note(1_000, Duration::from_hours(1)).await, Noted::Instead(Vec::new()), "it was there");
    let left = index_life(&server).await;
    assert!(left <= 7_200_000 && left > 7_000_000, "the longest life of an entry: {left}");
}

async fn index_life(server: &Server) -> i64 {
    let mut connection = server.connection().await;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("sd:*:entries:v1:*").query_async(&mut connection).await.unwrap();
    redis::cmd("PTTL").arg(&keys[0]).query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn an_orderly_end_tells_redis_what_it_did_not_take_or_says_so() {
    let (server, ctx) = (server().await, context(1));
    for (comes_back, lost) in [(true, 0), (false, 1)] {
        let redis = RedisOptions::new(server.redis.url());
        let options = CacheOptions { redis: Some(redis), ..CacheOptions::default() };
        let clock = Arc::new(SystemClock::new());
        let cache = Arc::new(Cache::new(&options, None, clock, Arc::new(SystemEntropy)).unwrap());
        server.redis.kill().await;
        let bumped = cache.bump(&ctx, user(1), Provider::Spotify, DataScope::Playlists).await;
        assert!(bumped.is_err() && cache.counters().generations.deferred == 1);
        if comes_back {
            server.redis.restart().await.unwrap();
        }
        let ended = CancellationToken::new();
        ended.cancel();
        Arc::clone(&cache).run(ended).await;
        let generations = cache.counters().generations;
        assert_eq!((generations.bumps, generations.lost), (1 - lost, lost));
    }
}
