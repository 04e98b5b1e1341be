//! Calls paid ahead: a quota that is called for far more than it has, over three replicas that each hold a lease, is
//! used up to less than a hundredth, and never exceeded.

use std::time::Duration;

use futures_util::future::join_all;
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{LimitClass, TenantSettings};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal};
use stagedoor_testkit::{Stage, generous};

use super::crowd::{REPLICAS, Tally, call, clients, replicas};

const CALLERS_OF_EACH: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn leases_admit_as_much_as_there_is() {
    let (window, capacity) = ProofSize::wanted().of((60, 600), (60, 30_000));
    let lasting = Duration::from_secs(ProofSize::wanted().of(3, 60));
    let quota = Quota { capacity, window: Duration::from_secs(window) };
    let stage = Stage::start().await;
    let replicas = replicas(&stage, "replica", &[]).await;
    let limits = [(LimitClass::Api, vec![quota])].into();
    let settings = TenantSettings { limits, ..generous() };
    let clients = clients(&stage, &replicas, "ada", settings, 1).await.remove(0);
    let (clock, tally) = (stage.clock(), Tally::default());
    let began = clock.elapsed();
    let callers = (0..REPLICAS * CALLERS_OF_EACH).map(async |caller| {
        while clock.elapsed().saturating_sub(began) < lasting
            || tally.admitted() + tally.refused() < 2 * u64::from(capacity)
        {
            call(&clients[caller % REPLICAS], LimitClass::Api, &tally).await;
        }
    });
    join_all(callers).await;
    let lasted = clock.elapsed().saturating_sub(began).as_secs_f64();
    prove_equal("limits.lease_calls_failed", tally.failed(), 0);
    let rate = f64::from(capacity) / quota.window.as_secs_f64();
    let most = f64::from(capacity) + rate * lasted;
    #[expect(clippy::cast_precision_loss, reason = "counts of calls stay far below 2^52")]
    let (admitted, offered) = (tally.admitted() as f64, (tally.admitted() + tally.refused()) as f64);
    assert!(offered > 1.5 * most, "only {offered} calls were made, the quota has {most}");
    prove("limits.lease_admitted", admitted, format_args!("<={most:.0}"), admitted <= most);
    let under = 1.0 - admitted / most;
    let shown = format!("{:.2}%", under * 100.0);
    // What was taken ahead and not spent at the end counts more the shorter it lasts.
    let bound = ProofSize::wanted().of(0.10, 0.01);
    prove("limits.lease_under_admission", shown, format_args!("<={}%", bound * 100.0), under <= bound);
    let mut from_leases = 0;
    for replica in &replicas {
        from_leases += replica.metrics().await.sum("limiter_lease", &[]);
    }
    prove("limits.lease_paid", from_leases, ">0", from_leases > 0);
}
