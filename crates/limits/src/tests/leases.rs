//! Leases against a real Redis: no round trip while one is held, and never more than the buckets admit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{Clock, SystemClock, TenantContext};

use super::{KEY, context, manual_clock, server};
use crate::{Backend, LeaseOptions, Limiter, SharedOptions};

fn hourly(capacity: u32) -> TenantContext {
    context(1, KEY, &[(LimitClass::Api, &[Quota::per_hour(capacity)])])
}

fn leasing(tokens: u32) -> SharedOptions {
    SharedOptions { leases: LeaseOptions::of(tokens), replicas: 1 }
}

#[tokio::test]
async fn a_held_lease_costs_no_round_trip_and_is_lost_when_it_is_old() {
    let server = server().await;
    let clock = manual_clock();
    let limiter = Limiter::redis(
        server.link(Arc::clone(&clock) as Arc<dyn Clock>),
        leasing(10),
        Arc::clone(&clock) as _,
    );
    let ctx = hourly(10_000);
    // The part that is taken ahead grows with the calls seen; 80 calls justify 10.
    while limiter.admit(&ctx, LimitClass::Api).await.backend == Backend::Redis
        || limiter.counters().lease < 80
    {}
    while limiter.admit(&ctx, LimitClass::Api).await.backend == Backend::Lease {}

    let before = limiter.counters();
    for left in (0..10).rev() {
        let decision = limiter.admit(&ctx, LimitClass::Api).await;
        assert_eq!((decision.admitted, decision.backend), (true, Backend::Lease));
        assert!(decision.binding.unwrap().remaining >= left, "what is leased is still to be had");
    }
    assert_eq!(limiter.counters().redis_trips, before.redis_trips);
    assert_eq!(limiter.admit(&ctx, LimitClass::Api).await.backend, Backend::Redis, "it is spent");

    clock.advance(Duration::from_secs(1));
    assert_eq!(limiter.admit(&ctx, LimitClass::Api).await.backend, Backend::Redis, "it is too old");
}

#[tokio::test]
async fn a_quiet_principal_takes_nothing_ahead() {
    let server = server().await;
    let clock = manual_clock();
    let limiter = Limiter::redis(
        server.link(Arc::clone(&clock) as Arc<dyn Clock>),
        leasing(100),
        Arc::clone(&clock) as _,
    );
    let ctx = hourly(1_000);
    for spent in 1..=5 {
        assert_eq!(limiter.admit(&ctx, LimitClass::Api).await.backend, Backend::Redis);
        assert_eq!(limiter.look(&ctx, LimitClass::Api).await[0].remaining, 1_000 - spent);
        clock.advance(Duration::from_millis(400));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_with_leases_never_admit_more_than_the_bound() {
    const CAPACITY: u32 = 2_000;
    let server = server().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ctx = hourly(CAPACITY);
    let start = clock.elapsed();
    let tasks = (0..2).flat_map(|_| {
        let limiter =
            Arc::new(Limiter::redis(server.link(Arc::clone(&clock)), leasing(50), Arc::clone(&clock)));
        let ctx = &ctx;
        (0..8).map(move |_| {
            let limiter = Arc::clone(&limiter);
            async move {
                let mut admitted = 0_u32;
                for _ in 0..250 {
                    admitted += u32::from(limiter.admit(ctx, LimitClass::Api).await.admitted);
                }
                admitted
            }
        })
    });
    let admitted: u32 = join_all(tasks).await.into_iter().sum();
    let refilled = clock.elapsed().saturating_sub(start).as_micros() * u128::from(CAPACITY)
        / Duration::from_hours(1).as_micros();
    assert!(u128::from(admitted) <= u128::from(CAPACITY) + refilled, "{admitted} admitted");
    // 4,000 calls were made, so only what lies in leases at the end may be missing: 50 for each replica and task.
    assert!(admitted >= CAPACITY - 800, "{admitted} admitted");
}
