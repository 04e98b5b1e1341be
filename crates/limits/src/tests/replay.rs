//! The script in a real Redis, asked by clients side by side, replayed in the order of the server's time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{Clock, SystemClock, TenantContext};

use super::model::Model;
use super::{KEY, context, manual_clock, server};
use crate::gcra::Arrival;
use crate::local::LocalBuckets;
use crate::plan::{Plan, Rate};
use crate::script::{BucketScript, Taken};

const CLIENTS: u64 = 2;
const TASKS: u64 = 8;
const CALLS: u64 = 500;

struct Seen {
    class: LimitClass,
    cost: u64,
    taken: Taken,
}

fn quotas() -> TenantContext {
    let millis = |capacity, window| Quota { capacity, window: Duration::from_millis(window) };
    context(
        1,
        KEY,
        &[
            (LimitClass::Api, &[millis(97, 50), millis(1_009, 1_000)]),
            (LimitClass::Search, &[millis(31, 20)]),
            (LimitClass::Playlist, &[millis(7, 3), millis(211, 700)]),
        ],
    )
}

fn rates(ctx: &TenantContext, class: LimitClass) -> Arc<[Rate]> {
    match Plan::of(ctx, class) {
        Plan::Count(rates) => rates,
        Plan::Closed(..) => panic!("no quota is zero"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_the_twin_and_the_model_decide_alike() {
    let server = server().await;
    let ctx = quotas();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut tasks = Vec::new();
    for client in 0..CLIENTS {
        let link = server.link(Arc::clone(&clock));
        let script = Arc::new(BucketScript::new());
        for task in 0..TASKS {
            let (link, script, ctx) = (Arc::clone(&link), Arc::clone(&script), ctx.clone());
            tasks.push(async move {
                let mut seen = Vec::new();
                for call in 0..CALLS {
                    let class = [LimitClass::Api, LimitClass::Search, LimitClass::Playlist]
                        [usize::try_from((client + task + call * 7) % 3).unwrap()];
                    let cost = 1 + (call + task) % 3;
                    let taken = script.take(&link, &ctx, &rates(&ctx, class), cost, 0).await.unwrap();
                    seen.push(Seen { class, cost, taken });
                }
                seen
            });
        }
    }
    let mut seen: Vec<Seen> = join_all(tasks).await.into_iter().flatten().collect();
    // Every call counts on the first `api` bucket, so within one microsecond its state tells the order; a
    // refusal leaves the state and comes after the call that made it.
    seen.sort_by_key(|seen| (seen.taken.now, state(&seen.taken.arrivals[0]), seen.taken.calls == 0));

    let twin_clock = manual_clock();
    let twin = LocalBuckets::new(Arc::clone(&twin_clock) as Arc<dyn Clock>);
    let mut model = Model::default();
    for Seen { class, cost, taken } in &seen {
        let rates = rates(&ctx, *class);
        let quotas: Vec<_> = rates.iter().map(|rate| (rate.class, rate.quota)).collect();
        assert_eq!(taken.calls > 0, model.admit(&quotas, *cost, taken.now), "at {}", taken.now);
        twin_clock.set_micros(taken.now);
        assert_eq!(&twin.take(&ctx, &rates, *cost), taken);
    }
    let admitted = seen.iter().filter(|seen| seen.taken.calls > 0).count();
    assert!(admitted > 100 && admitted < seen.len(), "both answers must occur: {admitted} of {}", seen.len());
}

#[tokio::test]
async fn extra_calls_are_given_as_far_as_every_bucket_has_room() {
    let server = server().await;
    let link = server.link(Arc::new(SystemClock::new()));
    let script = BucketScript::new();
    let hour = |capacity| [Quota::per_hour(capacity)];
    let ctx = context(1, KEY, &[(LimitClass::Api, &hour(20)), (LimitClass::Search, &hour(7))]);
    let search = rates(&ctx, LimitClass::Search);
    assert_eq!(script.take(&link, &ctx, &search, 1, 3).await.unwrap().calls, 4);
    assert_eq!(script.take(&link, &ctx, &search, 1, 100).await.unwrap().calls, 3);
    let refused = script.take(&link, &ctx, &search, 1, 100).await.unwrap();
    assert_eq!(refused.calls, 0);
    assert_eq!(script.take(&link, &ctx, &search, 0, 0).await.unwrap().arrivals, refused.arrivals);
    let api = rates(&ctx, LimitClass::Api);
    assert_eq!(script.take(&link, &ctx, &api, 1, 100).await.unwrap().calls, 13);
}

#[tokio::test]
async fn buckets_end_with_their_refill_and_the_script_is_loaded_again_when_lost() {
    let server = server().await;
    let link = server.link(Arc::new(SystemClock::new()));
    let script = BucketScript::new();
    let ctx = context(7, KEY, &[(LimitClass::Api, &[Quota::per_minute(60)])]);
    let api = rates(&ctx, LimitClass::Api);
    script.take(&link, &ctx, &api, 30, 0).await.unwrap();
    let life: i64 = link
        .run(|mut connection| async move {
            redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await?;
            let key = "sd:{00000000-0000-0000-0000-000000000007}:limit:api:key:AAAAAAAAAAAA:60";
            redis::cmd("PTTL").arg(key).query_async(&mut connection).await
        })
        .await
        .unwrap();
    assert!((1..=30_001).contains(&life), "30 of 60 calls a minute refill in 30 s, the key lives {life} ms");
    assert_eq!(script.take(&link, &ctx, &api, 1, 0).await.unwrap().calls, 1);
}

fn state(arrival: &Arrival) -> (u64, u64) {
    (arrival.whole, arrival.part)
}
