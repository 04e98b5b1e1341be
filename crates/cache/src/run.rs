//! What the cache does beside the calls: listens to the other replicas, and writes down what was counted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;

const USAGE_EVERY: Duration = Duration::from_secs(2);
const POPULAR_EVERY: Duration = Duration::from_secs(30);

impl Cache {
    /// Runs until `shutdown`, then writes once more what was counted. A replica that serves calls without it makes the
    /// writers on other replicas wait for its leases, up to two seconds each.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let usage = every(USAGE_EVERY, &shutdown, || async {
            self.level_one.settle().await;
            self.flush_usage().await;
        });
        let popular = every(POPULAR_EVERY, &shutdown, || self.flush_popular());
        let flights = async {
            if let Some(level) = &self.level_two {
                level.flights.run(&shutdown).await;
            }
        };
        tokio::join!(self.generations.run(&shutdown), flights, usage, popular);
    }

    /// Writes the tenants' counts to Redis; what it does not take is kept for the next time.
    pub(crate) async fn flush_usage(&self) {
        if self.usages.flush().await.is_err() {
            self.counts.degraded.add();
        }
    }

    /// Adds what was asked for to the list of the most popular; what Redis does not take is lost.
    pub(crate) async fn flush_popular(&self) {
        let counted = self.popular.take();
        if let Some(shared) = &self.shared_popular
            && shared.add(counted).await.is_err()
        {
            self.counts.degraded.add();
        }
    }
}

async fn every<F: Future<Output = ()>>(period: Duration, shutdown: &CancellationToken, work: impl Fn() -> F) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        work().await;
    }
    work().await;
}
