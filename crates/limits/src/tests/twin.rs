//! The buckets of this process against the model, their memory, and what a decision says.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{Clock, ErrorCode};

use super::model::Model;
use super::{KEY, ManualClock, context, manual_clock};
use crate::local::LocalBuckets;
use crate::plan::{Plan, Rate};
use crate::{Backend, Limiter};

fn quota() -> impl Strategy<Value = Quota> {
    (1_u32..40, 1_u64..200_000)
        .prop_map(|(capacity, window)| Quota { capacity, window: Duration::from_micros(window) })
}

proptest! {
    #[test]
    fn the_twin_decides_as_the_model_does(
        api in prop::collection::vec(quota(), 1..3),
        search in prop::collection::vec(quota(), 1..3),
        steps in prop::collection::vec((0_u64..20_000, any::<bool>()), 1..200),
    ) {
        let clock = manual_clock();
        let limiter = LocalBuckets::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let ctx = context(1, KEY, &[(LimitClass::Api, &api), (LimitClass::Search, &search)]);
        let mut model = Model::default();
        for (pause, is_search) in steps {
            clock.advance(Duration::from_micros(pause));
            let class = if is_search { LimitClass::Search } else { LimitClass::Api };
            let Plan::Count(rates) = Plan::of(&ctx, class) else { panic!("no quota is zero") };
            let quotas: Vec<_> = rates.iter().map(|rate: &Rate| (rate.class, rate.quota)).collect();
            let now = u64::try_from(clock.elapsed().as_micros()).unwrap();
            prop_assert_eq!(limiter.take(&ctx, &rates, 1).calls == 1, model.admit(&quotas, 1, now));
        }
    }
}

#[tokio::test]
async fn a_refused_call_is_charged_on_no_bucket() {
    let clock = manual_clock();
    let limiter = Limiter::local(clock);
    let (api, search) = ([Quota::per_minute(3)], [Quota::per_minute(1)]);
    let ctx = context(1, KEY, &[(LimitClass::Api, &api), (LimitClass::Search, &search)]);
    assert!(limiter.admit(&ctx, LimitClass::Search).await.admitted);
    for _ in 0..5 {
        assert!(!limiter.admit(&ctx, LimitClass::Search).await.admitted);
    }
    let left = limiter.look(&ctx, LimitClass::Api).await;
    assert_eq!(left.iter().map(|bucket| bucket.remaining).collect::<Vec<_>>(), [2]);
    let counters = limiter.counters();
    assert_eq!((counters.local, counters.refused, counters.redis_trips), (6, 5, 0));
}

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

    limiter.admit(&ctx, LimitClass::Search).await;
    clock.advance(Duration::from_millis(10_500));
    let refused = limiter.admit(&ctx, LimitClass::Search).await;
    assert_eq!(refused.retry_after, Some(Duration::from_millis(19_500)));
    assert_eq!(refused.limit_header().unwrap(), r#""search-60";r=0;t=50"#);
    let error = refused.refusal().unwrap();
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert_eq!(
        error.message,
        "The limit of 2 search calls per minute is used up; the next call is admitted in 20 s."
    );
    clock.advance(Duration::from_millis(19_500));
    assert!(limiter.admit(&ctx, LimitClass::Search).await.admitted, "the promised time holds");
}

#[tokio::test]
async fn no_quotas_admit_everything_and_a_quota_of_zero_nothing() {
    let limiter = Limiter::local(manual_clock());
    let free = limiter.admit(&context(1, KEY, &[]), LimitClass::Search).await;
    assert!(free.admitted && free.binding.is_none() && free.policy_header().is_none());
    let ctx = context(1, KEY, &[(LimitClass::Api, &[Quota::per_minute(0)])]);
    let closed = limiter.admit(&ctx, LimitClass::Api).await;
    assert_eq!((closed.admitted, closed.retry_after), (false, Some(Duration::from_mins(1))));
    assert_eq!(closed.refusal().unwrap().code, ErrorCode::RateLimited);
}

#[tokio::test]
async fn principals_and_tenants_have_buckets_of_their_own() {
    let limiter = Limiter::local(manual_clock());
    let quotas: &[(LimitClass, &[Quota])] = &[(LimitClass::Api, &[Quota::per_minute(1)])];
    for (tenant, key) in [(1, KEY), (2, KEY), (1, "BBBBBBBBBBBB")] {
        let ctx = context(tenant, key, quotas);
        assert!(limiter.admit(&ctx, LimitClass::Api).await.admitted);
        assert!(!limiter.admit(&ctx, LimitClass::Api).await.admitted);
    }
}

#[test]
fn full_buckets_are_forgotten() {
    let clock: Arc<ManualClock> = manual_clock();
    let buckets = LocalBuckets::new(Arc::clone(&clock) as Arc<dyn Clock>);
    for number in 0..100_000_u32 {
        let ctx = context(1, &format!("{number:012}"), &[(LimitClass::Api, &[Quota::per_minute(100)])]);
        let Plan::Count(rates) = Plan::of(&ctx, LimitClass::Api) else { panic!("no quota is zero") };
        buckets.take(&ctx, &rates, 1);
        clock.advance(Duration::from_millis(1));
    }
    // One call refills within 0.6 s, so at most 600 principals are not idle at any time.
    assert!(buckets.principals() < 40_000, "{} principals are held", buckets.principals());
}
