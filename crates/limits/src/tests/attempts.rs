//! Failed authentications: an exact log per network, strict without Redis too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{Clock, ErrorCode, TenantId};
use uuid::Uuid;

use super::{manual_clock, server};
use crate::{AttemptGuard, AttemptPolicy, Attempts};

fn attempts(tenant: u128, address: &str) -> Attempts {
    Attempts::new(TenantId(Uuid::from_u128(tenant)), address.parse::<IpAddr>().unwrap())
}

async fn fail(guard: &AttemptGuard, attempts: &Attempts, times: u32) {
    for _ in 0..times {
        guard.record_failure(attempts).await.unwrap();
    }
}

async fn sixth_is_refused_and_nobody_else(guard: &AttemptGuard) {
    fail(guard, &attempts(1, "2001:db8::1"), 5).await;
    let error = guard.record_failure(&attempts(1, "2001:db8::ffff")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TooManyAttempts, "the same /64");
    let wait = error.retry_after.unwrap();
    assert!(wait > Duration::from_secs(800) && wait <= Duration::from_mins(15), "{wait:?}");
    for other in [attempts(2, "2001:db8::1"), attempts(1, "2001:db8:0:1::1"), attempts(1, "192.0.2.1")] {
        fail(guard, &other, 1).await;
    }
    fail(guard, &attempts(1, "::ffff:192.0.2.9"), 5).await;
    assert!(guard.record_failure(&attempts(1, "192.0.2.9")).await.is_err(), "one IPv4 address has one form");
    fail(guard, &attempts(1, "192.0.2.10"), 1).await;
}

#[tokio::test]
async fn in_this_process() {
    sixth_is_refused_and_nobody_else(&AttemptGuard::local(AttemptPolicy::default(), manual_clock())).await;
}

#[tokio::test]
async fn in_redis_for_all_replicas() {
    let server = server().await;
    let clock: Arc<dyn Clock> = manual_clock();
    let guard =
        || AttemptGuard::redis(server.link(Arc::clone(&clock)), AttemptPolicy::default(), Arc::clone(&clock));
    sixth_is_refused_and_nobody_else(&guard()).await;
    assert!(guard().record_failure(&attempts(1, "2001:db8::1")).await.is_err(), "another replica knows");
}

#[tokio::test]
async fn the_window_slides() {
    let clock = manual_clock();
    let guard = AttemptGuard::local(AttemptPolicy::default(), Arc::clone(&clock) as Arc<dyn Clock>);
    let tried = attempts(1, "192.0.2.1");
    for _ in 0..5 {
        fail(&guard, &tried, 1).await;
        clock.advance(Duration::from_mins(1));
    }
    clock.advance(Duration::from_mins(10));
    fail(&guard, &tried, 1).await;
    let error = guard.record_failure(&tried).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_mins(1)));
}

#[tokio::test]
async fn without_redis_the_limit_stays_strict() {
    let server = server().await;
    let clock: Arc<dyn Clock> = manual_clock();
    let guard = AttemptGuard::redis(server.link(Arc::clone(&clock)), AttemptPolicy::default(), clock);
    let tried = attempts(1, "192.0.2.1");
    fail(&guard, &tried, 3).await;
    server.redis.kill().await;
    fail(&guard, &tried, 2).await;
    assert!(
        guard.record_failure(&tried).await.is_err(),
        "failures before and during the outage count together"
    );
}
