//! Answers beyond their lives: while they are fetched again, instead of an error, and when neither is allowed.

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use stagedoor_domain::policy::TtlBounds;
use stagedoor_domain::{Provider, TenantContext};

use super::{
    MINUTE, ask, catalogue, context, forgiving, local, manual_clock, playlists, put, refetch, reuse, server,
    user,
};
use crate::{Ask, Cache, Cached, Fetched, Level, Outcome};

/// The answer while the provider says nothing; `None` if the call waits for it.
fn at_once(cache: &Cache, ctx: &TenantContext, ask: Ask<'_>) -> Option<Cached> {
    cache.get_or_fetch(ctx, ask, pending::<Result<Fetched, ()>>(), forgiving(|()| true)).now_or_never()?.ok()
}

/// The answer while the provider is down.
async fn down(cache: &Cache, ctx: &TenantContext, ask: Ask<'_>) -> Result<Cached, &'static str> {
    cache.get_or_fetch(ctx, ask, ready(Err("down")), forgiving(|error| *error == "down")).await
}

#[tokio::test]
async fn a_stale_answer_is_given_at_once_and_one_caller_fetches_again() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    ask(&cache, &ctx, &key, "old").await;
    clock.advance(MINUTE + Duration::from_secs(5));
    let over = Some(Duration::from_secs(5));
    for refresh in [true, false, false] {
        let found = at_once(&cache, &ctx, reuse(&key)).unwrap();
        assert_eq!((found.level, found.stale, found.refresh), (Level::L1, over, refresh));
    }
    clock.advance(Duration::from_secs(1));
    assert!(at_once(&cache, &ctx, reuse(&key)).unwrap().refresh, "who was to fetch did not");
    assert_eq!(&put(&cache, &ctx, refetch(&key), "new").await.body[..], b"new");
    let found = at_once(&cache, &ctx, reuse(&key)).unwrap();
    assert_eq!((&found.body[..], found.stale, found.refresh), (&b"new"[..], None, false));
    assert_eq!(cache.counters().calls.total().get(Outcome::Stale), 4);
}

#[tokio::test]
async fn the_time_for_it_ends_and_is_no_longer_than_the_life() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let (long, short) = (catalogue(&ctx, "long"), catalogue(&ctx, "short"));
    let of = |key, life| Ask { ttl: TtlBounds::set(life), ..reuse(key) };
    let quarter = Duration::from_secs(15);
    put(&cache, &ctx, of(&long, MINUTE * 5), "").await;
    put(&cache, &ctx, of(&short, quarter), "").await;
    clock.advance(Duration::from_millis(29_999));
    assert!(at_once(&cache, &ctx, of(&short, quarter)).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(at_once(&cache, &ctx, of(&short, quarter)).is_none());
    clock.advance(Duration::from_millis(329_999));
    assert!(at_once(&cache, &ctx, of(&long, MINUTE * 5)).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(at_once(&cache, &ctx, of(&long, MINUTE * 5)).is_none());
}

#[tokio::test]
async fn a_replica_that_knows_nothing_finds_the_stale_answer_in_redis() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    server.cache(&clock).account_generation(&ctx, user(1), Provider::Spotify).await.unwrap();
    server.know_all_holders().await;
    for key in [catalogue(&ctx, "miles"), playlists(&ctx, 1)] {
        ask(&server.cache(&clock), &ctx, &key, "old").await;
        clock.advance(MINUTE + Duration::from_secs(5));
        let other = server.cache(&clock);
        let found = ask(&other, &ctx, &key, "new").await;
        assert_eq!((found.level, found.stale.is_some(), found.refresh), (Level::L2, true, true));
        assert!(!ask(&other, &ctx, &key, "new").await.refresh);
    }
}

#[tokio::test]
async fn instead_of_a_forgivable_error_there_is_the_old_answer_for_a_day() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let key = catalogue(&ctx, "miles");
    ask(&one, &ctx, &key, "old").await;
    clock.advance(MINUTE * 3);
    for cache in [&one, &two] {
        let rescued = down(cache, &ctx, reuse(&key)).await.unwrap();
        assert_eq!((rescued.level, &rescued.body[..]), (Level::Stale, &b"old"[..]));
        assert_eq!((rescued.stale, rescued.refresh), (Some(MINUTE * 2), false));
        assert_eq!(cache.counters().calls.total().get(Outcome::Rescued), 1);
    }
    let gone = one
        .get_or_fetch(&ctx, reuse(&key), ready(Err("forbidden")), forgiving(|error| *error == "down"))
        .await;
    assert_eq!(gone, Err("forbidden"), "not every error may be hidden");
    assert_eq!(down(&one, &ctx, refetch(&key)).await, Err("down"), "a refetch wants to know");
    clock.advance(Duration::from_mins(24 * 60 - 3) + Duration::from_millis(59_999));
    assert!(down(&one, &ctx, reuse(&key)).await.is_ok());
    clock.advance(Duration::from_millis(1));
    for cache in [&one, &two] {
        assert_eq!(down(cache, &ctx, reuse(&key)).await, Err("down"));
    }
}

#[tokio::test]
async fn all_who_waited_for_the_failing_fetch_get_the_old_answer() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    ask(&cache, &ctx, &key, "old").await;
    clock.advance(MINUTE * 3);
    let fetches = (0..10).map(|_| {
        let failing = async {
            tokio::task::yield_now().await;
            Err("down")
        };
        cache.get_or_fetch(&ctx, reuse(&key), failing, forgiving(|_| true))
    });
    for rescued in join_all(fetches).await {
        assert_eq!(rescued.unwrap().level, Level::Stale);
    }
}

#[tokio::test]
async fn no_answer_is_older_than_the_person_wants_but_instead_of_an_error() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    let within = |seconds| Ask { oldest: Some(Duration::from_secs(seconds)), ..reuse(&key) };
    ask(&cache, &ctx, &key, "old").await;
    clock.advance(MINUTE + Duration::from_secs(5));
    assert!(at_once(&cache, &ctx, within(66)).unwrap().stale.is_some());
    assert_eq!(at_once(&cache, &ctx, within(65)), None);
    assert_eq!(at_once(&cache, &ctx, within(0)), None);
    let rescued = down(&cache, &ctx, within(10)).await.unwrap();
    assert_eq!((rescued.level, rescued.stale), (Level::Stale, Some(Duration::from_secs(5))));
}

#[tokio::test]
async fn what_does_not_exist_is_remembered_for_ten_to_thirty_seconds() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let one = server.cache(&clock);
    let mut lives = Vec::new();
    for number in 0..20 {
        let key = catalogue(&ctx, &number.to_string());
        let absent = || ready(Ok::<_, ()>(Fetched::Absent { body: "no such thing".into() }));
        let told = one.get_or_fetch(&ctx, reuse(&key), absent(), forgiving(|()| true)).await.unwrap();
        assert_eq!((told.level, told.absent), (Level::Fetched, true));
        let found = ask(&server.cache(&clock), &ctx, &key, "").await;
        assert_eq!((found.level, found.absent, &found.body[..]), (Level::L2, true, &b"no such thing"[..]));
        assert_eq!(ask(&one, &ctx, &key, "").await.level, Level::L1);

        let life = one.level_one.get(&key.render(None)).await.unwrap().entry.life;
        let left: i64 = redis::cmd("PTTL")
            .arg(key.render(None))
            .query_async(&mut server.connection().await)
            .await
            .unwrap();
        assert!(left > 0 && u128::try_from(left).unwrap() <= life.as_millis());
        clock.advance(life);
        assert_eq!(at_once(&one, &ctx, reuse(&key)), None, "it is never given stale");
        assert_eq!(down(&one, &ctx, reuse(&key)).await, Err("down"));
        lives.push(life);
    }
    lives.sort_unstable();
    let spread = Duration::from_secs(10)..=Duration::from_secs(30);
    assert!(lives.iter().all(|life| spread.contains(life)) && lives[0] != lives[19], "{lives:?}");
    assert_eq!(one.counters().calls.total().get(Outcome::Negative), 20);
}
