//! Whatever is done in whatever order on two replicas: nobody is given what was fetched for someone else, what was
//! there before their own write, or something older than a refetch brought.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use stagedoor_domain::{CacheClass, Provider, TenantContext};

use super::{ManualClock, Running, context, manual_clock, put, refetch, reuse, running, server, user};
use crate::{CacheKey, DataScope, Level, Reader};

/// Who asks for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    tenant: u128,
    /// 0 is everyone in the tenant.
    person: u128,
    provider: Provider,
    question: u8,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask(usize, Place),
    Refetch(usize, Place),
    Write(usize, Place),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let provider = prop_oneof![Just(Provider::Spotify), Just(Provider::Tidal)];
    let place = (1..3_u128, 0..3_u128, provider, 0..2_u8)
        .prop_map(|(tenant, person, provider, question)| Place { tenant, person, provider, question });
    let at = (0..2_usize, place);
    let step = prop_oneof![
        6 => at.clone().prop_map(|(replica, place)| Step::Ask(replica, place)),
        1 => at.clone().prop_map(|(replica, place)| Step::Refetch(replica, place)),
        2 => at.prop_map(|(replica, place)| Step::Write(replica, place)),
        1 => (1..200_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

#[test]
fn nobody_is_given_anothers_answer_or_one_from_before_their_write() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(server());
    let (clock, case) = (manual_clock(), AtomicU64::new(0));
    let replicas = runtime.block_on(async { [(); 2].map(|()| running(server.cache(&clock))) });
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps())| {
        // Tenants of its own for each case.
        let first = u128::from(case.fetch_add(2, Ordering::Relaxed)) + 1;
        runtime.block_on(holds(&replicas, &clock, [context(first), context(first + 1)], &steps))?;
    });
}

async fn holds(
    replicas: &[Running; 2],
    clock: &ManualClock,
    contexts: [TenantContext; 2],
    steps: &[Step],
) -> TestCaseResult {
    // The number of every fetch rises; the lowest that may still be given, by place and replica.
    let (mut fetches, mut lowest) = (0_u64, HashMap::<(Place, usize), u64>::new());
    for step in steps {
        let (replica, place) = match *step {
            Step::Wait(seconds) => {
                clock.advance(Duration::from_secs(seconds));
                continue;
            }
            Step::Ask(replica, place) | Step::Refetch(replica, place) | Step::Write(replica, place) => {
                (replica, place)
            }
        };
        let ctx = &contexts[usize::try_from(place.tenant).unwrap() - 1];
        let reader = match place.person {
            0 => Reader::Tenant,
            person => Reader::User { user: user(person), scope: DataScope::Playlists },
        };
        let key = CacheKey::new(ctx, CacheClass::Playlist, "list", &place.question, reader, place.provider)
            .unwrap();
        fetches += 1;
        let body = format!("{place:?}#{fetches}");
        let fenced_out = replicas[replica].counters().flights.fenced_out;
        let found = match step {
            Step::Write(..) if place.person == 0 => continue,
            Step::Write(..) => {
                replicas[replica]
                    .bump(ctx, user(place.person), place.provider, DataScope::Playlists)
                    .await
                    .unwrap();
                for question in 0..2 {
                    for replica in 0..2 {
                        lowest.insert((Place { question, ..place }, replica), fetches);
                    }
                }
                continue;
            }
            Step::Ask(..) => put(&replicas[replica], ctx, reuse(&key), &body).await,
            Step::Refetch(..) => put(&replicas[replica], ctx, refetch(&key), &body).await,
            Step::Wait(_) => unreachable!("waits are done above"),
        };
        let text = std::str::from_utf8(&found.body).unwrap();
        let (whose, number) = text.split_once('#').unwrap();
        prop_assert_eq!(whose, format!("{place:?}"), "another's answer");
        let number: u64 = number.parse().unwrap();
        let least = lowest.entry((place, replica)).or_default();
        prop_assert!(number >= *least, "{step:?}: {number} after {least}");
        prop_assert_ne!(found.level, Level::Bypassed);
        // What took so long that its turn passed on (a machine that stood still) is given once and not kept.
        if replicas[replica].counters().flights.fenced_out == fenced_out {
            *least = number;
        }
    }
    Ok(())
}
