//! How lives are learned: longer for what is found unchanged, shorter for what is found changed, on all replicas; and
//! fetching again early.

use std::time::Duration;

use proptest::prelude::*;
use stagedoor_domain::TenantContext;

use super::{
    BOUNDS, MINUTE, ManualClock, answer, ask, catalogue, context, draws, forgiving, local, local_with,
    manual_clock, peek, put, refetch, reuse, server,
};
use crate::lifetimes::{due_early, next_life};
use crate::{Ask, Cache, CacheKey, Level};

async fn life(cache: &Cache, key: &CacheKey) -> Duration {
    cache.level_one.get(&key.render(None)).await.unwrap().entry.life
}

/// The life that the answer has after it was found again when it could not be used any longer.
async fn after_its_life(
    cache: &Cache,
    clock: &ManualClock,
    (ctx, key): (&TenantContext, &CacheKey),
    body: &str,
) -> u64 {
    clock.advance(life(cache, key).await * 2);
    assert_eq!(ask(cache, ctx, key, body).await.level, Level::Fetched);
    life(cache, key).await.as_millis().try_into().unwrap()
}

#[tokio::test]
async fn what_does_not_change_lives_longer_and_what_changes_shorter_within_the_bounds() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    ask(&cache, &ctx, &key, "same").await;
    assert_eq!(life(&cache, &key).await, BOUNDS.first);
    for longer in [90_000, 135_000, 202_500, 240_000, 240_000] {
        assert_eq!(after_its_life(&cache, &clock, (&ctx, &key), "same").await, longer);
    }
    for (version, shorter) in [120_000, 60_000, 30_000, 15_000, 15_000].into_iter().enumerate() {
        let other = version.to_string();
        assert_eq!(after_its_life(&cache, &clock, (&ctx, &key), &other).await, shorter);
    }
}

#[tokio::test]
async fn what_one_replica_learned_the_next_one_knows() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let key = catalogue(&ctx, "miles");
    let one = server.cache(&clock);
    ask(&one, &ctx, &key, "same").await;
    assert_eq!(after_its_life(&one, &clock, (&ctx, &key), "same").await, 90_000);

    let two = server.cache(&clock);
    clock.advance(Duration::from_secs(89));
    assert_eq!(peek(&two, &ctx, &key).await.map(|found| (found.level, found.stale)), Some((Level::L2, None)));
    let three = server.cache(&clock);
    clock.advance(Duration::from_mins(10));
    assert_eq!(ask(&three, &ctx, &key, "same").await.level, Level::Fetched);
    assert_eq!(life(&three, &key).await, Duration::from_secs(135));
}

#[tokio::test]
async fn an_early_refetch_and_a_late_change_say_little() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    ask(&cache, &ctx, &key, "same").await;
    for _ in 0..5 {
        clock.advance(Duration::from_secs(29));
        assert_eq!(put(&cache, &ctx, refetch(&key), "same").await.level, Level::Fetched);
        assert_eq!(life(&cache, &key).await, MINUTE, "not half of the life was over");
    }
    clock.advance(MINUTE * 4 + Duration::from_millis(1));
    ask(&cache, &ctx, &key, "other").await;
    assert_eq!(life(&cache, &key).await, MINUTE, "one change in four lives");
}

#[tokio::test]
async fn a_persons_wish_for_young_answers_shortens_nobodys_lives() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    let young = Ask { oldest: Some(Duration::from_secs(10)), ..reuse(&key) };
    put(&cache, &ctx, young, "same").await;
    assert_eq!(life(&cache, &key).await, BOUNDS.first);
    clock.advance(Duration::from_secs(9));
    assert_eq!(put(&cache, &ctx, young, "").await.level, Level::L1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&cache, &ctx, &key, "").await.level, Level::L1, "the others' is as good as before");
    assert_eq!(put(&cache, &ctx, young, "same").await.level, Level::Fetched);
}

#[tokio::test]
async fn shortly_before_its_end_an_answer_is_fetched_again_by_one_caller() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let draws = draws();
    let cache = local_with(&clock, &draws);
    let key = catalogue(&ctx, "miles");
    let slow = async {
        clock.advance(Duration::from_secs(1));
        Ok::<_, ()>(answer("same"))
    };
    cache.get_or_fetch(&ctx, reuse(&key), slow, forgiving(|()| false)).await.unwrap();
    clock.advance(Duration::from_secs(45));
    let early = async || ask(&cache, &ctx, &key, "").await.refresh;
    assert!(!early().await, "the draw decides");
    // −ln of this draw is 16: an answer whose fetch took a second is due sixteen seconds before its end.
    draws.set(483);
    assert!(early().await);
    assert!(!early().await, "one is enough");
    assert_eq!(cache.counters().early_refreshes, 1);
    put(&cache, &ctx, refetch(&key), "same").await;
    assert!(!early().await);
    drop(server);
}

#[tokio::test]
async fn another_replica_knows_how_long_a_fetch_took() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let key = catalogue(&ctx, "miles");
    let slow = async {
        clock.advance(Duration::from_secs(1));
        Ok::<_, ()>(answer("same"))
    };
    server.cache(&clock).get_or_fetch(&ctx, reuse(&key), slow, forgiving(|()| false)).await.unwrap();
    clock.advance(Duration::from_secs(50));
    let draws = draws();
    draws.set(483);
    let cache = server.cache_drawing(&clock, &draws);
    let found = ask(&cache, &ctx, &key, "").await;
    assert_eq!((found.level, found.refresh), (Level::L2, true));
}

proptest! {
    #[test]
    fn no_life_leaves_its_bounds(
        lives in prop::array::uniform4(1_u64..100_000),
        age in 0_u64..10_000_000,
        same: bool,
    ) {
        let [shortest, spread, above, before] = lives.map(Duration::from_millis);
        let bounds = stagedoor_domain::policy::TtlBounds {
            shortest,
            first: shortest + spread,
            longest: shortest + spread + above,
        };
        let entry = super::entry(before, [0; 32]);
        let fingerprint = if same { [0; 32] } else { [1; 32] };
        let life = next_life(bounds, Some((&entry, Duration::from_millis(age))), &fingerprint);
        prop_assert!(bounds.shortest <= life && life <= bounds.longest);
        if same {
            prop_assert!(life >= before.min(bounds.longest));
        } else {
            prop_assert!(life <= before.max(bounds.shortest));
        }
    }

    #[test]
    fn the_nearer_the_end_the_likelier_an_early_fetch(left in 0_u64..100_000, took in 1_u64..5_000, draw: u32) {
        let draws = draws();
        draws.set(draw);
        let due = |left: u64, took: u64| {
            due_early(Duration::from_millis(left), Duration::from_millis(took), draws.as_ref())
        };
        if due(left, took) {
            prop_assert!(due(left / 2, took) && due(left, took * 2));
        }
        prop_assert!(!due(took * 23 + 1, took));
        prop_assert!(!due(left, 0));
    }
}
