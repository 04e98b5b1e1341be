//! Keeps what is remembered of tenants and keys true: a change of a tenant's settings or status, or of a key, holds on every
//! replica within a second. Keys are remembered with their tenant for 30 s; what is seen here goes before that. The store
//! is asked twice a second, and at once when it says that something was changed.

mod channel;
mod keys;
mod tenants;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{ApiKeyId, Clock, Tenant, TenantId};
use stagedoor_storage::{Store, StoreError};
use stagedoor_tools::Dispatcher;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::channel::Channel;
use self::keys::RecentKeys;
use self::tenants::RecentTenants;

pub use self::channel::ChannelCounts;
pub use self::keys::{KeyStanding, SeenKey};

/// How often the store is asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// How soon it is asked again when it says that something was changed: changes seldom come alone.
const SHORTEST: Duration = Duration::from_millis(20);

/// How far back before the last answer a question about tenants reaches after a break, so that a change is seen whose
/// author was slow to commit it.
const OVERLAP: Duration = Duration::from_secs(30);

/// How far back the first question about tenants reaches, and each after a break at least.
const WITHIN: Duration = Duration::from_mins(1);

/// How long a change is remembered: twice as long as a key.
const REMEMBERED: Duration = Duration::from_mins(1);

/// Sees what becomes of tenants and keys.
pub struct TenantWatch {
    store: Store,
    clock: Arc<dyn Clock>,
    tenants: RecentTenants,
    keys: RecentKeys,
    channel: Option<Channel>,
    /// Who remembers what tenants have set up.
    tools: OnceLock<Arc<Dispatcher>>,
    /// When the last question that was answered was asked, in milliseconds.
    answered_at: AtomicU64,
    failures: AtomicU64,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchCounts {
    /// Changes of tenants that were seen.
    pub changes: u64,
    /// Changes of keys that were seen.
    pub key_changes: u64,
    /// Times that the store did not answer.
    pub failures: u64,
    /// The channel, if there is to be one.
    pub channel: Option<ChannelCounts>,
}

impl TenantWatch {
    /// Nothing changed yet. `listens` says whether a connection of its own hears of changes at once.
    pub fn new(store: Store, clock: Arc<dyn Clock>, listens: bool) -> Self {
        let answered_at = AtomicU64::new(millis(clock.elapsed()));
        Self {
            store,
            clock,
            tenants: RecentTenants::default(),
            keys: RecentKeys::default(),
            channel: listens.then(Channel::default),
            tools: OnceLock::new(),
            answered_at,
            failures: AtomicU64::new(0),
        }
    }

    /// Is notified when the store says that a shared queue was changed, as far as it is listened to.
    pub fn queue_changes(&self) -> Arc<Notify> {
        self.channel.as_ref().map(Channel::queues).unwrap_or_default()
    }

    /// From now on `tools` forget what a tenant has set up when it is changed.
    pub fn tell(&self, tools: Arc<Dispatcher>) {
        self.tools.get_or_init(|| tools);
    }

    /// The tenant as it is now: `remembered` at that revision is at most as old as a key is remembered for, and newer
    /// than what was seen last if the store answers everyone but this.
    pub fn newest(&self, remembered: &Arc<Tenant>, revision: i64) -> Arc<Tenant> {
        self.tenants.newest(remembered, revision)
    }

    /// What became of a key since it was looked up.
    pub fn standing(&self, tenant: TenantId, key: &ApiKeyId, seen: SeenKey) -> KeyStanding {
        self.keys.standing(tenant, key, seen)
    }

    /// The era that a look-up belongs to which begins now.
    pub fn era(&self) -> u64 {
        self.keys.era()
    }

    /// What is counted.
    pub fn counts(&self) -> WatchCounts {
        WatchCounts {
            changes: self.tenants.seen(),
            key_changes: self.keys.seen(),
            failures: self.failures.load(Ordering::Relaxed),
            channel: self.channel.as_ref().map(Channel::counts),
        }
    }

    /// Asks the store, and listens to it, until `until`. While it does not answer, what is known stays in force.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let listening = async {
            if let Some(channel) = &self.channel {
                channel.run(&self.store, &until).await;
            }
        };
        tokio::join!(listening, self.ask_again_and_again(&until));
    }

    async fn ask_again_and_again(&self, until: &CancellationToken) {
        let mut failing = false;
        while let Some(outcome) = until.run_until_cancelled(Box::pin(self.ask())).await {
            match &outcome {
                Ok(()) if failing => tracing::info!("changes of tenants and keys are seen again"),
                Err(error) if !failing => {
                    tracing::warn!(error = %Chain(error), "changes of tenants and keys are not seen for now");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
            if until.run_until_cancelled(self.pause()).await.is_none() {
                return;
            }
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(SHORTEST).await;
        let rest = INTERVAL.saturating_sub(SHORTEST);
        match &self.channel {
            // However it ends, it is time to ask.
            Some(channel) => drop(tokio::time::timeout(rest, channel.woken()).await),
            None => tokio::time::sleep(rest).await,
        }
    }

    async fn ask(&self) -> Result<(), StoreError> {
        let now = self.clock.elapsed();
        let asked = tokio::try_join!(self.ask_for_keys(now), self.ask_for_tenants(now));
        if asked.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        asked.map(|((), ())| ())
    }

    async fn ask_for_keys(&self, now: Duration) -> Result<(), StoreError> {
        let since = self.keys.since();
        let seen = self.store.key_changes(since.as_ref()).await?;
        self.keys.keep(seen.changed, seen.unbroken, now);
        self.keys.go_on_from(seen.next);
        Ok(())
    }

    async fn ask_for_tenants(&self, now: Duration) -> Result<(), StoreError> {
        let since = self.tenants.since();
        let changes = self.store.tenant_changes(since.as_ref(), self.unseen(now)).await?;
        self.answered_at.store(millis(now), Ordering::Relaxed);
        let (next, news) = (changes.next.clone(), self.tenants.keep(changes, now));
        if let Some(tools) = self.tools.get() {
            for tenant in news {
                tools.desk().tenant_changed(tenant).await;
            }
        }
        self.tenants.go_on_from(next);
        Ok(())
    }

    fn unseen(&self, now: Duration) -> Duration {
        reach(Duration::from_millis(self.answered_at.load(Ordering::Relaxed)), now)
    }
}

/// How far back a question reaches that is asked at `now`, after one that was answered.
fn reach(answered_at: Duration, now: Duration) -> Duration {
    (now.saturating_sub(answered_at) + OVERLAP).max(WITHIN)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for TenantWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantWatch").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_blindness_all_of_it_is_asked_for() {
        let reach = |now| reach(Duration::from_secs(5), Duration::from_secs(now));
        assert_eq!((reach(6), reach(905)), (WITHIN, Duration::from_secs(930)));
    }
}
