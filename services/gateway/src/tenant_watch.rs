//! Keeps what is remembered of tenants true: a change of a tenant's settings or status holds on every replica within a
//! second. Keys are remembered with their tenant for 30 s; what is seen here goes before that.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{Clock, Tenant, TenantId};
use stagedoor_storage::tenants::TenantChanges;
use stagedoor_storage::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How often the store is asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// How far back before the last answer each question reaches, so that a change is seen whose author was slow to commit
/// it.
const OVERLAP: Duration = Duration::from_secs(30);

/// How far back each question reaches at least.
const WITHIN: Duration = Duration::from_mins(1);

/// How long a change is remembered: twice as long as a key.
const REMEMBERED: Duration = Duration::from_mins(1);

/// Sees what becomes of tenants.
pub struct TenantWatch {
    store: Store,
    clock: Arc<dyn Clock>,
    recent: Recent,
    /// When the last question that was answered was asked, in milliseconds.
    answered_at: AtomicU64,
    failures: AtomicU64,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchCounts {
    /// Changes of tenants that were seen.
    pub changes: u64,
    /// Times that the store did not answer.
    pub failures: u64,
}

/// The tenants that were changed lately.
#[derive(Default)]
struct Recent {
    changed: RwLock<HashMap<TenantId, Seen>>,
    /// Whether there are any: the usual request looks at nothing else.
    any: AtomicBool,
    changes: AtomicU64,
}

struct Seen {
    /// What the store was seen to hold.
    revision: i64,
    /// The newest that was understood, and its revision; `None` if none was: what is remembered stays in force.
    tenant: Option<(i64, Arc<Tenant>)>,
    at: Duration,
}

impl TenantWatch {
    /// Nothing changed yet.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let answered_at = AtomicU64::new(millis(clock.elapsed()));
        Self { store, clock, recent: Recent::default(), answered_at, failures: AtomicU64::new(0) }
    }

    /// The tenant as it is now: `remembered` at that revision is at most as old as a key is remembered for, and newer
    /// than what was seen last if the store answers everyone but this.
    pub fn newest(&self, remembered: &Arc<Tenant>, revision: i64) -> Arc<Tenant> {
        self.recent.newest(remembered, revision)
    }

    /// What is counted.
    pub fn counts(&self) -> WatchCounts {
        WatchCounts {
            changes: self.recent.changes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Asks the store until `until`. While it does not answer, what is known stays in force.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let mut failing = false;
        while let Some(outcome) = until.run_until_cancelled(Box::pin(self.ask())).await {
            match &outcome {
                Ok(()) if failing => tracing::info!("changes of tenants are seen again"),
                Err(error) if !failing => {
                    tracing::warn!(error = %Chain(error), "changes of tenants are not seen for now");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
            if until.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    async fn ask(&self) -> Result<(), StoreError> {
        let now = self.clock.elapsed();
        let changes =
            self.store.tenants_changed_within(self.unseen(now), &self.recent.known()).await.inspect_err(
                |_| {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                },
            )?;
        self.answered_at.store(millis(now), Ordering::Relaxed);
        self.recent.keep(changes, now);
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

impl Recent {
    fn newest(&self, remembered: &Arc<Tenant>, revision: i64) -> Arc<Tenant> {
        if !self.any.load(Ordering::Relaxed) {
            return Arc::clone(remembered);
        }
        let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
        let seen = changed.get(&remembered.id).and_then(|seen| seen.tenant.as_ref());
        let newer = seen.filter(|(seen, _)| *seen > revision).map(|(_, tenant)| tenant);
        Arc::clone(newer.unwrap_or(remembered))
    }

    fn known(&self) -> Vec<(TenantId, i64)> {
        let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
        changed.iter().map(|(tenant, seen)| (*tenant, seen.revision)).collect()
    }

    fn keep(&self, changes: TenantChanges, now: Duration) {
        let seen = changes.changed.len() + changes.not_understood.len();
        self.changes.fetch_add(seen as u64, Ordering::Relaxed);
        let mut changed = self.changed.write().unwrap_or_else(PoisonError::into_inner);
        changed.retain(|_, seen| now.saturating_sub(seen.at) < REMEMBERED);
        for change in changes.changed {
            let (revision, id) = (change.revision, change.tenant.id);
            let tenant = Some((revision, Arc::new(change.tenant)));
            changed.insert(id, Seen { revision, tenant, at: now });
        }
        for (id, revision, error) in changes.not_understood {
            tracing::error!(tenant = %id, error = %Chain(&error), "a tenant's change is not understood");
            let before = changed.remove(&id).and_then(|seen| seen.tenant);
            changed.insert(id, Seen { revision, tenant: before, at: now });
        }
        self.any.store(!changed.is_empty(), Ordering::Relaxed);
    }
}

impl fmt::Debug for TenantWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantWatch").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::SystemEntropy;
    use stagedoor_domain::{Clock as _, SystemClock, TenantSettings, TenantStatus};
    use stagedoor_storage::tenants::ChangedTenant;

    use super::*;

    fn tenant() -> Tenant {
        Tenant {
            id: TenantId::generate(&SystemClock::new(), &SystemEntropy),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        }
    }

    fn change(tenant: &Tenant, revision: i64, concurrent_calls: u32) -> TenantChanges {
        let settings =
            TenantSettings { concurrent_calls: Some(concurrent_calls), ..TenantSettings::default() };
        let tenant = Tenant { settings, ..tenant.clone() };
        let changed = ChangedTenant { tenant, revision, changed_at: SystemClock::new().now() };
        TenantChanges { changed: vec![changed], not_understood: Vec::new() }
    }

    #[test]
    fn a_change_goes_before_what_is_remembered_until_no_key_is_older() {
        let (recent, remembered) = (Recent::default(), Arc::new(tenant()));
        let calls = |recent: &Recent| recent.newest(&remembered, 1).settings.concurrent_calls;
        assert_eq!((calls(&recent), recent.known()), (None, vec![]));
        recent.keep(change(&remembered, 2, 7), Duration::ZERO);
        assert_eq!((calls(&recent), recent.known()), (Some(7), vec![(remembered.id, 2)]));
        let other = Arc::new(tenant());
        assert!(Arc::ptr_eq(&recent.newest(&other, 1), &other), "another tenant's change is not its own");
        recent.keep(change(&remembered, 3, 8), Duration::from_secs(1));
        assert_eq!((calls(&recent), recent.known()), (Some(8), vec![(remembered.id, 3)]));
        for _ in 0..200 {
            recent.keep(TenantChanges::default(), Duration::from_mins(1));
        }
        assert_eq!(calls(&recent), Some(8), "however often the store was asked meanwhile");
        recent.keep(TenantChanges::default(), Duration::from_secs(61));
        assert!(Arc::ptr_eq(&recent.newest(&remembered, 1), &remembered), "every key was read again by now");
        assert!(!recent.any.load(Ordering::Relaxed) && recent.known().is_empty());
    }

    #[test]
    fn a_key_that_was_read_after_the_change_knows_better() {
        let (recent, remembered) = (Recent::default(), tenant());
        recent.keep(change(&remembered, 3, 8), Duration::ZERO);
        let suspended = Arc::new(Tenant { status: TenantStatus::Suspended, ..remembered });
        assert_eq!(recent.newest(&suspended, 2).status, TenantStatus::Active);
        assert_eq!(recent.newest(&suspended, 4).status, TenantStatus::Suspended, "while the watch was blind");
    }

    #[test]
    fn after_blindness_all_of_it_is_asked_for() {
        let reach = |now| reach(Duration::from_secs(5), Duration::from_secs(now));
        assert_eq!((reach(6), reach(905)), (WITHIN, Duration::from_secs(930)));
    }

    #[test]
    fn what_is_not_understood_leaves_in_force_what_was() {
        let (recent, remembered) = (Recent::default(), Arc::new(tenant()));
        let nonsense = |revision| TenantChanges {
            changed: Vec::new(),
            not_understood: vec![(remembered.id, revision, StoreError::Missing("sense"))],
        };
        recent.keep(nonsense(2), Duration::ZERO);
        assert!(Arc::ptr_eq(&recent.newest(&remembered, 1), &remembered));
        assert_eq!(recent.known(), [(remembered.id, 2)], "it is not told again");
        recent.keep(change(&remembered, 3, 7), Duration::ZERO);
        recent.keep(nonsense(4), Duration::ZERO);
        assert_eq!(recent.newest(&remembered, 2).settings.concurrent_calls, Some(7));
        assert_eq!(recent.changes.load(Ordering::Relaxed), 3);
    }
}
