//! What a decision says: headers, refusals in words and for programs, penalties, violations.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::policy::{LimitClass, PenaltyStep, Quota};
use stagedoor_domain::{Clock, ErrorCode, LimitScope, TenantContext};

use super::{KEY, OTHER_KEY, context, context_with, manual_clock, server, settings};
use crate::{Backend, Decision, Limiter, SharedOptions};

#[tokio::test]
async fn a_decision_says_which_limit_how_many_are_left_and_when() {
    let clock = manual_clock();
    let limiter = Limiter::local(Arc::clone(&clock) as Arc<dyn Clock>);
    let (api, search) = ([Quota::per_minute(100), Quota::per_hour(1_000)], [Quota::per_minute(2)]);
    let ctx = context(1, KEY, &[(LimitClass::Api, &api), (LimitClass::Search, &search)]);
    let first = limiter.admit(&ctx, LimitClass::Search).await;
    assert_eq!(first.limit_header().unwrap(), r#""search-60";r=1;t=30"#);
    let policy = r#""api-60";q=100;w=60, "api-3600";q=1000;w=3600, "search-60";q=2;w=60"#;
    assert_eq!(first.policy_header().unwrap(), policy);
    assert_eq!((first.backend, first.refusal(), first.retry_after), (Backend::Local, None, None));
    assert_eq!(first.violation(), None);

    limiter.admit(&ctx, LimitClass::Search).await;
    clock.advance(Duration::from_millis(10_500));
    let refused = limiter.admit(&ctx, LimitClass::Search).await;
    assert_eq!(refused.retry_after, Some(Duration::from_millis(19_500)));
    assert_eq!(refused.limit_header().unwrap(), r#""search-60";r=0;t=50"#);
    let error = refused.refusal().unwrap();
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert_eq!(
        error.message,
        "The limit of 2 search calls per minute is used up (0 left). The next call is admitted in 20 s."
    );
    assert!(error.hint.unwrap().contains("track_get"), "other calls go on");
    let limit = error.limit.unwrap();
    assert_eq!((limit.name.as_str(), limit.scope, limit.capacity), ("search-60", LimitScope::Principal, 2));
    assert_eq!((limit.window_seconds, limit.remaining, limit.full_in_seconds), (60, 0, 50));
    let violation = refused.violation().unwrap();
    assert_eq!((violation.limit.as_str(), violation.class), ("search-60", LimitClass::Search));
    assert_eq!((violation.window, violation.penalty), (Duration::from_mins(1), None));
    clock.advance(Duration::from_millis(19_500));
    assert!(limiter.admit(&ctx, LimitClass::Search).await.admitted, "the promised time holds");
}

#[tokio::test]
async fn the_tenants_limit_is_named_and_is_nobodys_offence() {
    let limiter = Limiter::local(manual_clock());
    let mut settings = settings(&[(LimitClass::Api, &[Quota::per_minute(10)])]);
    settings.tenant_limits.insert(LimitClass::Api, vec![Quota::per_minute(3)]);
    settings.penalties = None;
    let (busy, other) = (context_with(1, KEY, settings.clone()), context_with(1, OTHER_KEY, settings));
    for _ in 0..3 {
        assert!(limiter.admit(&busy, LimitClass::Api).await.admitted);
    }
    for _ in 0..30 {
        let refused = limiter.admit(&other, LimitClass::Api).await;
        let error = refused.refusal().unwrap();
        assert_eq!(error.limit.unwrap().name, "tenant-api-60");
        assert!(error.message.contains("of all of the tenant's keys together"), "{}", error.message);
        assert_eq!(refused.limit_header().unwrap(), r#""tenant-api-60";r=0;t=60"#);
        assert_eq!((refused.penalty, refused.violation().unwrap().scope), (None, LimitScope::Tenant));
    }
    assert_eq!(limiter.counters().refused_tenant, 30);
    let look = limiter.look(&other).await;
    let names: Vec<_> = look.buckets.iter().map(|bucket| (bucket.name(), bucket.remaining)).collect();
    assert_eq!(names, [("api-60".to_owned(), 10), ("tenant-api-60".to_owned(), 0)]);
}

#[tokio::test]
async fn no_quotas_admit_everything_and_a_quota_of_zero_nothing() {
    let limiter = Limiter::local(manual_clock());
    let free = limiter.admit(&context(1, KEY, &[]), LimitClass::Search).await;
    assert!(free.admitted && free.binding.is_none() && free.policy_header().is_none());
    let mut settings = settings(&[(LimitClass::Api, &[Quota::per_minute(0)])]);
    settings.penalties = None;
    let ctx = context_with(1, KEY, settings);
    for _ in 0..20 {
        let closed = limiter.admit(&ctx, LimitClass::Api).await;
        assert_eq!((closed.admitted, closed.retry_after), (false, Some(Duration::from_mins(1))));
        assert_eq!(closed.refusal().unwrap().code, ErrorCode::RateLimited);
        assert_eq!(closed.penalty, None, "to ask for what is closed is no offence");
    }
    assert_eq!(limiter.look(&ctx).await.buckets.len(), 1);
}

/// Two searches an hour; three refusals within a minute cost 20 s, five cost 100 s.
fn strict() -> TenantContext {
    let step = |refusals, block_seconds| PenaltyStep { refusals, within_seconds: 60, block_seconds };
    let mut settings = settings(&[
        (LimitClass::Api, &[Quota::per_minute(1_000)]),
        (LimitClass::Search, &[Quota::per_hour(2)]),
    ]);
    settings.penalties = Some(vec![step(3, 20), step(5, 100)]);
    context_with(1, KEY, settings)
}

async fn search(limiter: &Limiter, ctx: &TenantContext) -> Decision {
    limiter.admit(ctx, LimitClass::Search).await
}

#[tokio::test]
async fn refusals_grow_into_a_penalty_that_shuts_out_every_call() {
    let clock = manual_clock();
    let limiter = Limiter::local(Arc::clone(&clock) as Arc<dyn Clock>);
    let ctx = strict();
    for _ in 0..2 {
        assert!(search(&limiter, &ctx).await.admitted);
    }
    for _ in 0..2 {
        assert_eq!(search(&limiter, &ctx).await.penalty, None);
    }
    let third = search(&limiter, &ctx).await;
    let violation = third.violation().unwrap();
    assert_eq!((violation.limit.as_str(), violation.penalty), ("search-3600", Some(Duration::from_secs(20))));
    assert_eq!(limiter.counters().penalties, 1);

    clock.advance(Duration::from_secs(5));
    let shut_out = limiter.admit(&ctx, LimitClass::Api).await;
    assert_eq!((shut_out.admitted, shut_out.retry_after), (false, Some(Duration::from_secs(15))));
    assert_eq!(shut_out.limit_header().unwrap(), r#""penalty";r=0;t=15"#);
    let error = shut_out.refusal().unwrap();
    assert_eq!(
        error.message,
        "3 refused calls within 60 s cost a penalty of 20 s: no call is admitted until it is over, in 15 s."
    );
    let limit = error.limit.unwrap();
    assert_eq!((limit.name.as_str(), limit.capacity, limit.window_seconds), ("penalty", 0, 20));
    let violation = shut_out.violation().unwrap();
    assert_eq!((violation.limit.as_str(), violation.class), ("penalty", LimitClass::Api));
    assert_eq!(limiter.look(&ctx).await.penalty.unwrap().remaining, Duration::from_secs(15));
    assert_eq!(limiter.counters().refused_penalty, 1);

    clock.advance(Duration::from_secs(15));
    assert!(limiter.admit(&ctx, LimitClass::Api).await.admitted, "the promised time holds");
    let fifth = search(&limiter, &ctx).await;
    assert_eq!(fifth.penalty.unwrap().length, Duration::from_secs(100));
    assert!(fifth.retry_after.unwrap() >= Duration::from_secs(1_700), "there is no search before either");
}

#[tokio::test]
async fn a_penalty_holds_in_every_replica_and_goes_on_when_redis_is_gone() {
    let server = server().await;
    let clock = manual_clock();
    let limiter = || {
        let link = server.link(Arc::clone(&clock) as Arc<dyn Clock>);
        Limiter::redis(link, SharedOptions::default(), Arc::clone(&clock) as _)
    };
    let (one, other) = (limiter(), limiter());
    let ctx = strict();
    for _ in 0..5 {
        search(&one, &ctx).await;
    }
    let refused = other.admit(&ctx, LimitClass::Api).await;
    assert_eq!((refused.backend, refused.penalty.unwrap().length), (Backend::Redis, Duration::from_secs(20)));
    assert!(other.look(&ctx).await.penalty.is_some());
    server.redis.kill().await;
    let refused = other.admit(&ctx, LimitClass::Api).await;
    assert_eq!((refused.admitted, refused.backend), (false, Backend::Degraded));
    clock.advance(Duration::from_secs(100));
    assert!(other.admit(&ctx, LimitClass::Api).await.admitted);
}
