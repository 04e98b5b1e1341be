//! Which level answers, for how long, for whom, and at how many round trips.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stagedoor_domain::{Clock, Provider};

use super::{ask, catalogue, context, local, manual_clock, playlists, server, user};
use crate::{Cache, CacheKey, CacheOptions, DataScope, Level, Reader};

#[tokio::test]
async fn the_second_call_is_answered_here_and_another_replica_from_redis() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let key = catalogue(&ctx, "miles");
    assert_eq!(ask(&one, &ctx, &key, "answer").await.level, Level::Fetched);
    let trips = one.counters().redis_trips;
    assert_eq!(ask(&one, &ctx, &key, "other").await.level, Level::L1);
    assert_eq!(one.counters().redis_trips, trips, "a catalogue answer held here costs no round trip");

    let found = ask(&two, &ctx, &key, "other").await;
    assert_eq!((found.level, &found.body[..]), (Level::L2, &b"answer"[..]));
    assert_eq!(two.get(&ctx, &key).await.unwrap().level, Level::L1);
}

#[tokio::test]
async fn a_persons_answer_held_here_costs_one_round_trip() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let key = playlists(&ctx, 1);
    ask(&cache, &ctx, &key, "mine").await;
    let trips = cache.counters().redis_trips;
    assert_eq!(ask(&cache, &ctx, &key, "other").await.level, Level::L1);
    assert_eq!(cache.counters().redis_trips, trips + 1);
}

#[tokio::test]
async fn a_change_of_an_account_is_seen_elsewhere_as_soon_as_what_was_seen_is_too_old() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let patience = Duration::from_secs(2);
    let at = |cache: Cache| (cache, Provider::Spotify, user(1));
    let (one, two) = (at(one), at(two));
    let seen = async |(cache, provider, user): &(Cache, Provider, _)| {
        cache.account_generation(&ctx, *user, *provider, patience).await.unwrap()
    };
    let before = seen(&one).await;
    assert_eq!(seen(&two).await, before);
    let trips = two.0.counters().redis_trips;
    one.0.bump(&ctx, user(1), Provider::Spotify, DataScope::Account).await.unwrap();
    assert_ne!(seen(&one).await, before, "where it was changed it shows at once");
    assert_eq!(seen(&two).await, before);
    assert_eq!(two.0.counters().redis_trips, trips, "what was read a moment ago is not read again");
    clock.advance(patience + Duration::from_millis(1));
    assert_ne!(seen(&two).await, before);

    // A person's cached answer reads it on the way.
    one.0.bump(&ctx, user(1), Provider::Spotify, DataScope::Account).await.unwrap();
    ask(&two.0, &ctx, &playlists(&ctx, 1), "mine").await;
    let trips = two.0.counters().redis_trips;
    assert_eq!(seen(&two).await, seen(&one).await);
    assert_eq!(two.0.counters().redis_trips, trips);
    // Neither another provider's account nor another person's was changed.
    let other = (two.0, Provider::Tidal, user(1));
    let tidal = seen(&other).await;
    one.0.bump(&ctx, user(2), Provider::Tidal, DataScope::Account).await.unwrap();
    clock.advance(patience * 2);
    assert_eq!(seen(&other).await, tidal);
}

#[tokio::test]
async fn a_body_is_shared_and_not_copied() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    let first = ask(&cache, &ctx, &key, &"x".repeat(5_000)).await;
    assert_eq!(ask(&cache, &ctx, &key, "").await.body.as_ptr(), first.body.as_ptr());
}

#[tokio::test]
async fn an_answer_ends_with_its_life_in_both_levels() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let key = catalogue(&ctx, "miles");
    let stored_at = ask(&one, &ctx, &key, "old").await.stored_at;
    clock.advance(Duration::from_millis(59_999));
    let found = ask(&two, &ctx, &key, "new").await;
    assert_eq!((found.level, found.stored_at), (Level::L2, stored_at));
    clock.advance(Duration::from_millis(1));
    assert_eq!(ask(&two, &ctx, &key, "new").await.level, Level::Fetched, "a copy does not live longer");
    assert_eq!(&ask(&one, &ctx, &key, "").await.body[..], b"new");
}

#[tokio::test]
async fn a_shorter_life_holds_at_once_and_none_means_past_the_cache() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    ask(&cache, &ctx, &key, "old").await;
    clock.advance(Duration::from_secs(10));
    let fetch = async || Ok::<_, ()>(Bytes::from_static(b"new"));
    let short = cache.get_or_fetch(&ctx, &key, Some(Duration::from_secs(10)), fetch()).await.unwrap();
    assert_eq!(short.level, Level::Fetched);
    for _ in 0..2 {
        let past = cache.get_or_fetch(&ctx, &key, None, fetch()).await.unwrap();
        assert_eq!(past.level, Level::Bypassed);
    }
}

#[tokio::test]
async fn tenants_users_providers_operations_and_parameters_never_share() {
    let (server, clock) = (server().await, manual_clock());
    let cache = server.cache(&clock);
    let (first, second) = (context(1), context(2));
    let key = |ctx, operation, params: &str, reader, provider| {
        CacheKey::new(ctx, "playlists", operation, &params, reader, provider).unwrap()
    };
    let person = |number, scope| Reader::User { user: user(number), scope };
    let mine = person(1, DataScope::Playlists);
    let keys = [
        (&first, key(&first, "list", "a", mine, Provider::Spotify)),
        (&second, key(&second, "list", "a", mine, Provider::Spotify)),
        (&first, key(&first, "list", "a", person(2, DataScope::Playlists), Provider::Spotify)),
        (&first, key(&first, "list", "a", person(1, DataScope::Library), Provider::Spotify)),
        (&first, key(&first, "list", "a", Reader::Tenant, Provider::Spotify)),
        (&first, key(&first, "list", "a", mine, Provider::Tidal)),
        (&first, key(&first, "get", "a", mine, Provider::Spotify)),
        (&first, key(&first, "list", "b", mine, Provider::Spotify)),
    ];
    for (number, (ctx, key)) in keys.iter().enumerate() {
        assert_eq!(ask(&cache, ctx, key, &number.to_string()).await.level, Level::Fetched, "{key:?}");
    }
    for (number, (ctx, key)) in keys.iter().enumerate() {
        let found = ask(&cache, ctx, key, "").await;
        assert_eq!((found.level, &found.body[..]), (Level::L1, number.to_string().as_bytes()));
    }
    for key in server.answer_keys().await {
        assert!(!key.contains(['{', '}']), "{key}");
    }
    let stolen = ask(&cache, &second, &keys[0].1, "past").await;
    assert_eq!((stolen.level, &stolen.body[..]), (Level::Bypassed, &b"past"[..]));
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_read_on_every_replica() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let key = playlists(&ctx, 1);
    for version in 0..20 {
        let (old, new) = (version.to_string(), (version + 1).to_string());
        assert_eq!(&ask(&one, &ctx, &key, &old).await.body[..], old.as_bytes());
        assert_eq!(&ask(&two, &ctx, &key, &old).await.body[..], old.as_bytes());
        let scope = if version % 2 == 0 { DataScope::Playlists } else { DataScope::Account };
        one.bump(&ctx, user(1), Provider::Spotify, scope).await.unwrap();
        assert_eq!(&ask(&two, &ctx, &key, &new).await.body[..], new.as_bytes());
    }
}

#[tokio::test]
async fn a_write_leaves_others_alone() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    for cache in [server.cache(&clock), local(&clock)] {
        let (mine, theirs) = (playlists(&ctx, 1), playlists(&ctx, 2));
        ask(&cache, &ctx, &mine, "mine").await;
        ask(&cache, &ctx, &theirs, "theirs").await;
        cache.bump(&ctx, user(1), Provider::Tidal, DataScope::Playlists).await.unwrap();
        cache.bump(&ctx, user(1), Provider::Spotify, DataScope::Library).await.unwrap();
        assert_eq!(ask(&cache, &ctx, &mine, "").await.level, Level::L1);
        cache.bump(&ctx, user(1), Provider::Spotify, DataScope::Playlists).await.unwrap();
        assert_eq!(ask(&cache, &ctx, &mine, "new").await.level, Level::Fetched);
        assert_eq!(ask(&cache, &ctx, &theirs, "").await.level, Level::L1);
    }
}

#[tokio::test]
async fn an_evicted_generation_never_comes_back() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let key = playlists(&ctx, 1);
    ask(&cache, &ctx, &key, "old").await;
    let generations: Vec<String> = redis::cmd("KEYS")
        .arg("sd:*:generation:*")
        .query_async(&mut server.connection().await)
        .await
        .unwrap();
    assert_eq!(generations.len(), 1);
    redis::cmd("DEL").arg(generations).exec_async(&mut server.connection().await).await.unwrap();
    assert_eq!(ask(&cache, &ctx, &key, "new").await.level, Level::Fetched);
}

#[tokio::test]
async fn level_one_stays_within_its_bytes() {
    let (clock, ctx) = (manual_clock(), context(1));
    let options = CacheOptions { l1_max_bytes: 64 * 1024, redis: None };
    let cache = Cache::new(&options, None, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    for number in 0..200 {
        ask(&cache, &ctx, &catalogue(&ctx, &number.to_string()), &"x".repeat(1_000)).await;
    }
    cache.settle().await;
    let counters = cache.counters();
    assert!(counters.l1_bytes <= 64 * 1024 && counters.l1_bytes > 32 * 1024, "{counters:?}");
    assert!(counters.evictions >= 140, "{counters:?}");
}
