//! Fetching again and fetching ahead, beside the calls.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use stagedoor_domain::policy::TtlBounds;
use tokio::sync::Notify;

use super::{
    MINUTE, answer, ask, catalogue, context, forgiving, local, manual_clock, peek, put, refetch, reuse,
    server,
};
use crate::{Ask, Fetched, Level, Mode, Outcome};

#[tokio::test]
async fn many_who_want_it_fetched_again_fetch_it_once() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    ask(&cache, &ctx, &key, "old").await;
    let fetches = AtomicU32::new(0);
    let refetches = (0..100).map(|_| {
        let fetch = async {
            fetches.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, ()>(answer("new"))
        };
        cache.get_or_fetch(&ctx, refetch(&key), fetch, forgiving(|()| true))
    });
    for found in join_all(refetches).await {
        assert_eq!(
            &found.unwrap().body[..],
            b"new",
            "the clock stands still, and yet the old one does not count"
        );
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    let calls = cache.counters().calls.total();
    assert_eq!((calls.get(Outcome::Refreshed), calls.calls()), (1, 1), "a refetch is no call");
    for _ in 0..3 {
        ask(&cache, &ctx, &key, "").await;
    }
    let calls = cache.counters().calls.total();
    assert_eq!((calls.reused(), calls.saved()), (3, 2), "but it costs one");
}

#[tokio::test]
async fn a_refetch_takes_no_answer_of_before_from_anyone() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let (one, two) = (server.cache(&clock), server.cache(&clock));
    let key = catalogue(&ctx, "miles");
    ask(&one, &ctx, &key, "old").await;
    // This replica has no copy, so what is in Redis is what there was before.
    assert_eq!(&put(&two, &ctx, refetch(&key), "newer").await.body[..], b"newer");
    clock.advance(Duration::from_secs(1));
    assert_eq!(&put(&two, &ctx, refetch(&key), "newest").await.body[..], b"newest");
    // The other one has an older copy: that has been fetched again meanwhile.
    let found = put(&one, &ctx, refetch(&key), "never fetched").await;
    assert_eq!((found.level, &found.body[..]), (Level::L2, &b"newest"[..]));
    assert_eq!(&put(&one, &ctx, refetch(&key), "last").await.body[..], b"last", "but that counts once");
    assert_eq!(&ask(&two, &ctx, &key, "").await.body[..], b"newest");
}

#[tokio::test]
async fn a_redis_that_fell_back_gives_nothing_older_than_what_was_given_here() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let key = catalogue(&ctx, "miles");
    let of = |life| Ask { ttl: TtlBounds::set(life), ..reuse(&key) };
    put(&cache, &ctx, of(MINUTE * 4), "old").await;
    let [name] = &server.answer_keys().await[..] else { panic!("one entry was stored") };
    let old = server.bytes(name).await;
    clock.advance(Duration::from_secs(1));
    put(&cache, &ctx, Ask { mode: Mode::Refetch, ..of(Duration::from_secs(15)) }, "new").await;
    clock.advance(MINUTE);
    server.overwrite(name, &old).await;
    assert_eq!(&put(&cache, &ctx, of(MINUTE * 4), "newest").await.body[..], b"newest");
}

#[tokio::test]
async fn what_lost_its_turn_while_it_was_fetched_is_given_once_and_not_kept() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let key = catalogue(&ctx, "miles");
    let text = key.render(None);
    ask(&cache, &ctx, &key, "old").await;
    let slow = Box::pin(async {
        server.overwrite(&text.replace(":cache:", ":flight:"), b"another replica:1").await;
        Ok::<_, ()>(answer("late"))
    });
    let late = cache.get_or_fetch(&ctx, refetch(&key), slow, forgiving(|()| false)).await.unwrap();
    assert_eq!((late.level, &late.body[..]), (Level::Fetched, &b"late"[..]));
    assert!(cache.level_one.get(&text).await.is_none(), "the other replica's counts now");
    assert_eq!(&peek(&cache, &ctx, &key).await.unwrap().body[..], b"old", "nothing was stored");
    assert_eq!(cache.counters().flights.fenced_out, 1);
}

#[tokio::test]
async fn a_refetch_joins_the_fetch_that_is_under_way() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    let gate = Notify::new();
    let first = async {
        gate.notified().await;
        Ok::<_, ()>(answer("answer"))
    };
    let call = cache.get_or_fetch(&ctx, reuse(&key), first, forgiving(|()| false));
    let joined =
        cache.get_or_fetch(&ctx, refetch(&key), pending::<Result<Fetched, ()>>(), forgiving(|()| false));
    let (call, joined, ()) = tokio::join!(call, joined, async { gate.notify_one() });
    assert_eq!((call.unwrap().level, joined.unwrap().level), (Level::Fetched, Level::Coalesced));
}

#[tokio::test]
async fn what_is_refused_beside_the_calls_is_no_calls_error() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    for mode in [Mode::Refetch, Mode::Ahead] {
        let gate = Notify::new();
        let refused = async {
            gate.notified().await;
            Err("background work has to wait")
        };
        let beside = cache.get_or_fetch(&ctx, Ask { mode, ..reuse(&key) }, refused, forgiving(|_| true));
        let own = ready(Ok::<_, &str>(answer("answer")));
        let call = cache.get_or_fetch(&ctx, reuse(&key), own, forgiving(|_| true));
        let (beside, call, ()) = tokio::join!(beside, call, async { gate.notify_one() });
        assert_eq!(beside, Err("background work has to wait"));
        assert_eq!(call.unwrap().level, Level::Fetched);
        clock.advance(MINUTE * 3);
    }
}

#[tokio::test]
async fn what_is_fetched_ahead_is_no_call_until_it_is_asked_for() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = server.cache(&clock);
    let key = catalogue(&ctx, "miles, page 2");
    let ahead = Ask { mode: Mode::Ahead, ..reuse(&key) };
    assert_eq!(put(&cache, &ctx, ahead, "page").await.level, Level::Fetched);
    assert_eq!(put(&cache, &ctx, ahead, "").await.level, Level::L1);
    assert_eq!(put(&server.cache(&clock), &ctx, ahead, "").await.level, Level::L2);
    let calls = cache.counters().calls.total();
    assert_eq!((calls.get(Outcome::Prefetched), calls.calls()), (1, 0));
    assert_eq!(peek(&cache, &ctx, &key).await.unwrap().level, Level::L1);
    assert_eq!(cache.counters().calls.total().ratio(), Some(1.0));

    clock.advance(MINUTE);
    let beside = cache
        .get_or_fetch(&ctx, ahead, pending::<Result<Fetched, ()>>(), forgiving(|()| true))
        .now_or_never();
    assert_eq!(beside, None, "a stale answer is none that was fetched ahead");
    assert!(peek(&cache, &ctx, &key).await.unwrap().refresh, "nobody was asked to fetch it again yet");
    clock.advance(MINUTE * 3);
    let failed = cache.get_or_fetch(&ctx, ahead, ready(Err(())), forgiving(|()| true)).await;
    assert_eq!(failed, Err(()));
}
