//! What is asked for most is known to all replicas, and a new one begins with it.

use std::time::Duration;

use super::{
    MINUTE, Server, ask, catalogue, context, manual_clock, peek, playlists, put, reuse, server, user,
};
use crate::{Ask, Cache, Level, WarmBudget, Warmed};

const AMPLE: WarmBudget = WarmBudget { entries: 100, bytes: u64::MAX, time: Duration::from_secs(2) };

/// Asks for `c` eight times, for `b` forty and for `a` eighty times, and writes that down.
async fn asked(cache: &Cache) {
    let ctx = context(1);
    ask(cache, &ctx, &playlists(&ctx, 1), "mine").await;
    for (query, times) in [("c", 8), ("a", 80), ("b", 40)] {
        for _ in 0..times {
            ask(cache, &ctx, &catalogue(&ctx, query), query).await;
        }
    }
    cache.flush_popular().await;
}

async fn names(server: &Server) -> Vec<(String, f64)> {
    redis::cmd("ZRANGE")
        .arg(format!("sd:{{{}}}:cache:popular:v1", context(1).tenant_id()))
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query_async(&mut server.connection().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_new_replica_begins_with_what_is_asked_for_most() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    asked(&server.cache(&clock)).await;
    let new = server.cache(&clock);
    assert_eq!(new.popular_tenants(10).await, [ctx.tenant_id()]);
    let warmed = new.warm(&ctx, WarmBudget { entries: 2, ..AMPLE }).await;
    assert_eq!(warmed.entries, 2);
    let trips = new.counters().redis_trips;
    for (query, level) in [("a", Level::L1), ("b", Level::L1), ("c", Level::L2)] {
        let found = peek(&new, &ctx, &catalogue(&ctx, query)).await.unwrap();
        assert_eq!((found.level, &found.body[..]), (level, query.as_bytes()));
    }
    assert_eq!(new.counters().redis_trips, trips + 1);
    assert_eq!(new.usage(&ctx).await.l1_bytes, warmed.bytes + new_bytes(&new).await);
    assert_eq!(new.warm(&ctx, AMPLE).await, Warmed::default(), "nothing is brought twice");
}

#[tokio::test]
async fn what_may_not_be_noted_is_asked_for_by_nobody() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let key = catalogue(&ctx, "unseen");
    for _ in 0..80 {
        put(&cache, &ctx, Ask { noted: false, ..reuse(&key) }, "unseen").await;
    }
    asked(&cache).await;
    let names = names(&server).await;
    assert_eq!(names.len(), 3, "{names:?}");
    let unseen = key.render(None);
    assert!(names.iter().all(|(name, _)| !unseen.ends_with(name.as_str())), "{names:?}");
    assert_eq!(peek(&cache, &ctx, &key).await.unwrap().level, Level::L1, "it is kept all the same");
}

/// What the entry weighs that came by a question.
async fn new_bytes(cache: &Cache) -> u64 {
    let ctx = context(1);
    cache.level_one.get(&catalogue(&ctx, "c").render(None)).await.unwrap().weight().into()
}

#[tokio::test]
async fn a_warm_up_stays_within_its_budget() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    asked(&server.cache(&clock)).await;
    for (budget, entries) in [
        (WarmBudget { entries: 0, ..AMPLE }, 0),
        (WarmBudget { time: Duration::ZERO, ..AMPLE }, 0),
        (WarmBudget { bytes: 0, ..AMPLE }, 0),
        (WarmBudget { bytes: 1, ..AMPLE }, 1),
        (AMPLE, 3),
    ] {
        assert_eq!(server.cache(&clock).warm(&ctx, budget).await.entries, entries, "{budget:?}");
    }
    let other = context(2);
    assert_eq!(server.cache(&clock).warm(&other, AMPLE).await.entries, 0, "each tenant has its own");
    clock.advance(MINUTE * 5);
    assert_eq!(server.cache(&clock).warm(&ctx, AMPLE).await.entries, 0, "nothing whose life is over");
}

#[tokio::test]
async fn only_catalogue_answers_are_counted_and_old_counts_fade() {
    let (server, clock) = (server().await, manual_clock());
    let cache = server.cache(&clock);
    asked(&cache).await;
    let before = names(&server).await;
    assert_eq!(before.len(), 3);
    let person = user(1).to_string();
    assert!(
        before.iter().all(|(name, _)| name.ends_with(":tenant") && !name.contains(&person)),
        "{before:?}"
    );

    let faded = format!("sd:{{{}}}:cache:popular:faded:v1", context(1).tenant_id());
    let mut connection = server.connection().await;
    let at: i64 = redis::cmd("GET").arg(&faded).query_async(&mut connection).await.unwrap();
    redis::cmd("SET").arg(&faded).arg(at - 24 * 3_600).exec_async(&mut connection).await.unwrap();
    let ctx = context(1);
    for _ in 0..8 {
        ask(&cache, &ctx, &catalogue(&ctx, "d"), "d").await;
    }
    cache.flush_popular().await;
    let after = names(&server).await;
    let (most_before, most_after) = (before[2].1, after[3].1);
    assert_eq!(after[3].0, before[2].0);
    assert!((most_after - most_before / 2.0).abs() < 0.1, "{most_before} {most_after}");
}
