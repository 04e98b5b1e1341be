//! Which level answers, for how long, for whom, and at how many round trips.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::policy::TtlBounds;
use stagedoor_domain::{CacheClass, Clock, Provider};

use super::{
    MINUTE, answer, ask, catalogue, context, draws, local, manual_clock, peek, playlists, put, reuse,
    running, server, user,
};
use crate::{Ask, Cache, CacheKey, CacheOptions, DataScope, Level, Reader};

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
    assert_eq!(peek(&two, &ctx, &key).await.unwrap().level, Level::L1);
}

#[tokio::test]
async fn a_persons_answer_held_here_costs_no_round_trip_while_its_generation_is_leased() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let key = playlists(&ctx, 1);
    loop {
        ask(&cache, &ctx, &key, "mine").await;
        let before = cache.counters();
        assert_eq!(ask(&cache, &ctx, &key, "other").await.level, Level::L1);
        let after = cache.counters();
        // A machine that stood still for two seconds in between has lost the lease.
        if after.generations.renewals == before.generations.renewals {
            assert_eq!(after.redis_trips, before.redis_trips);
            break;
        }
    }
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
async fn an_answers_life_is_the_same_in_both_levels() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let key = catalogue(&ctx, "miles");
    let stored_at = ask(&one, &ctx, &key, "old").await.stored_at;
    clock.advance(Duration::from_millis(59_999));
    let found = ask(&two, &ctx, &key, "new").await;
    assert_eq!((found.level, found.stored_at, found.stale), (Level::L2, stored_at, None));
    clock.advance(Duration::from_millis(1));
    for cache in [&one, &two] {
        let found = ask(cache, &ctx, &key, "new").await;
        assert_eq!((found.level, found.stale), (Level::L1, Some(Duration::ZERO)), "a copy lives no longer");
    }
    clock.advance(MINUTE);
    assert_eq!(ask(&two, &ctx, &key, "new").await.level, Level::Fetched);
    assert_eq!(&ask(&one, &ctx, &key, "").await.body[..], b"new", "the newer one in Redis counts");
}

#[tokio::test]
async fn a_shorter_life_that_is_set_holds_at_once() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    ask(&cache, &ctx, &key, "old").await;
    clock.advance(Duration::from_secs(10));
    let set = |seconds| Ask { ttl: TtlBounds::set(Duration::from_secs(seconds)), ..reuse(&key) };
    assert_eq!(put(&cache, &ctx, set(11), "new").await.stale, None);
    assert!(put(&cache, &ctx, set(10), "new").await.stale.is_some());
    assert_eq!(put(&cache, &ctx, set(5), "new").await.level, Level::Fetched);
}

#[tokio::test]
async fn past_the_cache_nothing_is_found_and_nothing_kept() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    for body in ["one", "two"] {
        let past = cache.bypass(&ctx, &key, async { Ok::<_, ()>(answer(body)) }).await.unwrap();
        assert_eq!((past.level, &past.body[..]), (Level::Bypassed, body.as_bytes()));
    }
    assert_eq!(peek(&cache, &ctx, &key).await, None);
}

#[tokio::test]
async fn tenants_users_providers_operations_and_parameters_never_share() {
    let (server, clock) = (server().await, manual_clock());
    let cache = server.cache(&clock);
    let (first, second) = (context(1), context(2));
    let key = |ctx, operation, params: &str, reader, provider| {
        CacheKey::new(ctx, CacheClass::Playlist, operation, &params, reader, provider).unwrap()
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
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag.len());
        assert_eq!(tag, Some(64), "the slot is the parameters', not the tenant's: {key}");
    }
    let stolen = ask(&cache, &second, &keys[0].1, "past").await;
    assert_eq!((stolen.level, &stolen.body[..]), (Level::Bypassed, &b"past"[..]));
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_read_on_every_replica() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (running(server.cache(&clock)), running(server.cache(&clock)));
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
async fn level_one_stays_within_its_bytes() {
    let (clock, ctx) = (manual_clock(), context(1));
    let options = CacheOptions { l1_max_bytes: 64 * 1024, ..CacheOptions::default() };
    let cache = Cache::new(&options, None, Arc::clone(&clock) as Arc<dyn Clock>, draws()).unwrap();
    for number in 0..200 {
        ask(&cache, &ctx, &catalogue(&ctx, &number.to_string()), &"x".repeat(1_000)).await;
    }
    cache.settle().await;
    let counters = cache.counters();
    assert!(counters.l1_bytes <= 64 * 1024 && counters.l1_bytes > 32 * 1024, "{counters:?}");
    assert!(counters.evictions >= 140, "{counters:?}");
}
