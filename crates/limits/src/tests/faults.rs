//! Redis killed, frozen, restarted empty: the limiter goes on at its share and comes back by itself.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{Clock, SystemClock, TenantContext};

use super::{KEY, context, manual_clock, server};
use crate::{Backend, LeaseOptions, Limiter, SharedOptions};

const FOUR_REPLICAS: SharedOptions = SharedOptions { leases: LeaseOptions::OFF, minimum_replicas: 4 };

fn hourly(capacity: u32) -> TenantContext {
    context(1, KEY, &[(LimitClass::Api, &[Quota::per_hour(capacity)])])
}

async fn admit_until(limiter: &Limiter, ctx: &TenantContext, backend: Backend) {
    while limiter.admit(ctx, LimitClass::Api).await.backend != backend {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_killed_redis_means_this_replicas_share_until_it_is_back() {
    let server = server().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let limiter = Limiter::redis(server.impatient_link(Arc::clone(&clock)), FOUR_REPLICAS, clock);
    let ctx = hourly(40);
    admit_until(&limiter, &ctx, Backend::Redis).await;

    server.redis.kill().await;
    let mut admitted = 0;
    loop {
        let decision = limiter.admit(&ctx, LimitClass::Api).await;
        assert_eq!(decision.backend, Backend::Degraded);
        if !decision.admitted {
            break;
        }
        admitted += 1;
    }
    assert_eq!(admitted, 10, "a quarter of 40");
    assert_eq!(limiter.look(&ctx).await.buckets[0].quota.capacity, 10);

    server.redis.restart().await.unwrap();
    admit_until(&limiter, &ctx, Backend::Redis).await;
    assert!(limiter.look(&ctx).await.buckets[0].remaining < 40, "an empty Redis counts again");
}

#[tokio::test]
async fn a_frozen_redis_is_waited_for_once_and_probed_after_the_pause() {
    let server = server().await;
    let clock = manual_clock();
    let link = server.impatient_link(Arc::clone(&clock) as Arc<dyn Clock>);
    let limiter = Limiter::redis(link, FOUR_REPLICAS, Arc::clone(&clock) as _);
    let ctx = hourly(10_000);
    while limiter.admit(&ctx, LimitClass::Api).await.backend != Backend::Redis {
        clock.advance(Duration::from_secs(1));
    }

    server.redis.pause();
    let before = limiter.counters().redis_trips;
    for _ in 0..100 {
        assert_eq!(limiter.admit(&ctx, LimitClass::Api).await.backend, Backend::Degraded);
    }
    assert_eq!(limiter.counters().redis_trips, before + 1, "the breaker lets one call wait, not all");

    server.redis.resume();
    assert_eq!(
        limiter.admit(&ctx, LimitClass::Api).await.backend,
        Backend::Degraded,
        "not before the pause is over"
    );
    while limiter.admit(&ctx, LimitClass::Api).await.backend != Backend::Redis {
        clock.advance(Duration::from_millis(500));
    }
}

#[tokio::test]
async fn a_redis_that_never_was_does_not_stop_the_start() {
    let clock = manual_clock();
    let server = server().await;
    server.redis.kill().await;
    let link = server.impatient_link(Arc::clone(&clock) as Arc<dyn Clock>);
    let limiter = Limiter::redis(link, SharedOptions::default(), clock);
    let decision = limiter.admit(&hourly(10), LimitClass::Api).await;
    assert_eq!((decision.admitted, decision.backend), (true, Backend::Degraded));
}
