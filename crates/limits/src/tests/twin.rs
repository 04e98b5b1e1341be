//! The buckets of this process against the model, and their memory.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stagedoor_domain::Clock;
use stagedoor_domain::policy::{LimitClass, Quota};

use super::replay::{asked, call};
use super::{KEY, ManualClock, OTHER_KEY, context, context_with, manual_clock, settings};
use crate::Limiter;
use crate::local::LocalBuckets;
use crate::plan::Plan;
use crate::record::Decided;
use crate::replay::{Record, replay};
use crate::script::Ask;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_twin_decides_as_the_model_does(calls in prop::collection::vec((call(), 1_u64..900), 1..400)) {
        let clock = manual_clock();
        let twin = LocalBuckets::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut records = Vec::new();
        for (call, pause) in calls {
            clock.advance(Duration::from_micros(call.pause + pause));
            let (ctx, plan) = asked(&call);
            let taken = twin.take(&ctx, &plan, call.ask);
            let text = Decided { ctx: &ctx, plan: &plan, ask: call.ask, taken: &taken }.to_string();
            records.push(Record::parse(&text).unwrap());
        }
        let outcome = replay(records);
        prop_assert_eq!(outcome.examples, Vec::<String>::new());
        prop_assert_eq!((outcome.mismatches, outcome.over_bound), (0, 0));
    }
}

#[tokio::test]
async fn a_refused_call_is_charged_on_no_bucket() {
    let limiter = Limiter::local(manual_clock());
    let (api, search) = ([Quota::per_minute(3)], [Quota::per_minute(1)]);
    let ctx = context(1, KEY, &[(LimitClass::Api, &api), (LimitClass::Search, &search)]);
    assert!(limiter.admit(&ctx, LimitClass::Search).await.admitted);
    for _ in 0..5 {
        assert!(!limiter.admit(&ctx, LimitClass::Search).await.admitted);
    }
    let look = limiter.look(&ctx).await;
    let left: Vec<_> = look.buckets.iter().map(|bucket| (bucket.class, bucket.remaining)).collect();
    assert_eq!(left, [(LimitClass::Api, 2), (LimitClass::Search, 0)]);
    let counters = limiter.counters();
    assert_eq!((counters.local, counters.refused_principal, counters.redis_trips), (6, 5, 0));
}

#[tokio::test]
async fn principals_and_tenants_have_buckets_of_their_own() {
    let limiter = Limiter::local(manual_clock());
    let quotas: &[(LimitClass, &[Quota])] = &[(LimitClass::Api, &[Quota::per_minute(1)])];
    for (tenant, key) in [(1, KEY), (2, KEY), (1, OTHER_KEY)] {
        let ctx = context(tenant, key, quotas);
        assert!(limiter.admit(&ctx, LimitClass::Api).await.admitted);
        assert!(!limiter.admit(&ctx, LimitClass::Api).await.admitted);
    }
}

#[tokio::test]
async fn a_changed_quota_holds_for_the_next_call() {
    let limiter = Limiter::local(manual_clock());
    let with = |capacity| context(1, KEY, &[(LimitClass::Api, &[Quota::per_minute(capacity)])]);
    for _ in 0..5 {
        assert!(limiter.admit(&with(10), LimitClass::Api).await.admitted);
    }
    // Half of the minute is used up, whatever the quota.
    assert!(limiter.admit(&with(2), LimitClass::Api).await.admitted);
    assert!(!limiter.admit(&with(2), LimitClass::Api).await.admitted);
    assert!(!limiter.admit(&with(0), LimitClass::Api).await.admitted);
}

#[test]
fn full_buckets_are_forgotten() {
    let clock: Arc<ManualClock> = manual_clock();
    let buckets = LocalBuckets::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let settings = settings(&[(LimitClass::Api, &[Quota::per_minute(100)])]);
    let plan = Plan::new(&settings, LimitClass::Api, 1);
    for number in 0..100_000_u32 {
        let ctx = context_with(1, &format!("{number:012}"), settings.clone());
        buckets.take(&ctx, &plan, Ask::ONE);
        clock.advance(Duration::from_millis(1));
    }
    // One call refills within 0.6 s, so at most 600 principals are not idle at any time.
    assert!(buckets.principals() < 40_000, "{} principals are held", buckets.principals());
}
