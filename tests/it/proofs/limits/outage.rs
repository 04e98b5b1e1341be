//! Redis is killed and comes back with nothing: over the whole time no more is admitted than twice the capacity and
//! what was refilled.

use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{LimitClass, TenantSettings};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal};
use stagedoor_testkit::{Stage, generous};

use super::crowd::{REPLICAS, Tally, call, clients, replicas};

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_and_an_empty_restart_stay_within_the_bound() {
    let capacity: u32 = ProofSize::wanted().of(90, 900);
    let rounds: u32 = ProofSize::wanted().of(1, 5);
    let quota = Quota::per_hour(capacity);
    let stage = Stage::start().await;
    for lease_tokens in [0, 100] {
        let variables = [
            ("STAGEDOOR_RATE_LIMITING__LEASE_TOKENS", lease_tokens.to_string()),
            ("STAGEDOOR_RATE_LIMITING__COMMAND_TIMEOUT_MS", "100".to_owned()),
            ("STAGEDOOR_CACHE__COMMAND_TIMEOUT_MS", "100".to_owned()),
        ];
        let (mut most, mut bound, mut failed) = (0, 0.0, 0);
        for round in 0..rounds {
            let replicas = replicas(&stage, &format!("leases-{lease_tokens}-{round}"), &variables).await;
            let limits = [(LimitClass::Api, vec![quota])].into();
            let settings = TenantSettings { limits, ..generous() };
            let slug = format!("ada-{lease_tokens}-{round}");
            let clients = clients(&stage, &replicas, &slug, settings, 1).await.remove(0);
            let (clock, tally) = (stage.clock(), Tally::default());
            let began = clock.elapsed();
            let everyone_calls = async |times: u32| {
                let callers = (0..2 * REPLICAS).map(async |caller| {
                    for _ in 0..times {
                        call(&clients[caller % REPLICAS], LimitClass::Api, &tally).await;
                    }
                });
                join_all(callers).await;
            };
            // The share of an outage is that of the replicas that were known when it began.
            for replica in &replicas {
                while replica.metrics().await.sum("limiter_replicas", &[]) < REPLICAS as u64 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            everyone_calls(capacity / 8).await;
            stage.redis().kill().await;
            everyone_calls(capacity / 2).await;
            stage.redis().restart().await.unwrap();
            // Until every replica has found it again.
            while tally.admitted() + tally.refused() < u64::from(capacity) * 12 {
                everyone_calls(capacity / 8).await;
            }
            let lasted = clock.elapsed().saturating_sub(began).as_secs_f64();
            let capacity = f64::from(capacity);
            bound = 2.0 * capacity + capacity * lasted / quota.window.as_secs_f64();
            most = most.max(tally.admitted());
            failed += tally.failed();
            let back = join_all(replicas.iter().map(async |replica| {
                let metrics = replica.metrics().await;
                (metrics.sum("limiter_degraded", &[]), metrics.sum("limiter_redis", &[]))
            }));
            assert!(
                back.await.iter().all(|(degraded, shared)| *degraded > 0 && *shared > 0),
                "the outage was felt"
            );
        }
        prove_equal(&format!("limits.restart_calls_failed_leases_{lease_tokens}"), failed, 0);
        #[expect(clippy::cast_precision_loss, reason = "counts of calls stay far below 2^52")]
        let holds = most as f64 <= bound;
        prove(
            &format!("limits.restart_bound_leases_{lease_tokens}"),
            most,
            format_args!("<={bound:.0}"),
            holds,
        );
    }
}
