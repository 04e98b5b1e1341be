//! The script in a real Redis, asked by several clients side by side, against its twin and the sequential model.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::{Clock, SystemClock, TenantContext};

use super::{KEY, OTHER_KEY, Server, context, context_with, manual_clock, server, settings};
use crate::local::LocalBuckets;
use crate::penalty::Step;
use crate::plan::Plan;
use crate::record::Decided;
use crate::replay::{Outcome, Record, replay};
use crate::script::{Ask, BucketScript, Taken};

const CLASSES: [LimitClass; 3] = [LimitClass::Api, LimitClass::Search, LimitClass::Playlist];

/// What one client asks.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) key: usize,
    pub(super) version: usize,
    pub(super) class: usize,
    pub(super) ask: Ask,
    /// Microseconds before it.
    pub(super) pause: u64,
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    let ask = (0_u64..4, prop_oneof![Just(0_u64), 1_u64..20]).prop_map(|(cost, extra)| {
        let lead = if extra > 0 { 1_500 } else { 0 };
        Ask { cost, extra, lead }
    });
    let pause = prop_oneof![8 => Just(0_u64), 2 => 1_u64..3_000];
    (
        0_usize..3,
        prop_oneof![6 => Just(0_usize), 3 => Just(1_usize), 1 => Just(2_usize)],
        0_usize..3,
        ask,
        pause,
    )
        .prop_map(|(key, version, class, ask, pause)| Call { key, version, class, ask, pause })
}

/// A principal's context and plan under one of three versions of the tenant's settings. The windows of the second are
/// longer than a test runs, so that some are refused and penalized however slow the machine is.
pub(super) fn asked(call: &Call) -> (TenantContext, Plan) {
    let key = [KEY, OTHER_KEY, "CCCCCCCCCCCC"][call.key];
    let quota = |capacity, window| Quota { capacity, window: Duration::from_micros(window) };
    let step = |refusals, within, block| Step { refusals, within, block };
    let (api, refill, steps) = match call.version {
        0 => (15, 50_000, [step(3, 40_000, 5_000), step(12, 120_000, 15_000)]),
        1 => (11, 3_600_000_000, [step(2, 60_000_000, 3_000), step(9, 200_000_000, 30_000)]),
        _ => (32, 50_000, [step(2, 10_000, 2_000), step(9, 40_000, 8_000)]),
    };
    let mut settings = settings(&[
        (LimitClass::Api, &[quota(api, refill), quota(307, 1_000_000)]),
        (LimitClass::Search, &[quota(9, 20_000)]),
        (LimitClass::Playlist, &[quota(7, 7_000), quota(97, 700_000)]),
    ]);
    settings.tenant_limits.insert(LimitClass::Api, vec![quota(api * 2, 40_000)]);
    settings.tenant_limits.insert(LimitClass::Search, vec![quota(23, 20_000), quota(401, 900_000)]);
    let plan = Plan::new(&settings, CLASSES[call.class], 1).with_steps(&steps);
    (context_with(1, key, settings), plan)
}

struct Seen {
    call: Call,
    taken: Taken,
}

async fn ask_all(server: &Server, clients: Vec<Vec<Call>>) -> Vec<Seen> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let script = BucketScript::new();
    let tasks = clients.into_iter().map(|calls| {
        let (link, script) = (server.link(Arc::clone(&clock)), &script);
        async move {
            let mut seen = Vec::with_capacity(calls.len());
            for call in calls {
                tokio::time::sleep(Duration::from_micros(call.pause)).await;
                let (ctx, plan) = asked(&call);
                let taken = script.take(&link, &ctx, &plan, call.ask).await.unwrap();
                seen.push(Seen { call, taken });
            }
            seen
        }
    });
    let mut seen: Vec<Seen> = join_all(tasks).await.into_iter().flatten().collect();
    seen.sort_by_key(|seen| (seen.taken.now, seen.taken.calls > 0));
    seen
}

fn replayed(seen: &[Seen]) -> Outcome {
    let records = seen.iter().map(|Seen { call, taken }| {
        let (ctx, plan) = asked(call);
        let text = Decided { ctx: &ctx, plan: &plan, ask: call.ask, taken }.to_string();
        Record::parse(&text).unwrap()
    });
    replay(records.collect())
}

#[test]
fn the_script_the_twin_and_the_model_decide_alike() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(server());
    let mut totals = Outcome::default();
    let calls = prop::collection::vec(prop::collection::vec(call(), 50..250), 3);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(12) });
    let outcomes = std::cell::RefCell::new(Vec::new());
    let ran = runner.run(&calls, |clients| {
        let seen = runtime.block_on(async {
            flush(&server).await;
            ask_all(&server, clients).await
        });
        let outcome = replayed(&seen);
        prop_assert_eq!(&outcome.examples, &Vec::<String>::new());
        prop_assert_eq!((outcome.mismatches, outcome.decisions), (0, seen.len() as u64));

        let clock = manual_clock();
        let twin = LocalBuckets::new(Arc::clone(&clock) as Arc<dyn Clock>);
        for Seen { call, taken } in &seen {
            clock.set_micros(taken.now);
            let (ctx, plan) = asked(call);
            prop_assert_eq!(&twin.take(&ctx, &plan, call.ask), taken);
        }
        outcomes.borrow_mut().push(outcome);
        Ok(())
    });
    ran.unwrap();
    for outcome in outcomes.into_inner() {
        totals.taken += outcome.taken;
        totals.refused += outcome.refused;
        totals.penalties += outcome.penalties;
    }
    assert!(totals.taken > 500 && totals.refused > 500 && totals.penalties > 20, "{totals:?}");
}

async fn flush(server: &Server) {
    let link = server.link(Arc::new(SystemClock::new()));
    link.run(|mut connection| async move { redis::cmd("FLUSHALL").exec_async(&mut connection).await })
        .await
        .unwrap();
}

#[tokio::test]
async fn extra_calls_are_given_as_far_as_every_bucket_has_room() {
    let server = server().await;
    let link = server.link(Arc::new(SystemClock::new()));
    let script = BucketScript::new();
    let hour = |capacity| [Quota::per_hour(capacity)];
    let ctx = context(1, KEY, &[(LimitClass::Api, &hour(20)), (LimitClass::Search, &hour(7))]);
    let plan = |class| Plan::new(&ctx.tenant().settings, class, 1);
    let search = plan(LimitClass::Search);
    let some = |extra| Ask { cost: 1, extra, lead: 0 };
    let calls = async |plan: &Plan, ask| script.take(&link, &ctx, plan, ask).await.unwrap().calls;
    assert_eq!(calls(&search, some(3)).await, 4);
    assert_eq!(calls(&search, some(100)).await, 3);
    assert_eq!(calls(&search, some(100)).await, 0);
    assert_eq!(calls(&plan(LimitClass::Api), some(100)).await, 13);
}

#[tokio::test]
async fn one_principal_cannot_use_more_than_the_tenant_has() {
    let server = server().await;
    let link = server.link(Arc::new(SystemClock::new()));
    let script = BucketScript::new();
    let mut settings = settings(&[(LimitClass::Api, &[Quota::per_hour(10)])]);
    settings.tenant_limits.insert(LimitClass::Api, vec![Quota::per_hour(12)]);
    let mut taken = 0;
    for key in [KEY, OTHER_KEY] {
        let ctx = context_with(1, key, settings.clone());
        let plan = Plan::new(&settings, LimitClass::Api, 1);
        for _ in 0..10 {
            taken += script.take(&link, &ctx, &plan, Ask::ONE).await.unwrap().calls;
        }
    }
    assert_eq!(taken, 12);
}

#[tokio::test]
async fn buckets_end_with_their_refill_and_the_script_is_loaded_again_when_lost() {
    let server = server().await;
    let link = server.link(Arc::new(SystemClock::new()));
    let script = BucketScript::new();
    let ctx = context(7, KEY, &[(LimitClass::Api, &[Quota::per_minute(60)])]);
    let plan = Plan::new(&ctx.tenant().settings, LimitClass::Api, 1);
    script.take(&link, &ctx, &plan, Ask { cost: 30, extra: 0, lead: 0 }).await.unwrap();
    let life: i64 = link
        .run(|mut connection| async move {
            redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await?;
            let key = "sd:{00000000-0000-0000-0000-000000000007}:limit:v2:key:AAAAAAAAAAAA";
            redis::cmd("PTTL").arg(key).query_async(&mut connection).await
        })
        .await
        .unwrap();
    assert!((1..=31_000).contains(&life), "30 of 60 calls a minute refill in 30 s, the key lives {life} ms");
    assert_eq!(script.take(&link, &ctx, &plan, Ask::ONE).await.unwrap().calls, 1);
}
