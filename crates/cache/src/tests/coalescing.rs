//! Single flight: one fetch for all who miss, one error for all who wait, and no wedge when the leader goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use futures_util::future::{join, join_all, pending, ready};
use tokio::sync::Notify;

use super::{acting_for, answer, ask, catalogue, context, forgiving, local, manual_clock, reuse, server};
use crate::{Fetched, Level, Outcome, Verdicts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_miss_make_one_fetch() {
    let (server, clock, ctx) = (server().await, manual_clock(), context(1));
    let cache = Arc::new(server.cache(&clock));
    let fetches = Arc::new(AtomicU32::new(0));
    let tasks = (0..1_000).map(|_| {
        let (cache, ctx, fetches) = (Arc::clone(&cache), ctx.clone(), Arc::clone(&fetches));
        #[expect(clippy::disallowed_methods, reason = "the test wants real concurrency and awaits each task")]
        tokio::spawn(async move {
            let fetch = async {
                fetches.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, ()>(answer("answer"))
            };
            cache
                .get_or_fetch(&ctx, reuse(&catalogue(&ctx, "miles")), fetch, forgiving(|()| false))
                .await
                .unwrap()
        })
    });
    let answers = join_all(tasks).await;
    assert!(answers.iter().all(|answer| &answer.as_ref().unwrap().body[..] == b"answer"));
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    let counts = cache.counters().calls.total();
    assert_eq!((counts.get(Outcome::Fetched), counts.reused()), (1, 999));
}

#[tokio::test]
async fn an_error_is_everyones_and_is_not_kept() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    let gate = Notify::new();
    let down = async {
        gate.notified().await;
        Err::<Fetched, _>("the provider is down")
    };
    let failing = cache.get_or_fetch(&ctx, reuse(&key), down, forgiving(|_| true));
    let never = async { unreachable!("it waits for the first") };
    let waiting = cache.get_or_fetch(&ctx, reuse(&key), never, forgiving(|_| true));
    let (failed, waited, ()) = tokio::join!(failing, waiting, async { gate.notify_one() });
    assert_eq!((failed, waited), (Err("the provider is down"), Err("the provider is down")));
    assert_eq!(ask(&cache, &ctx, &key, "well").await.level, Level::Fetched);
}

#[tokio::test]
async fn a_cancelled_leader_hands_over() {
    let (clock, ctx) = (manual_clock(), context(1));
    let cache = local(&clock);
    let key = catalogue(&ctx, "miles");
    let endless = pending::<Result<Fetched, ()>>();
    let mut leader = Box::pin(cache.get_or_fetch(&ctx, reuse(&key), endless, forgiving(|()| false)));
    assert!((&mut leader).now_or_never().is_none(), "it fetches for ever");
    let mut followers: Vec<_> = (0..10).map(|_| Box::pin(ask(&cache, &ctx, &key, "answer"))).collect();
    for follower in &mut followers {
        assert!(follower.now_or_never().is_none(), "it waits for the leader");
    }
    drop(leader);
    let answers = join_all(followers).await;
    assert!(answers.iter().all(|answer| &answer.body[..] == b"answer"));
    assert_eq!(answers.iter().filter(|answer| answer.level == Level::Fetched).count(), 1);
}

#[tokio::test]
async fn what_one_person_was_told_of_its_place_in_a_queue_is_nobody_elses_answer() {
    let (ctx, clock) = (context(1), manual_clock());
    let cache = local(&clock);
    let verdicts = || Verdicts { forgivable: |_: &&str| false, own: |error: &&str| *error == "queue full" };
    for (error, another, expected) in
        [("queue full", 2, Ok(())), ("queue full", 1, Err("queue full")), ("down", 2, Err("down"))]
    {
        let key = catalogue(&ctx, &format!("{error} {another}"));
        let (mine, other) = (acting_for(1, 1), acting_for(1, another));
        let refused = async {
            tokio::task::yield_now().await;
            Err(error)
        };
        let leader = cache.get_or_fetch(&mine, reuse(&key), refused, verdicts());
        let follower = cache.get_or_fetch(&other, reuse(&key), ready(Ok(answer("played"))), verdicts());
        let (led, followed) = join(leader, follower).await;
        assert_eq!(led.map(drop), Err(error));
        assert_eq!(followed.map(drop), expected, "{error} for {another}");
    }
}
