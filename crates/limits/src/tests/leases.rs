//! Leases against a real Redis: no round trip while one is held, never more than the buckets admit, and hardly less.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::policy::{LimitClass, PenaltyStep, Quota};
use stagedoor_domain::{Clock, SystemClock, TenantContext};

use super::{KEY, ManualClock, Server, context, context_with, manual_clock, server, settings};
use crate::{Backend, LeaseOptions, Limiter, SharedOptions};

fn hourly(capacity: u32) -> TenantContext {
    context(1, KEY, &[(LimitClass::Api, &[Quota::per_hour(capacity)])])
}

fn leasing(server: &Server, clock: &Arc<ManualClock>, tokens: u32) -> Limiter {
    let options = SharedOptions { leases: LeaseOptions::of(tokens), minimum_replicas: 1 };
    Limiter::redis(server.link(Arc::clone(clock) as Arc<dyn Clock>), options, Arc::clone(clock) as _)
}

/// Calls until a lease is held that has just been taken; they all come within one second.
async fn warm_up(limiter: &Limiter, ctx: &TenantContext, spent: u64) {
    while limiter.counters().lease < spent {
        assert!(limiter.admit(ctx, LimitClass::Api).await.admitted);
    }
    while limiter.admit(ctx, LimitClass::Api).await.backend == Backend::Lease {}
}

#[tokio::test]
async fn a_held_lease_costs_no_round_trip_and_is_lost_when_it_is_old() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = leasing(&server, &clock, 10);
    let ctx = hourly(10_000);
    warm_up(&limiter, &ctx, 1_000).await;

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
    let (server, clock) = (server().await, manual_clock());
    let limiter = leasing(&server, &clock, 100);
    let ctx = hourly(1_000);
    for spent in 1..=5 {
        assert_eq!(limiter.admit(&ctx, LimitClass::Api).await.backend, Backend::Redis);
        assert_eq!(limiter.look(&ctx).await.buckets[0].remaining, 1_000 - spent);
        clock.advance(Duration::from_millis(400));
    }
}

#[tokio::test]
async fn a_lease_ends_with_the_quota_that_it_was_taken_under() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = leasing(&server, &clock, 10);
    warm_up(&limiter, &hourly(10_000), 1_000).await;
    let decision = limiter.admit(&hourly(100), LimitClass::Api).await;
    assert_eq!(decision.backend, Backend::Redis, "ten calls are leased, but under another quota");
    assert!(!limiter.admit(&hourly(0), LimitClass::Api).await.admitted);
}

#[tokio::test]
async fn a_lease_is_not_spent_during_a_penalty() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = leasing(&server, &clock, 10);
    let mut settings = settings(&[
        (LimitClass::Api, &[Quota::per_hour(10_000)]),
        (LimitClass::Search, &[Quota::per_hour(1)]),
    ]);
    settings.penalties = Some(vec![PenaltyStep { refusals: 2, within_seconds: 60, block_seconds: 600 }]);
    let ctx = context_with(1, KEY, settings);
    warm_up(&limiter, &ctx, 1_000).await;
    for _ in 0..3 {
        limiter.admit(&ctx, LimitClass::Search).await;
    }
    let decision = limiter.admit(&ctx, LimitClass::Api).await;
    assert_eq!((decision.admitted, decision.penalty.is_some()), (false, true));
}

#[tokio::test]
async fn calls_side_by_side_are_refused_only_when_nothing_is_left() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = leasing(&server, &clock, 100);
    let ctx = hourly(300);
    let admitted = join_all((0..400).map(|_| limiter.admit(&ctx, LimitClass::Api))).await;
    assert_eq!(admitted.iter().filter(|decision| decision.admitted).count(), 300);
    assert!(limiter.counters().lease > 100);
}

#[tokio::test]
async fn whatever_the_rhythm_at_most_a_hundredth_is_lost() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = leasing(&server, &clock, 100);
    let ctx = hourly(40_000);
    let mut admitted = 0;
    // Bursts that end in the middle of a lease, which is too old when the next one comes.
    for burst in 0..100 {
        for _ in 0..(90 + burst % 7) {
            admitted += u64::from(limiter.admit(&ctx, LimitClass::Api).await.admitted);
        }
        clock.advance(Duration::from_millis(1_100));
    }
    let left = limiter.look(&ctx).await.buckets[0].remaining;
    let lost = (40_000 - left).saturating_sub(admitted);
    // Eight at first, and the second of refill that the first lease costs a full bucket.
    assert!(lost <= admitted / 256 + 8 + 12, "{lost} of {admitted} were lost");
    assert!(limiter.counters().lease > 1_000, "{:?}", limiter.counters());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_with_leases_admit_what_the_bound_allows() {
    const CAPACITY: u32 = 2_000;
    let server = server().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ctx = hourly(CAPACITY);
    let start = clock.elapsed();
    let options = SharedOptions { leases: LeaseOptions::of(50), minimum_replicas: 1 };
    let limiters: Vec<_> = (0..2)
        .map(|_| Limiter::redis(server.link(Arc::clone(&clock)), options, Arc::clone(&clock)))
        .collect();
    let tasks = limiters.iter().flat_map(|limiter| {
        let ctx = &ctx;
        (0..8).map(move |_| async move {
            let mut admitted = 0_u32;
            for _ in 0..250 {
                admitted += u32::from(limiter.admit(ctx, LimitClass::Api).await.admitted);
            }
            admitted
        })
    });
    let admitted: u32 = join_all(tasks).await.into_iter().sum();
    let refilled = clock.elapsed().saturating_sub(start).as_micros() * u128::from(CAPACITY)
        / Duration::from_hours(1).as_micros();
    assert!(u128::from(admitted) <= u128::from(CAPACITY) + refilled, "{admitted} admitted");
    // 4,000 calls were made, so what is missing was taken ahead and not spent.
    assert!(admitted >= CAPACITY - CAPACITY / 100, "{admitted} admitted");
    assert!(limiters.iter().any(|limiter| limiter.counters().lease > 100));
}
