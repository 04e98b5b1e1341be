//! What is told of the cache's work for a tenant, on one replica and on all.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{CacheClass, Clock};
use tokio_util::sync::CancellationToken;

use super::{TestSealer, ask, catalogue, context, draws, local, manual_clock, playlists, server};
use crate::{Cache, CacheOptions, Outcome};

#[tokio::test]
async fn the_calls_of_a_tenant_are_added_up_over_the_replicas() {
    let (server, clock) = (server().await, manual_clock());
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let (acme, other) = (context(1), context(2));
    for cache in [&one, &one, &two, &two] {
        ask(cache, &acme, &catalogue(&acme, "miles"), "").await;
    }
    ask(&one, &acme, &playlists(&acme, 1), "").await;
    ask(&two, &other, &catalogue(&other, "miles"), "").await;
    for round in 0..2 {
        for cache in [&one, &two] {
            cache.flush_usage().await;
        }
        // What is not written yet counts where it is told.
        ask(&one, &acme, &catalogue(&acme, "miles"), "").await;
        let usage = one.usage(&acme).await;
        assert!(usage.replicas);
        assert_eq!(usage.since.to_rfc3339(), "2026-09-21T00:00:00+00:00");
        let search = usage.calls.of(CacheClass::Search);
        let counts = [Outcome::Fetched, Outcome::HitL1, Outcome::HitL2].map(|outcome| search.get(outcome));
        assert_eq!(counts, [1, 3 + round, 1]);
        assert_eq!((search.reused(), search.saved(), search.calls()), (4 + round, 4 + round, 5 + round));
        assert_eq!(usage.calls.of(CacheClass::Playlist).get(Outcome::Fetched), 1);
        assert_eq!(usage.calls.total().calls(), 6 + round);
    }
    assert_eq!(two.usage(&other).await.calls.total().calls(), 1);
    clock.advance(Duration::from_hours(24));
    for cache in [&one, &two] {
        cache.flush_usage().await;
    }
    // The last call came to be written on the next day.
    assert_eq!(two.usage(&acme).await.calls.total().calls(), 1);
}

#[tokio::test]
async fn a_lost_confirmation_does_not_count_twice() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache_with(&clock, Duration::from_millis(300), Some(Arc::new(TestSealer)));
    ask(&cache, &ctx, &catalogue(&ctx, "miles"), "").await;
    cache.flush_usage().await;
    ask(&cache, &ctx, &catalogue(&ctx, "davis"), "").await;
    server.redis.pause();
    cache.flush_usage().await;
    server.redis.resume();
    let written = || async {
        let count: Option<u64> = redis::cmd("HGET")
            .arg(format!("sd:{}:cache:usage:v1:20260921", ctx.tenant_id()))
            .arg("search.fetched")
            .query_async(&mut server.connection().await)
            .await
            .unwrap();
        count
    };
    while written().await != Some(2) {
        tokio::task::yield_now().await;
    }
    ask(&cache, &ctx, &catalogue(&ctx, "other"), "").await;
    loop {
        clock.advance(Duration::from_secs(1));
        cache.flush_usage().await;
        if written().await != Some(2) {
            break;
        }
    }
    assert_eq!(written().await, Some(3));
    assert_eq!(cache.usage(&ctx).await.calls.total().get(Outcome::Fetched), 3);
}

#[tokio::test]
async fn what_was_counted_last_is_written_at_the_end() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (cache, shutdown) = (Arc::new(server.cache(&clock)), CancellationToken::new());
    ask(&cache, &ctx, &catalogue(&ctx, "miles"), "").await;
    shutdown.cancel();
    cache.run(shutdown).await;
    let left = server.cache(&clock);
    assert_eq!(left.usage(&ctx).await.calls.total().get(Outcome::Fetched), 1);
    assert_eq!(left.counters().redis_trips_beside, 0, "to be asked is no trip beside the calls");
}

#[tokio::test]
async fn without_redis_it_is_this_replicas_since_its_start() {
    let (clock, ctx) = (manual_clock(), context(1));
    let started = clock.now();
    let cache = local(&clock);
    clock.advance(Duration::from_hours(30));
    for _ in 0..4 {
        ask(&cache, &ctx, &catalogue(&ctx, "miles"), "").await;
    }
    cache.flush_usage().await;
    let usage = cache.usage(&ctx).await;
    assert_eq!((usage.since, usage.replicas), (started, false));
    assert_eq!(usage.calls.total().ratio(), Some(0.75));
    assert_eq!(cache.counters().calls, usage.calls);
}

#[tokio::test]
async fn each_tenants_share_of_the_memory_is_known() {
    let clock = manual_clock();
    let options = CacheOptions { l1_max_bytes: 64 * 1024, ..CacheOptions::default() };
    let cache = Cache::new(&options, None, Arc::clone(&clock) as Arc<dyn Clock>, draws()).unwrap();
    let (acme, other) = (context(1), context(2));
    for number in 0..100 {
        let ctx = if number % 4 == 0 { &other } else { &acme };
        ask(&cache, ctx, &catalogue(ctx, &number.to_string()), &"x".repeat(1_000)).await;
    }
    ask(&cache, &acme, &catalogue(&acme, "1"), &"x".repeat(1_000)).await;
    cache.settle().await;
    let (acme, other) = (cache.usage(&acme).await, cache.usage(&other).await);
    let counters = cache.counters();
    assert_eq!(acme.l1_bytes + other.l1_bytes, counters.l1_bytes);
    assert_eq!(acme.l1_entries + other.l1_entries, counters.l1_entries);
    assert_eq!(acme.l1_evictions + other.l1_evictions, counters.evictions);
    assert!(acme.l1_entries > 0 && other.l1_entries > 0 && counters.evictions > 0, "{counters:?}");
}
