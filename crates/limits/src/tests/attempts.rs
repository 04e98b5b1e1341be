//! Failed authentications: an exact log, per credential and network, strict without Redis too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{Clock, ErrorCode, TenantId};
use uuid::Uuid;

use super::{KEY, manual_clock, server};
use crate::{AttemptGuard, AttemptPolicy, AttemptSubject, Attempts};

fn attempts(tenant: u128, subject: &str, address: &str) -> Attempts {
    let subject = subject.parse().map_or(AttemptSubject::Unknown, AttemptSubject::Key);
    Attempts::new(TenantId(Uuid::from_u128(tenant)), subject, address.parse::<IpAddr>().unwrap())
}

async fn fail(guard: &AttemptGuard, attempts: &Attempts, times: u32) {
    for _ in 0..times {
        guard.check(attempts).await.unwrap();
        guard.record_failure(attempts).await.unwrap();
    }
}

async fn sixth_is_refused_and_nobody_else(guard: &AttemptGuard) {
    let tried = attempts(1, KEY, "2001:db8::1");
    fail(guard, &tried, 5).await;
    let error = guard.check(&tried).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TooManyAttempts);
    let wait = error.retry_after.unwrap();
    assert!(wait > Duration::from_secs(800) && wait <= Duration::from_mins(15), "{wait:?}");
    assert!(guard.check(&attempts(1, KEY, "2001:db8::ffff")).await.is_err(), "the same /64");
    for other in [
        attempts(2, KEY, "2001:db8::1"),
        attempts(1, "BBBBBBBBBBBB", "2001:db8::1"),
        attempts(1, "unknown", "2001:db8::1"),
        attempts(1, KEY, "2001:db8:0:1::1"),
        attempts(1, KEY, "192.0.2.1"),
    ] {
        guard.check(&other).await.unwrap();
    }
    let mapped = attempts(1, KEY, "::ffff:192.0.2.9");
    fail(guard, &mapped, 5).await;
    assert!(guard.check(&attempts(1, KEY, "192.0.2.9")).await.is_err(), "one IPv4 address has one form");
    guard.check(&attempts(1, KEY, "192.0.2.10")).await.unwrap();
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
    assert!(guard().check(&attempts(1, KEY, "2001:db8::1")).await.is_err(), "another replica knows");
}

#[tokio::test]
async fn the_window_slides() {
    let clock = manual_clock();
    let guard = AttemptGuard::local(AttemptPolicy::default(), Arc::clone(&clock) as Arc<dyn Clock>);
    let tried = attempts(1, KEY, "192.0.2.1");
    for _ in 0..5 {
        fail(&guard, &tried, 1).await;
        clock.advance(Duration::from_mins(1));
    }
    assert_eq!(guard.check(&tried).await.unwrap_err().retry_after, Some(Duration::from_mins(10)));
    clock.advance(Duration::from_mins(10));
    fail(&guard, &tried, 1).await;
    assert_eq!(guard.check(&tried).await.unwrap_err().retry_after, Some(Duration::from_mins(1)));
}

#[tokio::test]
async fn side_by_side_failures_beyond_the_limit_are_told_as_refused() {
    let guard = AttemptGuard::local(AttemptPolicy::default(), manual_clock());
    let tried = attempts(1, KEY, "192.0.2.1");
    for _ in 0..5 {
        guard.record_failure(&tried).await.unwrap();
    }
    assert!(guard.record_failure(&tried).await.is_err());
}

#[tokio::test]
async fn without_redis_the_limit_stays_strict() {
    let server = server().await;
    let clock: Arc<dyn Clock> = manual_clock();
    let guard = AttemptGuard::redis(server.link(Arc::clone(&clock)), AttemptPolicy::default(), clock);
    let tried = attempts(1, KEY, "192.0.2.1");
    fail(&guard, &tried, 3).await;
    server.redis.kill().await;
    fail(&guard, &tried, 2).await;
    assert!(guard.check(&tried).await.is_err(), "failures before and during the outage count together");
}
