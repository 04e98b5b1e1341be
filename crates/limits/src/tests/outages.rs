//! The way through an outage with the heartbeat running: shares, debts, and what comes of a Redis that lost everything.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::policy::{LimitClass, PenaltyStep, Quota};
use stagedoor_domain::{Clock, Provider, TenantContext};
use tokio_util::sync::CancellationToken;

use super::{
    Counting, KEY, ManualClock, OTHER_KEY, Server, context, context_with, manual_clock, server, settings,
};
use crate::outage::Phase;
use crate::{Backend, LeaseOptions, Limiter, PauseKey, ProviderPauses, SharedOptions};

const CAPACITY: u32 = 40;
const TOGETHER: u32 = 60;

fn replica(server: &Server, clock: &Arc<ManualClock>, minimum_replicas: u32) -> Limiter {
    let options = SharedOptions { leases: LeaseOptions::OFF, minimum_replicas };
    Limiter::redis(server.link(Arc::clone(clock) as Arc<dyn Clock>), options, Arc::clone(clock) as _)
}

fn principal(key: &str) -> TenantContext {
    let mut settings = settings(&[(LimitClass::Api, &[Quota::per_hour(CAPACITY)])]);
    settings.tenant_limits.insert(LimitClass::Api, vec![Quota::per_hour(TOGETHER)]);
    context_with(1, key, settings)
}

/// Runs the heartbeats of `replicas` while `work` goes on.
async fn beside(replicas: &[&Limiter], work: impl Future<Output = ()>) {
    let shutdown = CancellationToken::new();
    let beats = replicas.iter().zip(1..).map(|(limiter, number)| {
        limiter.replicas(&Counting(number)).expect("there is a Redis").run(shutdown.clone())
    });
    tokio::select! {
        _ = join_all(beats) => panic!("heartbeats end with the test only"),
        () = work => {}
    }
}

async fn call_all(replicas: &[&Limiter], contexts: &[TenantContext], times: usize) -> u32 {
    let mut admitted = 0;
    for _ in 0..times {
        for (limiter, ctx) in
            replicas.iter().flat_map(|limiter| contexts.iter().map(move |ctx| (limiter, ctx)))
        {
            admitted += u32::from(limiter.admit(ctx, LimitClass::Api).await.admitted);
        }
    }
    admitted
}

/// Waits until Redis alone decides; the clock is moved so that breakers and settling come to an end.
async fn recovered(replicas: &[&Limiter], clock: &ManualClock) {
    while replicas.iter().any(|limiter| limiter.phase() != Some(Phase::Shared)) {
        clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_admitted_during_an_outage_counts_after_it_though_redis_lost_everything() {
    let (server, clock) = (server().await, manual_clock());
    let replicas = [&replica(&server, &clock, 2), &replica(&server, &clock, 2)];
    let contexts = [principal(KEY), principal(OTHER_KEY)];
    beside(&replicas, async {
        recovered(&replicas, &clock).await;
        assert_eq!(call_all(&replicas, &contexts, 30).await, TOGETHER, "Redis, for all of the tenant's keys");
        server.redis.kill().await;
        assert_eq!(call_all(&replicas, &contexts, 30).await, TOGETHER, "two shares of half");
        assert!(replicas.iter().all(|limiter| limiter.phase() == Some(Phase::Out)));

        server.redis.restart().await.unwrap();
        recovered(&replicas, &clock).await;
        assert_eq!(call_all(&replicas, &contexts, 30).await, 0, "the outage's calls are known to Redis");
        let look = replicas[0].look(&contexts[0]).await;
        assert_eq!(
            look.buckets.iter().map(|bucket| bucket.remaining).max(),
            Some(CAPACITY.abs_diff(30).into())
        );
    })
    .await;
}

#[tokio::test]
async fn while_redis_comes_back_it_and_the_share_must_agree() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = replica(&server, &clock, 4);
    let contexts = [principal(KEY)];
    beside(&[&limiter], async {
        recovered(&[&limiter], &clock).await;
        server.redis.kill().await;
        assert_eq!(call_all(&[&limiter], &contexts, 4).await, 4);
        server.redis.restart().await.unwrap();
        while limiter.phase() != Some(Phase::Settling) {
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let decision = limiter.admit(&contexts[0], LimitClass::Api).await;
        assert_eq!((decision.admitted, decision.backend), (true, Backend::Redis));
        assert_eq!(call_all(&[&limiter], &contexts, 30).await, 5, "a quarter of 40 in all");
        recovered(&[&limiter], &clock).await;
        assert_eq!(limiter.look(&contexts[0]).await.buckets[0].remaining, 30);
        assert_eq!(call_all(&[&limiter], &contexts, 40).await, 30);
    })
    .await;
}

#[tokio::test]
async fn after_a_moment_of_slowness_redis_decides_at_once() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = replica(&server, &clock, 4);
    beside(&[&limiter], async {
        recovered(&[&limiter], &clock).await;
        while limiter.counters().redis_trips < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        limiter.begin_outage();
        assert_eq!(call_all(&[&limiter], &[principal(KEY)], 4).await, 4);
        // The clock stands still, so settling would never end.
        while limiter.phase() != Some(Phase::Shared) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(limiter.look(&principal(KEY)).await.buckets[0].remaining, u64::from(CAPACITY) - 4);
    })
    .await;
}

#[tokio::test]
async fn a_restart_is_noticed_whoever_met_it() {
    let (server, clock) = (server().await, manual_clock());
    let link = server.link(Arc::clone(&clock) as Arc<dyn Clock>);
    let options = SharedOptions { leases: LeaseOptions::OFF, minimum_replicas: 1 };
    let limiter = Limiter::redis(Arc::clone(&link), options, Arc::clone(&clock) as _);
    let pauses = ProviderPauses::redis(link, Arc::clone(&clock) as _);
    let key = PauseKey { provider: Provider::Tidal, client: "a1".into() };
    beside(&[&limiter], async {
        recovered(&[&limiter], &clock).await;
        assert!(limiter.admit(&principal(KEY), LimitClass::Api).await.admitted);
        server.redis.kill().await;
        server.redis.restart().await.unwrap();
        assert_eq!(pauses.remaining(&principal(KEY), &key).await, None);
        limiter.admit(&principal(KEY), LimitClass::Api).await;
        assert_ne!(limiter.phase(), Some(Phase::Shared));
    })
    .await;
}

#[tokio::test]
async fn replicas_are_counted_by_their_heartbeats() {
    let (server, clock) = (server().await, manual_clock());
    let (one, other) = (replica(&server, &clock, 1), replica(&server, &clock, 1));
    let (stop_one, stop_other) = (CancellationToken::new(), CancellationToken::new());
    let wait = async |limiter: &Limiter, replicas| {
        while limiter.known_replicas() != replicas {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(
        one.replicas(&Counting(1)).unwrap().run(stop_one.clone()),
        other.replicas(&Counting(2)).unwrap().run(stop_other.clone()),
        async {
            wait(&one, 2).await;
            wait(&other, 2).await;
            stop_other.cancel();
            wait(&one, 1).await;
            stop_one.cancel();
        }
    );
}

/// Ends an outage in which Redis lost everything.
async fn restarted(server: &Server, replicas: &[&Limiter], clock: &ManualClock) {
    server.redis.restart().await.unwrap();
    recovered(replicas, clock).await;
}

#[tokio::test]
async fn all_outages_together_are_one_bucket() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = replica(&server, &clock, 2);
    let contexts = [principal(KEY)];
    beside(&[&limiter], async {
        recovered(&[&limiter], &clock).await;
        server.redis.kill().await;
        assert_eq!(call_all(&[&limiter], &contexts, 30).await, CAPACITY / 2);
        restarted(&server, &[&limiter], &clock).await;
        server.redis.kill().await;
        assert_eq!(call_all(&[&limiter], &contexts, 30).await, 0, "there is no fresh burst");
        restarted(&server, &[&limiter], &clock).await;
        let look = limiter.look(&contexts[0]).await;
        assert_eq!(look.buckets[0].remaining, u64::from(CAPACITY), "nothing is charged twice");
    })
    .await;
}

#[tokio::test]
async fn what_a_share_refuses_within_the_quota_is_no_offence() {
    let (server, clock) = (server().await, manual_clock());
    let (one_of_two, alone) = (replica(&server, &clock, 2), replica(&server, &clock, 1));
    let ctx = {
        let mut settings = settings(&[(LimitClass::Api, &[Quota::per_hour(4)])]);
        settings.penalties = Some(vec![PenaltyStep { refusals: 2, within_seconds: 60, block_seconds: 600 }]);
        context_with(1, KEY, settings)
    };
    server.redis.kill().await;
    for (limiter, admitted, penalised) in [(&one_of_two, 2, false), (&alone, 4, true)] {
        assert_eq!(call_all(&[limiter], std::slice::from_ref(&ctx), 8).await, admitted);
        assert_eq!(limiter.look(&ctx).await.penalty.is_some(), penalised);
    }
}

#[tokio::test]
async fn a_redis_that_tells_nothing_of_itself_decides_again_all_the_same() {
    let (server, clock) = (server().await, manual_clock());
    let link = server.link(Arc::clone(&clock) as Arc<dyn Clock>);
    let forbid = link
        .run(|mut connection| async move {
            redis::cmd("ACL")
                .arg(&["SETUSER", "default", "-info"])
                .query_async::<redis::Value>(&mut connection)
                .await
        })
        .await;
    forbid.unwrap();
    let options = SharedOptions { leases: LeaseOptions::OFF, minimum_replicas: 1 };
    let limiter = Limiter::redis(Arc::clone(&link), options, Arc::clone(&clock) as _);
    beside(&[&limiter], async {
        while limiter.phase() == Some(Phase::Shared) {
            limiter.begin_outage();
            tokio::task::yield_now().await;
        }
        recovered(&[&limiter], &clock).await;
        // Nor does it matter what others are refused.
        let refused = |mut connection| async move {
            redis::cmd("INFO").query_async::<redis::Value>(&mut connection).await
        };
        link.run(refused).await.unwrap_err();
        let decision = limiter.admit(&principal(KEY), LimitClass::Api).await;
        assert_eq!((decision.backend, limiter.phase()), (Backend::Redis, Some(Phase::Shared)));
    })
    .await;
}

#[tokio::test]
async fn settling_waits_for_those_who_owe() {
    let (server, clock) = (server().await, manual_clock());
    let (paid, owing) = (replica(&server, &clock, 1), replica(&server, &clock, 1));
    let owes = owing.replicas(&Counting(9)).unwrap();
    beside(&[&paid], async {
        while paid.phase() == Some(Phase::Shared) {
            paid.begin_outage();
            tokio::task::yield_now().await;
        }
        while paid.phase() != Some(Phase::Settling) {
            clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        owes.say_that_it_owes().await;
        clock.advance(Duration::from_secs(10));
        let beats = paid.counters().redis_trips;
        while paid.counters().redis_trips < beats + 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(paid.phase(), Some(Phase::Settling));
        clock.advance(Duration::from_mins(1));
        recovered(&[&paid], &clock).await;
    })
    .await;
}

#[tokio::test]
async fn many_debts_are_brought() {
    let (server, clock) = (server().await, manual_clock());
    let limiter = replica(&server, &clock, 1);
    let limits: &[(LimitClass, &[Quota])] = &[(LimitClass::Api, &[Quota::per_hour(CAPACITY)])];
    let contexts: Vec<_> = (0..300_u128)
        .flat_map(|tenant| [KEY, OTHER_KEY].map(|key| context(tenant + 1, key, limits)))
        .collect();
    beside(&[&limiter], async {
        recovered(&[&limiter], &clock).await;
        server.redis.kill().await;
        assert_eq!(call_all(&[&limiter], &contexts, 1).await, 600);
        restarted(&server, &[&limiter], &clock).await;
        for ctx in &contexts {
            assert_eq!(limiter.look(ctx).await.buckets[0].remaining, u64::from(CAPACITY) - 1);
        }
    })
    .await;
}
